from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.shards.importers import import_release, import_slamkit
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.release_files import merge
from smoltolk.data.shards.validation import validate_shards

EOS, PAD = 500, 501
UNITS = [[3, 49, 7], [254, 254, 30, 4], [7]]
FRAMES = [[1, 2, 200], [255, 5, 1, 9], [25]]
TEXTS = ["Mia owns a cat.", "happy! Why?", ""]


def write_release(
    root: Path, tokenizer: PreTrainedTokenizerFast, *, lengths: type = np.uint64, durations: bool = True
) -> tuple[Path, Path]:
    """A split as the release has it, written from the published loader's rules."""
    units_dir, text_dir = root / "tales" / "hubert25", root / "tales" / "bpe"
    for directory in (units_dir, text_dir):
        directory.mkdir(parents=True)
    np.array([u for row in UNITS for u in [*row, EOS]], np.uint16).tofile(units_dir / "train.bin")
    np.array([len(row) + 1 for row in UNITS], lengths).tofile(units_dir / "train.len")
    if durations:
        np.array([f for row in FRAMES for f in [*row, 1]], np.uint8).view(np.int8).tofile(units_dir / "train.dur")
    meta = {"vocab_size": 502, "eos": EOS, "pad": PAD, "frame_rate": 25, "n_q": 1}
    (units_dir / "meta.pkl").write_bytes(pickle.dumps(meta))
    tokens, per_word, ends, text_lengths = [], [], [], []
    for text, frames in zip(TEXTS, FRAMES, strict=True):
        words = [(" " if place else "") + word for place, word in enumerate(text.split())]
        ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
        tokens += [token for word in ids for token in word] + [tokenizer.eos_token_id]
        per_word += [*map(len, ids), 1]
        seconds = sum(frames) / 25
        ends += [*np.linspace(0, seconds, len(words) + 1)[1:].tolist(), seconds]
        text_lengths.append(sum(map(len, ids)) + 1)
    np.array(tokens, np.uint16).tofile(text_dir / "train.bin")
    np.array(text_lengths, lengths).tofile(text_dir / "train.len")
    np.array(ends, np.float32).tofile(text_dir / "train.wrds_tms")
    np.array(per_word, np.uint64).tofile(text_dir / "train.wrds_tms_len")
    (text_dir / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(tokenizer), "eos": tokenizer.eos_token_id}))
    return units_dir, text_dir


@pytest.mark.parametrize("lengths", [np.uint64, np.uint16])
def test_a_split_of_the_release_becomes_shards(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, lengths: type
) -> None:
    units_dir, text_dir = write_release(tmp_path, tokenizer, lengths=lengths)
    out = tmp_path / "shards"
    options = {"split": "train", "text_dir": text_dir, "tokenizer": tokenizer, "utterances_per_part": 2}
    counts = import_release(units_dir, out, **options)
    assert (counts.num_utterances, counts.num_rejected) == (3, 0)
    corpus = read_shards(out)
    assert (corpus.metadata.num_units, corpus.metadata.frame_rate) == (500, 25.0)
    assert [one.units.tolist() for one in corpus] == [[3, 49, 7], [254, 30, 4], [7]]
    assert [one.durations.tolist() for one in corpus] == [[1, 2, 200], [260, 1, 9], [25]]
    assert [one.text for one in corpus] == TEXTS and corpus[0].source == "tales"
    assert [[word.text for word in one.words] for one in corpus] == [text.split() for text in TEXTS]
    first = corpus[0].words
    assert first[0].start == 0 and first[-1].end == pytest.approx(203 / 25) and first[1].start == first[0].end
    assert not [problem for report in validate_shards(out) for problem in report.problems]
    # The second part is made again, the first is kept.
    before = (out / "part-00000.parquet").stat().st_mtime_ns
    whole = (out / "part-00001.parquet").read_bytes()
    (out / "part-00001.parquet").unlink()
    assert import_release(units_dir, out, **options) == counts
    assert (out / "part-00001.parquet").read_bytes() == whole
    assert (out / "part-00000.parquet").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="one corpus and one tokenizer"):
        import_release(units_dir, out, split="train", fingerprint="ab")


