"""Odd recordings end up right, or rejected with a reason: never lost, never fatal."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoltolk.common.errors import InputError
from smoltolk.data.corpora import making
from smoltolk.data.corpora.collecting import make_corpus
from smoltolk.data.corpora.corpus import read_corpus, read_info, validate_corpus
from smoltolk.data.corpora.folder_items import Recording
from smoltolk.data.corpora.making import Making
from smoltolk.data.corpora.recordings import collect, find_recordings
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.speech.alignment.aligners import Alignment
from smoltolk.speech.audio import load, save
from smoltolk.speech.segments import Segment

HALF_HOUR = 1_800


def rejected(corpus: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in (corpus / "rejected.jsonl").read_text().splitlines()]
    return {row["id"]: row["reason"] for row in rows}


@pytest.fixture(scope="module")
def story(spoken_corpus: Path) -> Utterance:
    return next(iter(read_corpus(spoken_corpus)))


@pytest.fixture(scope="module")
def odd(story: Utterance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good recording in stereo at 44.1 kHz, and everything that may be wrong with one."""
    folder = tmp_path_factory.mktemp("odd") / "odd"
    folder.mkdir()
    assert story.audio is not None
    good = load(story.audio, 44_100)

    def write(
        name: str, samples: np.ndarray, rate: int = 16_000, text: str | None = story.text, **words: object
    ) -> None:
        soundfile.write(folder / f"{name}.wav", samples, rate, subtype="FLOAT")
        if text is not None:
            (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        if words:
            (folder / f"{name}.json").write_text(json.dumps(words))

    nan = good.copy()
    nan[1_000:1_010] = np.nan
    second = np.full(16_000, 0.1, np.float32)
    write("stereo", np.stack([good, good / 2], 1), 44_100)
    write("nan", nan, 44_100)
    write("untexted", second, text="  \n ")
    write("none", second[:0])
    write("outside", second, text="one two", words=[["one", 0, 0.5], ["two", 0.6, 1.6]])
    write("disorder", second, text=None, words=[["one", 0.6, 0.9], ["two", 0.1, 0.3]])
    write("backwards", second, text=None, words=[["one", 0.6, 0.4]])
    write("timed", second, text="One, two!", words=[["one", 0.1, 0.5], ["two", 0.6, 1.02]])
    write("tiny", second[:3], text="one")
    (folder / "corrupt.wav").write_bytes((folder / "stereo.wav").read_bytes()[:30])
    (folder / "corrupt.txt").write_text("one")
    (folder / "words.wav").write_bytes((folder / "timed.wav").read_bytes())
    (folder / "words.TextGrid").write_text("no grid")
    return folder


def test_odd_files(odd: Path, story: Utterance, tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    counts = collect(odd, tmp_path / "corpus", workers=0, recordings_per_part=5)
    expected = {
        "nan": "must be finite",
        "untexted": "untexted.txt is empty",
        "none": "must have samples",
        "outside": "'two' lies at 0.6 to 1.6 s, outside the recording (1 s)",
        "disorder": "'two' lies at 0.1 to 0.3 s, before the end of the one before",
        "backwards": "'one' lies at 0.6 to 0.4 s, which runs backwards",
        "tiny": "must say its text",
        "corrupt": "must be audio",
        "words": "long or short text format",
    }
    reasons = rejected(tmp_path / "corpus")
    assert reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in reasons[name], reasons[name]
    kept = {utterance.id: utterance for utterance in read_corpus(tmp_path / "corpus")}
    assert kept.keys() == {"stereo", "timed"} and counts.num_utterances == 2
    assert validate_corpus(tmp_path / "corpus") == replace(counts, num_rejected=0)
    assert read_info(tmp_path / "corpus").num_utterances == len(find_recordings(odd)) == 11
    # both channels' mean, at 16 kHz, with its words where the synthesizer says they are
    stereo = kept["stereo"]
    assert stereo.audio is not None and soundfile.info(stereo.audio).samplerate == 16_000
    assert story.audio is not None
    original, mine = load(story.audio), load(stereo.audio)
    assert len(mine) == pytest.approx(len(original), abs=2)
    assert np.corrcoef(mine[: len(original)], original[: len(mine)])[0, 1] > 0.99
    assert np.abs(mine).max() == pytest.approx(0.75 * np.abs(original).max(), rel=0.05)
    assert np.mean([abs(a.start - b.start) for a, b in zip(stereo.words, story.words, strict=True)]) < 0.05
    assert kept["timed"].words == (Segment("One,", 0.1, 0.5), Segment("two!", 0.6, 1.02)) and kept["timed"].phones == ()


def test_texts_without_a_recording_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    (folder / "anna").mkdir(parents=True)
    soundfile.write(folder / "anna" / "UPPER.WAV", np.full(16_000, 0.1, np.float32), 16_000)
    (folder / "anna" / "UPPER.TXT").write_text("one")
    (folder / "anna" / "UPPER.m4a").write_bytes(b"the same again")
    for name in ("anna/readme.ra", "anna/readme.txt", "only.txt", "only.json", "anna_UPPER.txt", "anna-UPPER.txt",
                 "cover.jpg", ".hidden.txt"):  # fmt: skip
        (folder / name).write_text("one")
    counts = collect(folder, tmp_path / "corpus", aligner=None, workers=0)
    (kept,) = read_corpus(tmp_path / "corpus")
    assert (kept.id, kept.text, kept.speaker) == ("anna-UPPER", "one", "anna") and counts.num_rejected == 5
    reasons = rejected(tmp_path / "corpus")
    assert reasons.keys() == {"anna-UPPER-2", "anna-UPPER-3", "anna-readme", "anna_UPPER", "only"}
    assert "no recording beside readme.txt that can be read: found readme.ra\n" in reasons["anna-readme"]
    assert "UPPER.WAV is called like UPPER.m4a" in reasons["anna-UPPER-2"]
    assert "no recording beside only.json that can be read\n" in reasons["only"]
    row = json.loads((tmp_path / "corpus" / "rejected.jsonl").read_text().splitlines()[0])
    assert row["audio"].startswith(str(folder))
    assert collect(folder, tmp_path / "corpus", aligner=None, workers=0) == counts


@pytest.fixture(scope="module")
def half_hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour with 3,600 words of which every tenth is followed by a pause; sample k has the level of its word."""
    folder = tmp_path_factory.mktemp("long") / "long"
    folder.mkdir()
    words = [[f"w{k}", 0.5 * k, 0.5 * k + (0.25 if k % 10 == 9 else 0.5)] for k in range(2 * HALF_HOUR)]
    levels = np.repeat((np.arange(2 * HALF_HOUR) % 100 / 200).astype(np.float32), 4_000)
    soundfile.write(folder / "talk.wav", levels, 8_000, subtype="PCM_16")
    (folder / "talk.json").write_text(json.dumps({"segments": [{"words": [
        {"word": f" {text}", "start": start, "end": end} for text, start, end in words]}]}))  # fmt: skip
    return folder


def test_half_an_hour_is_cut_at_its_pauses(half_hour: Path, tmp_path: Path) -> None:
    counts = collect(half_hour, tmp_path / "corpus", longest=20.0, workers=0)
    pieces = list(read_corpus(tmp_path / "corpus"))
    assert counts.num_rejected == 0 and validate_corpus(tmp_path / "corpus") == counts
    assert [word for piece in pieces for word in piece.text.split()] == [f"w{k}" for k in range(2 * HALF_HOUR)]
    assert all(9.9 < piece.seconds <= 20 and len(piece.words) % 10 == 0 for piece in pieces)
    assert pieces[1].id == "talk+0001" and pieces[1].speaker == "long"
    for piece in (pieces[0], pieces[40], pieces[-1]):  # the sound under a word is the sound of that word
        assert piece.audio is not None
        word, sound = piece.words[5], load(piece.audio)
        middle = sound[round(16_000 * word.start) + 1_000 : round(16_000 * word.end) - 1_000]
        assert middle.mean() == pytest.approx(int(word.text[1:]) % 100 / 200, abs=2e-3)


def test_half_an_hour_whole_and_without_words(half_hour: Path, tmp_path: Path) -> None:
    assert collect(half_hour, tmp_path / "whole", link=True, workers=0).seconds == HALF_HOUR
    (whole,) = read_corpus(tmp_path / "whole")
    assert len(whole.words) == 2 * HALF_HOUR and whole.audio is not None and whole.audio.is_symlink()
    (recording,) = find_recordings(half_hour)
    folder = tmp_path / "untimed"
    folder.mkdir()
    (folder / "talk.wav").symlink_to(recording.path)
    (folder / "talk.txt").write_text("one two three")
    with pytest.raises(InputError, match="all 1 were rejected"):
        collect(folder, tmp_path / "a", aligner=None, longest=20.0, workers=0)
    assert "no times of words" in rejected(tmp_path / "a")["talk"]
    pytest.importorskip("pocketsphinx")
    with pytest.raises(InputError, match="all 1 were rejected"):
        collect(folder, tmp_path / "b", workers=0)
    assert "and 3 words" in rejected(tmp_path / "b")["talk"]


def test_a_piece_that_does_not_say_its_text_is_dropped_alone(
    story: Utterance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long recording is aligned whole, but judged piece by piece."""
    assert story.audio is not None
    one = load(story.audio)
    seconds = len(one) / 16_000
    second_half = tuple(replace(s, start=s.start + seconds, end=s.end + seconds) for s in story.words)
    sure = [0.9] * len(story.words) + [0.2] * len(story.words)

    class Told:
        name, lowest_confidence = "told", 0.5

        def align_batch(self, waveforms: list[np.ndarray], texts: list[str], **_: object) -> list[Alignment]:
            return [Alignment((*story.words, *second_half), story.phones, tuple(sure), 0.0, 1.0, tuple(sure))]

    monkeypatch.setattr(making, "aligner_of", lambda *_: Told())
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "a.flac", np.concatenate([one, one]))
    (tmp_path / "in" / "a.txt").write_text(f"{story.text} {story.text}")
    counts = collect(tmp_path / "in", tmp_path / "out", longest=seconds + 0.5, workers=0)
    (kept,) = read_corpus(tmp_path / "out")
    assert (kept.id, kept.text, counts.num_rejected) == ("a+0000", story.text, 1)
    assert kept.confidences == (0.9,) * len(story.words) and kept.phones
    assert "a confidence of 0.5 at least" in rejected(tmp_path / "out")["a+0001"]


def test_memory_and_permissions_reject_one_recording(odd: Path, tmp_path: Path) -> None:
    class Failing(Recording):
        def sound(self) -> np.ndarray:
            raise MemoryError if self.id == "timed" else PermissionError(13, "Permission denied", str(self.path))

    names = ("timed", "stereo", "outside")
    items = [
        Failing(r.path, r.id, r.speaker) if r.id != "outside" else r for r in find_recordings(odd) if r.id in names
    ]
    good = next(r for r in find_recordings(odd) if r.id == "timed")
    counts = make_corpus([*items, replace(good, id="good")], tmp_path / "corpus", Making("odd"), workers=0)
    assert (counts.num_utterances, counts.num_rejected) == (1, 3)
    reasons = rejected(tmp_path / "corpus")
    assert reasons["timed"] == "MemoryError" and "Permission denied" in reasons["stereo"]


def test_items_are_read_as_they_are_needed(odd: Path, tmp_path: Path) -> None:
    """A million recordings are never in memory together."""
    good = next(r for r in find_recordings(odd) if r.id == "timed")
    made: list[str] = []

    class Many:
        def __iter__(self) -> Iterator[Recording]:
            for number in range(6):
                parts = list((tmp_path / "corpus" / "parts").glob("[0-9]*"))
                made.append(f"{number} after {len(parts)}")
                yield replace(good, id=f"r{number}")

    make_corpus(Many(), tmp_path / "corpus", Making("many", per_part=2), workers=0)
    assert made[6:] == ["0 after 0", "1 after 0", "2 after 1", "3 after 1", "4 after 2", "5 after 2"]


@pytest.mark.parametrize("longest", [0.0, -1.0, float("nan")])
def test_lengths_that_cannot_be(longest: float) -> None:
    with pytest.raises(InputError, match="longer than 0 s"):
        Making("a", longest=longest)


@pytest.mark.parametrize("link", [False, True])
def test_what_phones_and_browsers_record(link: bool, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra 'media'")
    folder = tmp_path / "phone"
    folder.mkdir()
    samples = (0.3 * np.sin(np.arange(32_000) / 30 * (1 + np.arange(32_000) / 64_000))).astype(np.float32)
    kinds = {
        "m4a": ("aac", 16_000),
        "webm": ("libopus", 48_000),
        "amr": ("libopencore_amrnb", 8_000),
        "mp4": ("aac", 16_000),
    }
    for suffix, (codec, rate) in kinds.items():
        with av.open(str(folder / f"{suffix}.{suffix}"), "w") as out:
            stream = out.add_stream(codec, rate=rate, layout="mono", bit_rate=12_200)
            integers = np.round(32_767 * samples[:: 16_000 // min(rate, 16_000)]).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(integers, max(1, rate // 16_000))[None], "s16", "mono")
            frame.sample_rate, frame.pts = rate, 0
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        (folder / f"{suffix}.txt").write_text("one")
    # Variable bit rates without a note of how many frames there are: its length cannot be guessed from its size.
    soundfile.write(folder / "bare.mp3", np.concatenate([samples, 0 * samples]), 16_000)
    content = (folder / "bare.mp3").read_bytes()
    first = content.index(b"Xing") - 13
    (folder / "bare.mp3").write_bytes(content[content.index(b"\xff\xf3", first + 4) :])
    (folder / "bare.txt").write_text("one")
    (folder / "untold.m4a").write_bytes((folder / "m4a.m4a").read_bytes())
    (folder / "cut.mp4").write_bytes((folder / "mp4.mp4").read_bytes()[:4_000])
    (folder / "cut.txt").write_text("one")
    counts = collect(folder, tmp_path / "corpus", aligner=None, workers=0, link=link)
    assert rejected(tmp_path / "corpus").keys() == {"untold", "cut"} and counts.num_utterances == 5
    for one in read_corpus(tmp_path / "corpus"):
        assert one.seconds == pytest.approx(4.0 if one.id == "bare" else 2.0, abs=0.15), one.id
    assert validate_corpus(tmp_path / "corpus").num_utterances == 5
