"""From a published checkpoint to a model that computes the same, by one command."""

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
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoProcessor

from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitUtterance
from smoltolk.data.world.stories import World
from smoltolk.evaluation.sets.layouts import write_parts
from smoltolk.evaluation.sets.speaking import Speaking
from smoltolk.evaluation.sets.texts import topic_choices
from smoltolk.speech.synthesis.espeak_synthesis import espeak_available, voices

PARITY = Path(__file__).parents[1] / "data" / "parity"
TEXT_MODEL = ["--text-model", PARITY / "tiny-llama"]


@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("smoltolk", TEXT_MODEL, ["SmolTolk release", "2 layers, as wide", "dynamic", "80 read", "none found"]),
        ("early", TEXT_MODEL, ["SmolTolk release", "input adapter    none", "the last layer alone", "41 read"]),
        ("lf2ar", [], ["LF2AR converted", "78 read", "tokenizer        with the model"]),
    ],
)
def test_the_written_model_computes_what_was_published(
    name: str, options: list, shown: list[str], tmp_path: Path, smoltolk: Callable, largest_error: Callable
) -> None:
    done = smoltolk("convert", PARITY / name, tmp_path / "ours", *options)
    assert done.code == 0, done.err
    assert all(part in done.out for part in shown), done.out
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    assert largest_error(model, load_file(PARITY / name / "expected.safetensors")) <= 1e-5
    assert "arXiv 2503.06211" in (tmp_path / "ours" / "README.md").read_text()
    if name == "lf2ar":
        processor = AutoProcessor.from_pretrained(tmp_path / "ours")
        assert processor.space == model.config.id_space
        assert processor([3, 1])["input_ids"].tolist() == [[352, 305, 303]]


def test_keys_of_wrappers_and_a_file_of_any_name(tmp_path: Path, smoltolk: Callable, largest_error: Callable) -> None:
    checkpoint = torch.load(PARITY / "smoltolk" / "model_ckpt.pt", weights_only=True)
    checkpoint["model"] = {f"_orig_mod.{name}": value for name, value in checkpoint["model"].items()}
    torch.save(checkpoint, tmp_path / "step-1000.pt")
    done = smoltolk("convert", tmp_path / "step-1000.pt", tmp_path / "ours", *TEXT_MODEL)
    assert done.code == 0, done.err
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    assert largest_error(model, load_file(PARITY / "smoltolk" / "expected.safetensors")) <= 1e-5


class Bomb:
    """What must not go off."""

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was run')",)


def _write(change: str, directory: Path) -> Path:
    """A checkpoint with one thing wrong."""
    path = directory / "model_ckpt.pt"
    checkpoint: dict[str, Any] = torch.load(PARITY / "smoltolk" / "model_ckpt.pt", weights_only=True)
    state = checkpoint["model"]
    if change == "missing":
        del state["layer_selector.weight"]
    elif change == "extra":
        state["audio_in_layers.2.mlp.up_proj.weight"] = torch.zeros(3)
    elif change == "misshapen":
        state["layer_weights"] = torch.zeros(3, 1, 1, 1)
    elif change == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
        return path
    elif change == "object":
        checkpoint["config"] = Bomb()
    elif change == "format":
        checkpoint["model_args"] = {"dim": 64}
    elif change == "parts":
        checkpoint = {"weights": state}
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize(
    ("change", "found", "fix"),
    [
        ("missing", "missing: layer_mix.selector.weight; extra: none", "belong together"),
        ("extra", "extra: audio_in_layers.2.mlp.up_proj.weight", "belong together"),
        ("misshapen", "layer_mix.static_logits (3,) instead of (4,)", "belong together"),
        ("pickle", "plain data", "save its `model` and `model_args` alone"),
        ("object", "plain data", "save its `model` and `model_args` alone"),
        ("format", "settings ['dim']", "convert a checkpoint of one of the two"),
        ("parts", "['weights']", "use a SmolTolk release or an LF2AR checkpoint"),
    ],
)
def test_bad_checkpoints_leave_nothing(change: str, found: str, fix: str, tmp_path: Path, smoltolk: Callable) -> None:
    source = _write(change, tmp_path)
    done = smoltolk("convert", source, tmp_path / "ours", *TEXT_MODEL)
    assert done.code == 1 and done.err.startswith("error: ")
    assert found in done.err and fix in done.err, done.err
    assert sorted(tmp_path.iterdir()) == [source]