def test_without_durations_a_frame_is_an_id(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    units_dir, _ = write_release(tmp_path, tokenizer, durations=False)
    import_release(units_dir, tmp_path / "shards", split="train", fingerprint="ab")
    corpus = read_shards(tmp_path / "shards", fingerprint="ab")
    assert corpus[1].units.tolist() == [254, 30, 4] and corpus[1].durations.tolist() == [2, 1, 1]
    assert corpus[1].text == "" and corpus[1].seconds == 4 / 25


def test_what_cannot_be_used_of_a_release_is_listed(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    units_dir, text_dir = write_release(tmp_path, tokenizer)
    ids = np.fromfile(units_dir / "train.bin", np.uint16)
    ids[3] = 5  # the first end
    ids.tofile(units_dir / "train.bin")
    ends = np.fromfile(text_dir / "train.wrds_tms", np.float32)
    ends[6] = np.nan  # a word of the second
    ends.tofile(text_dir / "train.wrds_tms")
    counts = import_release(units_dir, tmp_path / "shards", split="train", text_dir=text_dir, tokenizer=tokenizer)
    rows = [json.loads(line) for line in (tmp_path / "shards" / "rejected.jsonl").read_text().splitlines()]
    assert (counts.num_utterances, counts.num_rejected) == (1, 2)
    assert "end id 500" in rows[0]["reason"] and "a word without a time" in rows[1]["reason"]


@pytest.mark.parametrize(
    ("file", "message"),
    [("train.len", "sum to the 11 ids"), ("train.dur", "a number for each id"), ("train.bin", "holds uint16 numbers")],
)
def test_files_that_do_not_fit_are_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, file: str, message: str
) -> None:
    units_dir, _ = write_release(tmp_path, tokenizer)
    (units_dir / file).write_bytes((units_dir / file).read_bytes()[:-1])
    with pytest.raises(InputError, match=message):
        import_release(units_dir, tmp_path / "shards", split="train")
    (units_dir / "train.len").unlink()
    (units_dir / "train.bin").write_bytes(b"")
    with pytest.raises(NotFoundError, match=r"train\.len must exist"):
        import_release(units_dir, tmp_path / "shards", split="train")


def write_codec_release(root: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[Path, Path, list[np.ndarray]]:
    """The same split as Mimi's script dumps it: int16, a row of units a frame, a row of ends behind each utterance."""
    units_dir, text_dir = write_release(root, tokenizer)
    codec_dir = units_dir.with_name("mimi")
    codec_dir.mkdir()
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 2048, (sum(row), 4)) for row in FRAMES]
    with (codec_dir / "train.bin").open("wb") as ids, (codec_dir / "train.len").open("wb") as lengths:
        for one in frames:
            columns = np.concatenate([one.T, np.full((4, 1), 2048)], axis=1).astype(np.int16)
            ids.write(columns.T.tobytes())
            lengths.write(np.array([columns.shape[1]], np.int64).tobytes())
    meta = {"vocab_size": 2050, "eos": 2048, "pad": 2049, "n_q": 4, "frame_rate": 25.0}
    (codec_dir / "meta.pkl").write_bytes(pickle.dumps(meta))
    return codec_dir, text_dir, frames


