"""Vocoders from the command line: every kind is fitted, kept, and speaks; a published one comes in."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.hifigan_config import hifigan_config
from smoltolk.speech.vocoders.hifigan_network import HifiGanNetwork


@pytest.fixture(scope="module")
def units_file(tmp_path_factory: pytest.TempPathFactory, phone_units_dir: Path) -> Path:
    path = tmp_path_factory.mktemp("say") / "units.jsonl"
    fingerprint = load_unit_tokenizer(phone_units_dir).fingerprint
    path.write_text(json.dumps({"id": "one", "units": [3, 7, 5], "durations": [2, 1, 4], "fingerprint": fingerprint}))
    return path


@pytest.mark.parametrize(
    ("kind", "options"), [("griffinlim", []), ("vocos", []), ("hifigan", ["--size", "tiny", "--speakers", "all"])]
)
def test_a_kind_is_fitted_kept_and_speaks(
    kind: str, options: list[str], spoken_corpus: Path, phone_units_dir: Path, units_file: Path, tmp_path: Path,
    smoltolk: Callable,
) -> None:  # fmt: skip
    out = tmp_path / "vocoder"
    command = ("vocoder", "fit", spoken_corpus, phone_units_dir, out, "--kind", kind, "--steps", 1, "--no-judge")
    first = smoltolk(*command, *options)
    assert first.code == 0, first.err
    assert "utterances are few" in first.err
    assert list((out / "samples").rglob("*.wav")) and not (tmp_path / "vocoder.work").exists()
    second = smoltolk(*command, *options)
    assert (
        second.code == 0
        and "already there" in second.out
        and set(first.out.splitlines()) <= set(second.out.splitlines())
    )
    said = smoltolk("vocoder", "say", units_file, out, tmp_path / "said", "--keep-durations")
    assert said.code == 0 and soundfile.info(tmp_path / "said" / "one.wav").frames == 7 * 640
    nobody = smoltolk("vocoder", "say", units_file, out, tmp_path / "said", "--speaker", "nobody")
    assert nobody.code == 1 and "'nobody'" in nobody.err


def test_a_model_may_judge(
    spoken_corpus: Path, phone_units_dir: Path, ctc_dir: Path, tmp_path: Path, smoltolk: Callable
) -> None:
    command = ("vocoder", "fit", spoken_corpus, phone_units_dir, tmp_path / "vocoder", "--steps", 1, "--judge")
    nobody = smoltolk(*command, "./nobody")
    assert nobody.code == 1 and "nobody" in nobody.err and not (tmp_path / "vocoder.work").exists()
    made = smoltolk(*command, ctc_dir)
    assert made.code == 0, made.err
    order = ["as recorded", "its spectrogram inverted", "units, true durations", "units, predicted durations"]
    said = [line for line in made.out.splitlines() if "word errors" in line]
    assert [title in line for title, line in zip(order, said, strict=True)] == [True] * 4
    assert smoltolk(*command, "pocketsphinx").code == 1  # what lies there was heard by another one


def test_a_published_one_comes_in(phone_units_dir: Path, units_file: Path, tmp_path: Path, smoltolk: Callable) -> None:
    tokenizer = load_unit_tokenizer(phone_units_dir)
    config = hifigan_config(tokenizer, "tiny", 1)
    torch.save({"generator": HifiGanNetwork(config).state_dict()}, tmp_path / "generator.pt")
    (tmp_path / "config.json").write_text(json.dumps(config.as_dict()))
    command = ("vocoder", "import", tmp_path / "generator.pt", phone_units_dir, tmp_path / "vocoder")
    missing = smoltolk(*command)
    assert missing.code == 1 and "--config" in missing.err
    for _ in range(2):
        made = smoltolk(*command, "--config", tmp_path / "config.json")
        assert made.code == 0 and "41 at 25 Hz" in made.out, made
    assert smoltolk("vocoder", "say", units_file, tmp_path / "vocoder", tmp_path / "said").code == 0
    assert (tmp_path / "said" / "one.wav").is_file()
