import errno
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import smoltolk.data.shards.prepare as module
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_jsonl, write_jsonl
from smoltolk.data.corpora.corpus import part_path, read_corpus
from smoltolk.data.corpora.speak import speak
from smoltolk.data.corpora.utterances import Utterance, to_row
from smoltolk.data.shards.parquet import ShardWriter, read_shards
from smoltolk.data.shards.parts import check_corpus, unfinished_parts
from smoltolk.data.shards.prepare import Share, prepare
from smoltolk.data.shards.shard_set import look_over
from smoltolk.data.shards.validation import validate_shards
from smoltolk.speech.audio import load, save
from smoltolk.speech.segments import Segment
from smoltolk.speech.synthesis.espeak_synthesis import Voice, voices
from smoltolk.speech.units.kinds import load_unit_tokenizer

# Kills children at random moments: forked from one process, because importing takes longer than the work. A run
# that ends before its kill is thrown away, so that all kills fall on unfinished work.
KILLS = """
import os, random, shutil, signal, sys, time
import torch
from smoltolk.data.shards.prepare import prepare
corpus, units, out = sys.argv[1:]
torch.set_num_threads(1)

def child():
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        prepare(corpus, units, out, workers=0)
        os._exit(0)
    return pid

prepare(corpus, units, out, workers=0)  # what every process does once, the children inherit
shutil.rmtree(out)
start = time.monotonic()
assert os.waitpid(child(), 0)[1] == 0
whole, random, kills, shards = time.monotonic() - start, random.Random(0), 0, set()
shutil.rmtree(out)
while kills < 20:
    pid = child()
    time.sleep(random.uniform(0, whole))
    os.kill(pid, signal.SIGKILL)
    kills += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    names = os.listdir(out) if os.path.isdir(out) else []
    done = sum(name.endswith(".parquet") and name[0] != "." for name in names)
    shards.add(done)
    if done == 8:
        shutil.rmtree(out)
print(kills, len(shards))
prepare(corpus, units, out, workers=0)
"""

# Kills itself while the second shard is being written.
KILLED = """
import os, signal, sys
from smoltolk.data.shards.encoding import PartEncoder
from smoltolk.data.shards.prepare import prepare
parts, whole = [], PartEncoder.encode
def until_killed(self, batch):
    parts.append(batch)
    if len(parts) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, batch)
PartEncoder.encode = until_killed
prepare(*sys.argv[1:], workers=0)
"""


@pytest.fixture
def corpus(spoken_corpus: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(spoken_corpus, tmp_path / "corpus"))