def test_units_of_several_codebooks_become_frames(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    codec_dir, text_dir, frames = write_codec_release(tmp_path, tokenizer)
    options = {"split": "train", "text_dir": text_dir, "tokenizer": tokenizer}
    counts = import_release(codec_dir, tmp_path / "shards", **options)
    assert (counts.num_utterances, counts.num_rejected) == (3, 0)
    corpus = read_shards(tmp_path / "shards")
    metadata = corpus.metadata
    assert (metadata.num_units, metadata.num_codebooks, metadata.frame_rate) == (2048, 4, 25.0)
    for one, expected in zip(corpus, frames, strict=True):
        assert np.array_equal(one.units, expected) and (one.durations == 1).all()
        assert one.seconds == len(expected) / 25
    assert [[word.text for word in one.words] for one in corpus] == [text.split() for text in TEXTS]
    assert not [problem for report in validate_shards(tmp_path / "shards") for problem in report.problems]
    # Other files of the same shape are other units.
    import_release(codec_dir.rename(codec_dir.with_name("codec")), tmp_path / "others", **options)
    assert read_shards(tmp_path / "others").metadata.fingerprint != metadata.fingerprint


def test_frames_that_do_not_fit_are_refused_or_listed(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    codec_dir, _, frames = write_codec_release(tmp_path, tokenizer)
    ids = np.fromfile(codec_dir / "train.bin", np.int16)
    ids[4 * len(frames[0]) + 2] = 7  # in the first row of ends
    ids.tofile(codec_dir / "train.bin")
    counts = import_release(codec_dir, tmp_path / "shards", split="train")
    assert (counts.num_utterances, counts.num_rejected) == (2, 1)
    (codec_dir / "train.dur").write_bytes(bytes(len(ids) // 4))
    with pytest.raises(InputError, match="no durations"):
        import_release(codec_dir, tmp_path / "other", split="train")
    (codec_dir / "train.dur").unlink()
    ids[:-1].tofile(codec_dir / "train.bin")
    with pytest.raises(InputError, match="a row of n_q units for each frame"):
        import_release(codec_dir, tmp_path / "other", split="train")
    meta = {"vocab_size": 2050, "eos": 2048, "pad": 2049, "n_q": 0, "frame_rate": 25.0}
    (codec_dir / "meta.pkl").write_bytes(pickle.dumps(meta))
    with pytest.raises(InputError, match="n_q = 0"):
        import_release(codec_dir, tmp_path / "other", split="train")
    assert not (tmp_path / "other").exists()


def test_a_run_longer_than_its_number_is_one_unit_again() -> None:
    merged = merge(np.array([4, 4, 4, 2], np.uint16), np.array([255, 255, 10, 1], np.uint8))
    assert merged.units.tolist() == [4, 2] and merged.durations.tolist() == [520, 1]


FEATURES = [
    {"units": [3, 49, 7], "duration": [1, 2, 5], "file_name": "../audio/one.flac"},
    {"units": [254, 30], "duration": [3, 1], "file_name": "../audio/two.flac"},
]
TOKENS = [
    {"file_name": "../audio/one.flac", "audio_repr": "<Un3><Un49><Un7>"},
    {"file_name": "../audio/two.flac", "audio_repr": "<Un254><Un30>"},
]


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_features_of_slamkit_become_shards(tmp_path: Path) -> None:
    path = lines(tmp_path / "features.jsonl", FEATURES)
    meta = {"text": "A cat", "aligned_text": [["A", 0.0, 0.1], [" cat", 0.1, 0.3]], "split_sentence": []}
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(meta))
    (tmp_path / "two.json").write_text(json.dumps({**meta, "aligned_text": [["cat", 0.1]]}))
    counts = import_slamkit(path, tmp_path / "shards", meta_dir=tmp_path)
    assert (counts.num_utterances, counts.num_rejected) == (1, 1)
    (one,) = read_shards(tmp_path / "shards")
    assert one.id == "audio-one" and one.durations.tolist() == [1, 2, 5] and one.seconds == 8 / 25
    assert one.text == "A cat" and [word.text for word in one.words] == ["A", "cat"]


def test_tokens_of_slamkit_find_their_durations(tmp_path: Path) -> None:
    tokens, features = lines(tmp_path / "tokens.jsonl", TOKENS), lines(tmp_path / "features.jsonl", FEATURES)
    import_slamkit(tokens, tmp_path / "with", features=features, source="slam")
    import_slamkit(tokens, tmp_path / "without", source="slam")
    with_, without = read_shards(tmp_path / "with"), read_shards(tmp_path / "without")
    assert [one.durations.tolist() for one in with_] == [[1, 2, 5], [3, 1]]
    assert [one.durations.tolist() for one in without] == [[1, 1, 1], [1, 1]]
    assert [one.units.tolist() for one in without] == [[3, 49, 7], [254, 30]]
    assert with_.metadata == without.metadata


def test_lines_of_slamkit_that_are_no_speech_are_listed(tmp_path: Path) -> None:
    rows = [
        *TOKENS,
        {"file_name": "three.flac", "audio_repr": "<speech><Un3><text>cat"},
        {"file_name": "four.flac", "audio_repr": "<Un600>"},
        {"file_name": "five.flac", "units": [1, 2], "duration": [1]},
        {"file_name": "six.flac", "units": ["a"]},
        {"file_name": "seven.flac", "units": [[1, 2], [3, 4]], "duration": [1, 1]},
    ]
    features = lines(tmp_path / "features.jsonl", FEATURES[:1])
    counts = import_slamkit(lines(tmp_path / "tokens.jsonl", rows), tmp_path / "shards", features=features)
    listed = [json.loads(line) for line in (tmp_path / "shards" / "rejected.jsonl").read_text().splitlines()]
    assert (counts.num_utterances, counts.num_rejected) == (1, 6)
    reasons = {row["id"]: row["reason"] for row in listed}
    assert "no line for it" in reasons["audio-two"] and "units only" in reasons["three"]
    assert "features are of the same" in reasons["four"] and "its duration" in reasons["five"]
    assert "whole numbers" in reasons["six"] and "units of one codebook" in reasons["seven"]


def test_files_that_are_not_slamkits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: 'no file_name'"):
        import_slamkit(lines(tmp_path / "a.jsonl", [{"units": [1]}]), tmp_path / "shards")
    with pytest.raises(InputError, match="not a single utterance"):
        import_slamkit(lines(tmp_path / "b.jsonl", []), tmp_path / "shards")
    assert not (tmp_path / "shards").exists()
