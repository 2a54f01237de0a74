import errno
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import smoltolk.data.prepare as module
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora import part_path, read_corpus
from smoltolk.data.prepare import prepare
from smoltolk.data.shards import ShardWriter, read_shards
from smoltolk.speech.audio import load, save
from smoltolk.speech.units import load_unit_tokenizer

# Kills itself while the second shard is being written.
KILLED = """
import os, signal, sys
from smoltolk.data.encoding import PartEncoder
from smoltolk.data.prepare import prepare
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
    assert "libsndfile" in reasons["0"] and "no file" in reasons["1"]
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
    with pytest.raises(NotFoundError, match=r"config\.json"):
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