def tree(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_units_are_those_of_the_tokenizer(spoken_corpus: Path, phone_units_dir: Path, shards_dir: Path) -> None:
    tokenizer = load_unit_tokenizer(phone_units_dir)
    corpus = read_shards(shards_dir, fingerprint=tokenizer.fingerprint)
    utterances = list(read_corpus(spoken_corpus))
    assert [one.id for one in corpus] == [one.id for one in utterances]
    for spoken, held in zip(utterances, corpus, strict=True):
        assert spoken.audio is not None
        (units,) = tokenizer.encode([load(spoken.audio)])
        assert np.array_equal(held.units, units.units) and np.array_equal(held.durations, units.durations)
        assert (held.text, held.speaker, held.seconds) == (spoken.text, spoken.speaker, spoken.seconds)
        for one, two in zip(held.words, spoken.words, strict=True):
            assert one.text == two.text and one.start == pytest.approx(two.start, abs=1e-5)


def test_a_kill_and_other_workers_change_no_byte(
    spoken_corpus: Path, phone_units_dir: Path, shards_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    command = [sys.executable, "-c", KILLED, str(spoken_corpus), str(phone_units_dir), str(out)]
    killed = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in out.glob("[!.]*.parquet")] == ["part-00000.parquet"]
    assert len(list(out.glob(".tmp-*"))) == 1
    first = (out / "part-00000.parquet").stat().st_mtime_ns
    counts = prepare(spoken_corpus, phone_units_dir, out, workers=2)
    assert counts.num_utterances == 8 and counts.num_rejected == 0
    assert (out / "part-00000.parquet").stat().st_mtime_ns == first, "a finished shard was made again"
    assert tree(out) == tree(shards_dir)


def test_twenty_kills_at_random_moments_change_no_byte(
    spoken_texts: list[tuple[str, str, Voice]], phone_units_dir: Path, tmp_path: Path
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "shards"
    sentences = [(name, text.split(". ")[0] + ".", voice) for name, text, voice in spoken_texts]
    speak(sentences, corpus, source="stories", workers=0, utterances_per_part=1)
    (part_path(corpus, 3) / "train-heard-0000003.flac").write_bytes(b"not audio")
    command = [sys.executable, "-c", KILLS, str(corpus), str(phone_units_dir), str(out)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == 0, killed.stderr
    kills, states = map(int, killed.stdout.split())
    assert kills == 20 and states > 2, "the kills did not fall on different moments"
    counts = prepare(corpus, phone_units_dir, tmp_path / "clean", workers=0)
    assert (counts.num_utterances, counts.num_rejected) == (7, 1)
    assert tree(out) == tree(tmp_path / "clean")


@pytest.mark.parametrize("one_place", [True, False])
def test_shares_of_several_machines_are_one_run(
    spoken_corpus: Path, phone_units_dir: Path, shards_dir: Path, tmp_path: Path, one_place: bool
) -> None:
    outs = [tmp_path / ("shards" if one_place else f"shards-{number}") for number in (1, 2)]
    foreign = tmp_path / "shards" / ".tmp-999999999-part-00001.parquet"  # another machine is writing it
    if one_place:
        outs[0].mkdir()
        foreign.write_text("half")
    first = prepare(spoken_corpus, phone_units_dir, outs[0], workers=0, share=Share(1, 2))
    second = prepare(spoken_corpus, phone_units_dir, outs[1], workers=0, share=Share(2, 2))
    assert first.num_utterances == 5 and second.num_utterances == (8 if one_place else 3)
    if one_place:
        assert not foreign.exists(), "the machine that writes this part has died, and its share has been run again"
    else:
        assert sorted(path.name for path in outs[1].glob("*.parquet")) == ["part-00001.parquet"]
        shutil.copytree(outs[1], outs[0], dirs_exist_ok=True)
        assert prepare(spoken_corpus, phone_units_dir, outs[0], workers=0).num_utterances == 8
    assert tree(outs[0]) == tree(shards_dir)


def test_a_share_leaves_the_temporary_files_of_others_alone(
    spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    out.mkdir()
    foreign = out / ".tmp-999999999-part-00001.parquet"
    foreign.write_text("half")
    prepare(spoken_corpus, phone_units_dir, out, workers=0, share=Share(1, 2))
    assert foreign.read_text() == "half"


def test_shares_that_cannot_be_are_refused() -> None:
    assert Share.parse("2/3") == Share(2, 3) and [part for part in range(7) if part in Share(2, 3)] == [1, 4]
    for bad in ("0/3", "4/3", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(InputError, match="a share is i/n"):
            Share.parse(bad)


def test_odd_recordings_end_up_right_or_rejected(corpus: Path, phone_units_dir: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "stereo.wav", rng.normal(0, 0.1, (44_100 * 2, 2)), 44_100)
    soundfile.write(tmp_path / "nan.wav", np.full(32_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    minutes = np.tile(rng.normal(0, 0.1, 16_000 * 60).astype(np.float32), 30)
    soundfile.write(tmp_path / "long.flac", minutes, 16_000)
    (tmp_path / "corrupt.wav").write_bytes((tmp_path / "nan.wav").read_bytes()[:30])

    def utterance(name: str, seconds: float, text: str = "a cat", end: float = 0.4) -> Utterance:
        words = (Segment("a", 0.1, 0.2), Segment("cat", 0.2, end)) if text else ()
        audio = tmp_path / f"{name.split('-')[0]}"
        return Utterance(name, text, audio, seconds, words, (), "s", "en", "odd")

    part = part_path(corpus, 0)
    rows = [
        utterance("stereo.wav", 2.0),
        utterance("nan.wav", 2.0),
        utterance("long.flac", 1800.0),
        utterance("corrupt.wav", 2.0),
        utterance("stereo.wav-no-text", 2.0, text=""),
        utterance("stereo.wav-outside", 2.0, end=2.5),
        replace(utterance("stereo.wav-nothing", 2.0), audio=None),
    ]
    # As a file of another program could be: recordings outside the part's directory.
    write_jsonl(
        part / "utterances.jsonl",
        ({**to_row(replace(r, audio=None), part), "audio": r.audio and str(r.audio)} for r in rows),
    )
    counts = prepare(corpus, phone_units_dir, tmp_path / "shards", workers=0)
    rejected = {row["id"]: row["reason"] for row in read_jsonl(tmp_path / "shards" / "rejected.jsonl")}
    assert set(rejected) == {"nan.wav", "corrupt.wav", "stereo.wav-outside", "stereo.wav-nothing"}
    assert "NaN" in rejected["nan.wav"] and "words from 0.10 to 2.50 s" in rejected["stereo.wav-outside"]
    held = {one.id: one for one in read_shards(tmp_path / "shards")}
    assert counts.num_utterances == len(held) == 3 + 5
    assert held["stereo.wav"].durations.sum() == 50 and held["stereo.wav-no-text"].words == ()
    assert held["long.flac"].durations.astype(int).sum() == 45_000
    (alone,) = load_unit_tokenizer(phone_units_dir).encode([load(tmp_path / "stereo.wav")])
    assert np.array_equal(held["stereo.wav"].units, alone.units), "a neighbour changed the units"


def test_a_device_that_the_units_do_not_know_is_refused(
    spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="it knows the CPU only"):
        prepare(spoken_corpus, phone_units_dir, tmp_path / "shards", workers=0, device="cuda")
    assert not (tmp_path / "shards").exists()
    assert prepare(spoken_corpus, phone_units_dir, tmp_path / "shards", workers=0, device="cpu").num_utterances == 8


def test_a_second_run_encodes_nothing(
    spoken_corpus: Path, phone_units_dir: Path, shards_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "encode_part", None)
    assert prepare(spoken_corpus, phone_units_dir, shards_dir, workers=0).num_utterances == 8


def test_what_cannot_be_read_is_listed(corpus: Path, phone_units_dir: Path, tmp_path: Path) -> None:
    part = part_path(corpus, 0)
    (part / "train-heard-0000000.flac").write_bytes(b"not audio")
    (part / "train-heard-0000001.flac").unlink()
    save(part_path(corpus, 1) / "train-heard-0000004.flac", np.zeros(16_000, np.float32))  # of another length
    save(part_path(corpus, 2) / "train-heard-0000006.flac", np.zeros(100, np.float32))  # less than a frame
    counts = prepare(corpus, phone_units_dir, tmp_path / "shards", workers=0)
    assert (counts.num_utterances, counts.num_rejected) == (4, 4)
    rows = [json.loads(line) for line in (tmp_path / "shards" / "rejected.jsonl").read_text().splitlines()]
    reasons = {row["id"][-1]: row["reason"] for row in rows}
    assert set(reasons) == {"0", "1", "4", "6"}
    assert "must be audio" in reasons["0"] and "no file" in reasons["1"]
    assert "durations sum to" in reasons["4"] and "one frame" in reasons["6"]
    assert [one.id[-1] for one in read_shards(tmp_path / "shards")] == ["2", "3", "5", "7"]
    assert prepare(corpus, phone_units_dir, tmp_path / "shards", workers=0) == counts


def test_a_corpus_without_a_usable_recording_is_an_error(corpus: Path, phone_units_dir: Path, tmp_path: Path) -> None:
    for path in corpus.rglob("*.flac"):
        path.unlink()
    with pytest.raises(InputError, match="all 8 were rejected, the first because"):
        prepare(corpus, phone_units_dir, tmp_path / "shards", workers=0)


def test_other_units_are_refused(spoken_corpus: Path, phone_units_dir: Path, shards_dir: Path, tmp_path: Path) -> None:
    tokenizer = load_unit_tokenizer(phone_units_dir)
    network = tokenizer.network  # type: ignore[attr-defined]
    with torch.no_grad():
        next(network.parameters()).add_(0.01)
    type(tokenizer)(tokenizer.phones, network).save(tmp_path / "other")  # type: ignore[attr-defined, call-arg]
    before = tree(shards_dir)
    with pytest.raises(InputError, match="one corpus and one tokenizer"):
        prepare(spoken_corpus, tmp_path / "other", shards_dir, workers=0)
    assert tree(shards_dir) == before


def test_an_unfinished_corpus_and_a_missing_tokenizer_are_named(
    corpus: Path, phone_units_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="a unit tokenizer is a directory"):
        prepare(corpus, tmp_path / "nowhere", tmp_path / "shards", workers=0)
    shutil.rmtree(part_path(corpus, 2))
    with pytest.raises(NotFoundError, match="1 of 3 are missing"):
        prepare(corpus, phone_units_dir, tmp_path / "shards", workers=0)
    assert not (tmp_path / "shards").exists()


def test_a_full_disk_is_told_and_leaves_no_half_shard(
    spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ShardWriter) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "_flush", full)
        with pytest.raises(OSError, match="No space left"):
            prepare(spoken_corpus, phone_units_dir, tmp_path / "shards", workers=0)
    assert not list((tmp_path / "shards").glob("*.parquet")) and not list(tmp_path.rglob(".tmp-*"))
    assert prepare(spoken_corpus, phone_units_dir, tmp_path / "shards", workers=0).num_utterances == 8


def test_a_directory_of_something_else_is_refused(spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "rejected.jsonl").write_text("mine")
    with pytest.raises(InputError, match=r"holds something else: rejected\.jsonl"):
        prepare(spoken_corpus, phone_units_dir, tmp_path, workers=0)
    with pytest.raises(InputError, match=r"holds something else: corpus\.json"):
        prepare(spoken_corpus, phone_units_dir, spoken_corpus, workers=0)
    assert (tmp_path / "rejected.jsonl").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_parts_that_are_still_to_come_are_pointed_out(
    spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path
) -> None:
    prepare(spoken_corpus, phone_units_dir, tmp_path / "shards", workers=0, share=Share(1, 3))
    warning = look_over(tmp_path / "shards").warning
    assert warning is not None and "2 of 3 shards are not there" in warning
    missing = [report.name for report in validate_shards(tmp_path / "shards") if report.problems]
    assert missing == unfinished_parts(tmp_path / "shards") and len(missing) == 2
    prepare(spoken_corpus, phone_units_dir, tmp_path / "shards", workers=0)
    assert look_over(tmp_path / "shards").warning is None and not unfinished_parts(tmp_path / "shards")


def test_shards_know_their_corpus(spoken_corpus: Path, shards_dir: Path, tmp_path: Path) -> None:
    check_corpus(shards_dir, spoken_corpus)
    speak([("elsewhere", "A dog.", voices(1, 0, "seen")[0])], tmp_path / "other", source="others", workers=0)
    with pytest.raises(InputError, match="was made of 'stories'"):
        check_corpus(shards_dir, tmp_path / "other")
    with pytest.raises(InputError, match="was made of 'stories'"):
        validate_shards(shards_dir, corpus=tmp_path / "other")


def test_words_that_were_hardly_found_are_joined_to_their_neighbours(
    spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path
) -> None:
    aligned, out = tmp_path / "corpus", tmp_path / "shards"
    shutil.copytree(spoken_corpus, aligned)
    for path in aligned.glob("parts/*/utterances.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["words"] = [[*word[:3], 0.05 if place == 2 else 0.9] for place, word in enumerate(row["words"])]
        write_jsonl(path, rows)
    prepare(aligned, phone_units_dir, out, workers=0)
    whole = {one.id: one for one in read_corpus(aligned)}
    for one in read_shards(out):
        said = [word.text for word in whole[one.id].words]
        assert [word.text for word in one.words] == [said[0], " ".join(said[1:4]), *said[4:]]
    with pytest.raises(InputError, match=r"word_confidence was 0\.1, is 0"):
        prepare(aligned, phone_units_dir, out, workers=0, word_confidence=0.0)
    with pytest.raises(InputError, match="between 0 and 1"):
        prepare(aligned, phone_units_dir, tmp_path / "never", word_confidence=1.5)
