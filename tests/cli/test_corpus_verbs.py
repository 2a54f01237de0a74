"""The verbs of corpora, as a user calls them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from smoltolk.common.quantities import duration
from smoltolk.data.corpora.corpus import part_path, read_corpus, read_info
from smoltolk.speech.audio import load

pytest.importorskip("pocketsphinx")


@pytest.fixture(scope="module")
def folder(spoken_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings: with words beside it, with a text, and with none."""
    folder = tmp_path_factory.mktemp("verbs") / "recordings"
    folder.mkdir()
    for story, name in zip(read_corpus(spoken_corpus), ("timed", "told", "untold"), strict=False):
        assert story.audio is not None
        shutil.copy(story.audio, folder / f"{name}.flac")
        if name == "timed":
            words = [{"word": word.text, "start": word.start, "end": word.end} for word in story.words]
            (folder / "timed.json").write_text(json.dumps({"words": words}))
        elif name == "told":
            (folder / "told.txt").write_text(story.text)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


def test_a_folder_is_collected_then_aligned(folder: Path, place: Path, smoltolk: Callable) -> None:
    made = smoltolk(
        "corpus", "folder", folder, place / "corpus", "--aligner", "none", "--workers", 0, "--language", "xx"
    )
    assert made.code == 0 and "utterances  2" in made.out and "rejected    1" in made.out
    timed, told = read_corpus(place / "corpus")
    assert timed.words and not told.words and timed.language == "xx"
    aligned = smoltolk("align", place / "corpus", place / "aligned", "--workers", 0, "--longest", 6)
    assert aligned.code == 0 and "recordings  2" in aligned.out and "50% below 0." in aligned.out
    pieces = list(read_corpus(place / "aligned"))
    assert len(pieces) > 2 and all(piece.words and piece.confidences and piece.seconds <= 6 for piece in pieces)


def test_what_is_dropped_is_counted(place: Path, smoltolk: Callable) -> None:
    strict = smoltolk("align", place / "corpus", place / "strict", "--workers", 0, "--lowest-confidence", 1)
    assert strict.code == 1 and "all 2 were rejected" in strict.err
    empty = smoltolk("corpus", "validate", place / "strict")
    assert empty.code == 1 and "holds none; 2 were rejected" in empty.err and "no problems" not in empty.out
    timed = next(iter(read_corpus(place / "corpus")))
    wrong = Path(shutil.copytree(place / "corpus", place / "wrong"))
    path = part_path(wrong, 0) / "utterances.jsonl"
    path.write_text(path.read_text().replace(timed.text, "Something else that nobody ever said here at all."))
    some = smoltolk("align", wrong, place / "some", "--workers", 0)
    assert some.code == 0 and "dropped     1, see rejected.jsonl" in some.out and "    1  " in some.out


def test_validate_names_every_item(place: Path, smoltolk: Callable) -> None:
    good = smoltolk("corpus", "validate", place / "corpus")
    assert good.code == 0 and "no problems" in good.out and "utterances  2" in good.out
    bad = Path(shutil.copytree(place / "corpus", place / "bad"))
    path = part_path(bad, 0) / "utterances.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    (part_path(bad, 0) / rows[1]["audio"]).unlink()
    first, second = rows[0]["words"][:2]
    rows += [{**rows[0], "words": [second, first]}, {**rows[0], "id": "late", "words": [["x", 1, 999]], "text": " "}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"id": "half"}]))
    told = smoltolk("corpus", "validate", bad)
    assert told.code == 1 and "problems    6" in told.out
    for item, problem in (
        ("told", "its recording is missing"),
        ("timed", "its id occurs twice"),
        ("timed", "before the end of the one before"),
        ("late", "its text is empty"),
        ("late", "outside the recording"),
        ("half", "must be an utterance"),
    ):
        assert any(f"00000 {item}: " in line and problem in line for line in told.out.splitlines()), (item, told.out)


def test_a_corpus_is_exported(place: Path, smoltolk: Callable) -> None:
    told = smoltolk("corpus", "export", place / "corpus", place / "exported")
    seconds = sum(utterance.seconds for utterance in read_corpus(place / "corpus"))
    assert told.code == 0 and f"utterances  2, {duration(seconds)}\n" in told.out and seconds > 1
    assert len(list((place / "exported").glob("*.jsonl.gz"))) == 2


def test_manifests_and_recipes(folder: Path, place: Path, smoltolk: Callable) -> None:
    seconds = len(load(folder / "told.flac")) / 16_000
    said = {"recording_id": "r", "start": 0, "channel": 0, "text": "Hello."}
    rows = [{"id": "a", "duration": seconds, **said}, {"id": "b", "duration": 2 * seconds, **said}]
    source = {"type": "file", "channels": [0], "source": "told.flac"}
    (place / "x_recordings.jsonl").write_text(json.dumps({"id": "r", "sources": [source]}) + "\n")
    (place / "x_supervisions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = smoltolk(
        "corpus", "manifests", place / "x_supervisions.jsonl", place / "m", "--audio-root", folder, "--workers", 0
    )
    assert made.code == 0 and "utterances  1" in made.out and "rejected    1" in made.out, made
    pytest.importorskip("lhotse")
    tree = place / "LibriSpeech" / "dev-clean" / "1" / "2"
    tree.mkdir(parents=True)
    shutil.copy(folder / "told.flac", tree / "1-2-0000.flac")
    (tree / "1-2.trans.txt").write_text("1-2-0000 HELLO\n1-2-0001 GOODBYE\n")
    recipe = ("corpus", "recipe", "librispeech", tree.parents[2], place / "r", "--option", "normalize_text=lower")
    made = smoltolk(*recipe, "--workers", 0)
    assert made.code == 0 and "warnings  1" in made.out and "utterances  1" in made.out, made
    assert next(iter(read_corpus(place / "r"))).text == "hello" and read_info(place / "r").source == "librispeech"
    wrong = smoltolk(*recipe[:-1], "normalize_text", "--workers", 0)
    assert wrong.code == 1 and "NAME=VALUE" in wrong.err


def test_texts_of_a_data_set(place: Path, smoltolk: Callable) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["One.", "Two.", "Three."]}).save_to_disk(place / "texts")
    written = smoltolk("corpus", "text", place / "texts", place / "text.jsonl", "--documents", 2)
    assert written.code == 0 and "documents  2" in written.out, written
    assert (place / "text.jsonl").read_text() == '{"text": "One."}\n{"text": "Two."}\n'


def test_sets_take_the_people_of_a_world(place: Path, smoltolk: Callable) -> None:
    assert smoltolk("world", place / "world", "--people", 12, "--stories", 2, "--questions", 0).code == 0
    call = ("sets", place / "sets", "--world", place / "world")
    both, other = smoltolk(*call, "--people", 12), smoltolk(*call, "--seed", 1)
    assert both.code == 1 and "leave it out" in both.err
    assert other.code == 1 and "is not that of seed 1 and 12 people" in other.err
    assert not (place / "sets").exists()
