"""Files with any bytes changed, cut or put in, and JSON with any value replaced: only errors of ours come out."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smoltolk.cli.printing import read_units
from smoltolk.common.errors import SmolTolkError
from smoltolk.data.shards.importers import import_release, import_slamkit
from smoltolk.data.shards.lookup import units_by_id
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.shard_set import look_over
from smoltolk.data.shards.stored_units import StoredUnits
from smoltolk.data.shards.validation import validate_shards
from smoltolk.speech.units.codebook import Codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.mfcc import MfccEncoder
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_checkpoints import read_hifigan
from smoltolk.speech.vocoders.hifigan_config import hifigan_config
from smoltolk.speech.vocoders.hifigan_network import HifiGanNetwork
from smoltolk.speech.vocoders.kinds import fit_vocoder, load_vocoder

quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
# None of them is so large that a network of it would fill the memory.
STRANGE = st.sampled_from(
    [None, True, -1, 0, 1, 3, 1.5, -1.5, 1e308, float("nan"), "", "x", "\ud800", [], [1], {}, {"a": 1}]
)


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """What happens to the bytes of a file."""
    kind = draw(st.sampled_from(["cut", "change", "insert", "drop", "number"]))
    place, more = draw(st.floats(0, 1, exclude_max=True)), draw(st.binary(min_size=1, max_size=20))
    number = draw(st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f", b"\xff" * 3 + b"\x7f"]))

    def damaged(data: bytes) -> bytes:
        at = int(place * len(data))
        behind = {"cut": b"", "change": more + data[at + len(more) :], "insert": more + data[at:],
                  "drop": data[at + len(more) :], "number": number + data[at + len(number) :]}  # fmt: skip
        return data[:at] + behind[kind]

    return damaged


@st.composite
def replaced(draw: st.DrawFn, value: Any) -> Any:
    """JSON with one value, at any depth, replaced or taken away."""
    value = json.loads(json.dumps(value))
    place = value
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return value
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], (dict, list)) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        if draw(st.integers(0, 3)) == 0:
            del place[key]
        else:
            place[key] = draw(STRANGE)
        return value


def only_ours(*readers: Callable[[], object]) -> None:
    for read in readers:
        try:
            read()
        except SmolTolkError as error:
            assert error.rule and error.found and error.fix


@quick
@given(harm=damage(), near_end=st.booleans())
def test_shards(harm: Callable, near_end: bool, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = sorted(shards_dir.glob("*.parquet"))[0].read_bytes()
    middle = len(whole) // 2 if near_end else 0  # the footer has most to be read wrong
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    path.write_bytes(whole[:middle] + harm(whole[middle:]))

    def stored() -> None:
        units = StoredUnits(look_over(path))
        for index in range(len(units)):
            units.id(index), units.text(index), units.words(index), units.units(index), units.durations(index)

    def looked_over() -> None:
        shards = look_over(path)
        shards.digest(), shards.words_of_some()

    only_ours(
        lambda: list(read_shards(path)), looked_over, stored, lambda: validate_shards(path),
        lambda: units_by_id(path, ["train-000000"]),
    )  # fmt: skip


@quick
@given(harm=damage(), harmed=st.sampled_from(["train.bin", "train.len", "train.dur", "meta.pkl", ""]), data=st.data())
def test_release(harm: Callable, harmed: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("release", numbered=True)
    meta = {"vocab_size": 502, "eos": 500, "pad": 501, "frame_rate": 25, "n_q": 1}
    files = {
        "train.bin": np.array([3, 4, 5, 500, 7, 8, 500], np.uint16).tobytes(),
        "train.len": np.array([4, 3], np.uint64).tobytes(),
        "train.dur": np.ones(7, np.uint8).tobytes(),
        "meta.pkl": pickle.dumps(meta if harmed else data.draw(replaced(meta))),
    }
    for name, content in files.items():
        (place / name).write_bytes(harm(content) if name == harmed else content)
    only_ours(lambda: import_release(place, place / "shards", split="train"))


ROW = {
    "file_name": "a/b.flac",
    "units": [3, 49, 7],
    "duration": [1, 1, 2],
    "text": "a b",
    "aligned_text": [["a", 0, 0.1]],
}


@quick
@given(harm=damage(), row=replaced(ROW), token=replaced({"file_name": "a/b.flac", "audio_repr": "<Un3><Un49><Un7>"}))
def test_slamkit(harm: Callable, row: Any, token: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("slamkit", numbered=True)
    good = json.dumps({**ROW, "file_name": "good.flac"}).encode()
    (place / "features.jsonl").write_bytes(
        b"\n".join([good, json.dumps(row).encode(), harm(json.dumps(ROW).encode()), b""])
    )
    (place / "tokens.jsonl").write_text(json.dumps(token))
    (place / "b.json").write_text(json.dumps({name: row[name] for name in ("text", "aligned_text") if name in row}))
    counts = import_slamkit(place / "features.jsonl", place / "shards")
    assert counts.num_utterances >= 1 and counts.num_utterances + counts.num_rejected >= 2  # the good line is done
    tokens = (place / "tokens.jsonl", place / "others")
    only_ours(lambda: import_slamkit(*tokens, features=place / "features.jsonl", meta_dir=place))


@quick
@given(harm=damage(), row=replaced({"id": "a", "units": [3, 1, 4], "durations": [1, 2, 1], "fingerprint": "f"}))
def test_unit_lines(harm: Callable, row: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path, rejected = tmp_path_factory.getbasetemp() / "units.jsonl", []
    good = b'{"id": "good", "units": [1]}\n'
    path.write_bytes(good + json.dumps(row).encode() + b"\n" + harm(good.replace(b"good", b"bad")))
    rows = read_units(path, "f", rejected)
    assert rows[0][0] == "good"


@pytest.fixture(scope="module")
def saved(phone_units_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Callable]]:
    """Directories of units and vocoders, and what loads them."""
    place = tmp_path_factory.mktemp("saved")
    tokenizer = load_unit_tokenizer(phone_units_dir)
    random = np.random.default_rng(0)
    sound = [random.normal(size=16_000).astype(np.float32)]
    fit_vocoder(sound, tokenizer.encode(sound), tokenizer, steps=1).save(place / "griffinlim")
    HifiGanVocoder(hifigan_config(tokenizer, "tiny", 1), tokenizer.fingerprint).save(place / "hifigan")
    EncoderUnitTokenizer(MfccEncoder(), Codebook(torch.zeros(3, 39))).save(place / "mfcc")
    loads = {"griffinlim": load_vocoder, "hifigan": load_vocoder, "mfcc": load_unit_tokenizer}
    return {name: (place / name, load) for name, load in loads.items()} | {
        "phones": (phone_units_dir, load_unit_tokenizer)
    }


@pytest.mark.parametrize("name", ["phones", "mfcc", "griffinlim", "hifigan"])
def test_directories_of_units_and_vocoders(name: str, saved: dict[str, tuple[Path, Callable]], tmp_path: Path) -> None:
    directory, load = saved[name]
    config, weights = (directory / "config.json").read_bytes(), (directory / "model.safetensors").read_bytes()
    place = tmp_path / "damaged"
    shutil.copytree(directory, place)

    @quick
    @given(harm=damage(), config_value=replaced(json.loads(config)), which=st.sampled_from(["value", "config", "head"]))
    def damaged(harm: Callable, config_value: Any, which: str) -> None:
        made = json.dumps(config_value).encode() if which == "value" else config
        (place / "config.json").write_bytes(harm(config) if which == "config" else made)
        head = harm(weights[:3000]) if which == "head" else weights[:3000]
        (place / "model.safetensors").write_bytes(head + weights[3000:])
        only_ours(lambda: load(place))

    damaged()


@quick
@given(harm=damage(), data=st.data(), which=st.sampled_from(["value", "value", "config", "checkpoint"]))
def test_published_vocoders(
    harm: Callable, data: st.DataObject, which: str, phone_units_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place, tokenizer = tmp_path_factory.getbasetemp(), load_unit_tokenizer(phone_units_dir)
    config = hifigan_config(tokenizer, "tiny", 1)
    torch.save({"generator": HifiGanNetwork(config).state_dict()}, place / "generator.pt")
    whole, written = (place / "generator.pt").read_bytes(), json.dumps(config.as_dict()).encode()
    (place / "generator.pt").write_bytes(harm(whole[:5000]) + whole[5000:] if which == "checkpoint" else whole)
    made = json.dumps(data.draw(replaced(config.as_dict()))).encode() if which == "value" else written
    (place / "generator.json").write_bytes(harm(written) if which == "config" else made)
    only_ours(lambda: read_hifigan(place / "generator.pt", place / "generator.json", tokenizer))