def test_bad_places(tmp_path: Path, smoltolk: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    (tmp_path / "empty").mkdir()
    shutil.copytree(PARITY / "lf2ar", tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    other = json.loads((PARITY / "tiny-llama" / "config.json").read_text()) | {"hidden_size": 32}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps(other))
    before = sorted(tmp_path.rglob("*"))
    for source, place, options, found in (
        (PARITY / "lf2ar", "full", [], "holds something"),
        (PARITY / "lf2ar", "full/thesis.tex", [], "is a file"),
        (tmp_path / "nothing", "new", [], "no file or directory"),
        (tmp_path / "empty", "new", [], "no file"),
        (tmp_path / "bare", "new", [], "model*.safetensors"),
        (PARITY / "smoltolk", "new", [], "'local/tiny-llama'"),
        (PARITY / "smoltolk", "new", ["--text-model", tmp_path / "empty"], "name the text model"),
        (PARITY / "smoltolk", "new", ["--text-model", tmp_path / "other"], "misshapen"),
    ):
        done = smoltolk("convert", source, tmp_path / place, *options)
        assert done.code == 1 and found in done.err, (found, done.err)
    assert sorted(tmp_path.rglob("*")) == before


def test_into_an_empty_directory(tmp_path: Path, smoltolk: Callable) -> None:
    (tmp_path / "ours").mkdir()
    assert smoltolk("convert", PARITY / "early", tmp_path / "ours", *TEXT_MODEL).code == 0
    again = smoltolk("convert", PARITY / "early", tmp_path / "ours", *TEXT_MODEL)
    assert again.code == 1 and "choose another place" in again.err


def test_a_converted_checkpoint_is_scored_beside_the_published_figures(tmp_path: Path, smoltolk: Callable) -> None:
    """Two commands: convert, and evaluate by the published rule."""
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    stories, space = topic_choices(World(0, 12), 4), 50  # units of the checkpoint
    write_parts(tmp_path / "sets" / "tSC", stories, Speaking(voices(2, 0, "seen")))
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "shards" / "part.parquet", ShardMetadata(25.0, "x" * 64, space)) as writer:
        for path in sorted((tmp_path / "sets" / "tSC").glob("*.wav")):
            units, ones = rng.integers(0, space, 12).astype(np.uint16), np.ones(12, np.uint16)
            writer.add(UnitUtterance(path.stem, "a", (), units, ones, "a", "en", "test", 12 / 25))
    assert smoltolk("convert", PARITY / "lf2ar", tmp_path / "ours").code == 0
    places = ["--data", tmp_path / "sets", "--shards", tmp_path / "shards", "--out", tmp_path / "run"]
    done = smoltolk("evaluate", tmp_path / "ours", "tsc", *places, "--rule", "lf2ar")
    assert done.code == 0, done.err
    shown = [line.split() for line in done.out.splitlines()]
    assert ["tsc", "LF2AR", "150M", "lf2ar", "82.0", "88.2", "80.6", "75.3"] in shown
    results = json.loads((tmp_path / "run" / "results.json").read_text())["tasks"]["tsc"]
    assert set(results["rules"]) == {"lf2ar", "lf2ar,normalisation=sum"} and results["failures"] == {}
    assert set(results["rules"]["lf2ar"]["cells"]) == {"S->S", "T->T", "S->T", "T->S"}
    assert results["feeds"]["S->T"]["prefix"] == 10
    text = (tmp_path / "run" / "results.md").read_text()
    assert "LF2AR 2B 86.9 (lf2ar)" in text and "SmolTolk 400M 80.9 (smoltolk-release)" in text
