"""The tiny checkpoints of the published implementations compute what they computed there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.checkpoints import convert_checkpoint, load_checkpoint

PARITY = Path(__file__).parents[1] / "data" / "parity"
TEXT_MODELS = {"smoltolk": PARITY / "tiny-llama", "early": PARITY / "tiny-llama", "lf2ar": None}


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_parity(name: str, tmp_path: Path, largest_error: Callable) -> None:
    expected = load_file(PARITY / name / "expected.safetensors")
    model = convert_checkpoint(PARITY / name, tmp_path / "ours", TEXT_MODELS[name]).model
    assert largest_error(model, expected) <= 1e-5
    assert largest_error(SmolTolkForCausalLM.from_pretrained(tmp_path / "ours").eval(), expected) <= 1e-5


def test_the_file_itself() -> None:
    model, tokenizer = load_checkpoint(PARITY / "early" / "model_ckpt.pt", PARITY / "tiny-llama")
    assert tokenizer is None
    assert (model.config.num_units, model.config.num_input_layers, model.config.layer_mix) == (50, 0, "last")


def test_the_tokenizer_comes_along(tmp_path: Path) -> None:
    model = convert_checkpoint(PARITY / "lf2ar", tmp_path / "ours").model
    assert AutoTokenizer.from_pretrained(tmp_path / "ours").eos_token_id == model.config.eos_text_id == 1


def write_release(path: Path, **changes: Any) -> Path:
    checkpoint = torch.load(PARITY / "smoltolk" / "model_ckpt.pt", weights_only=True)
    torch.save(checkpoint | changes, path)
    return path


def test_pickles_are_not_run(tmp_path: Path) -> None:
    path = write_release(tmp_path / "bad.pt", config=Path("object"))
    with pytest.raises(InputError, match="plain data"):
        load_checkpoint(path, PARITY / "tiny-llama")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half of one"])
def test_no_checkpoint_at_all(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(InputError, match="must be a torch"):
        load_checkpoint(tmp_path / "bad.pt")


def test_other_contents(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="must have a dict 'model_args'"):
        load_checkpoint(tmp_path / "list.pt")
    with pytest.raises(InputError, match="known by audio_vocabsize or aud_vocabsize"):
        load_checkpoint(write_release(tmp_path / "other.pt", model_args={"dim": 3}), PARITY / "tiny-llama")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file or directory"):
        load_checkpoint(tmp_path / "missing")
    with pytest.raises(NotFoundError):
        load_checkpoint(tmp_path)  # a directory without config.json


def test_the_text_model_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="local/tiny-llama") as error:
        load_checkpoint(PARITY / "smoltolk")
    assert "name the text model" in error.value.fix


def test_another_text_model(tmp_path: Path) -> None:
    config = json.loads((PARITY / "tiny-llama" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    with pytest.raises(InputError, match=r"missing: backbone\.model\.layers\.4"):
        load_checkpoint(PARITY / "smoltolk", tmp_path)


@pytest.fixture
def lf2ar(tmp_path: Path) -> Path:
    directory = tmp_path / "lf2ar"
    shutil.copytree(PARITY / "lf2ar", directory)
    return directory


def test_several_files(lf2ar: Path, largest_error: Callable) -> None:
    state = load_file(lf2ar / "model.safetensors")
    (lf2ar / "model.safetensors").unlink()
    names = sorted(state)
    for number, part in enumerate((names[::2], names[1::2]), 1):
        save_file({name: state[name] for name in part}, lf2ar / f"model-{number:05}-of-00002.safetensors")
    model, _ = load_checkpoint(lf2ar)
    assert largest_error(model, load_file(lf2ar / "expected.safetensors")) <= 1e-5


def test_broken_directories(lf2ar: Path) -> None:
    described = json.loads((lf2ar / "config.json").read_text())
    (lf2ar / "config.json").write_text(json.dumps(described | {"format_version": 9}))
    with pytest.raises(InputError, match="format_version 9"):
        load_checkpoint(lf2ar)
    (lf2ar / "config.json").write_text(json.dumps(described))
    (lf2ar / "model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match=r"model\.safetensors must be a safetensors file"):
        load_checkpoint(lf2ar)
    (lf2ar / "model.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"model\*\.safetensors"):
        load_checkpoint(lf2ar)


def test_a_model_of_this_project(tmp_path: Path) -> None:
    convert_checkpoint(PARITY / "lf2ar", tmp_path / "ours")
    with pytest.raises(InputError, match="load with from_pretrained"):
        load_checkpoint(tmp_path / "ours")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_args": {"audio_vocabsize": "many"}}, "numbers, flags and names"),
        ({"model": {"txt_embed.weight": [1.0, 2.0]}}, "dict of tensors by name"),
        ({"model": {}}, "every tensor of its model"),
    ],
)
def test_other_values(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    checkpoint = torch.load(PARITY / "smoltolk" / "model_ckpt.pt", weights_only=True)
    for part, values in change.items():
        checkpoint[part] = checkpoint[part] | values if values else {}
    torch.save(checkpoint, tmp_path / "other.pt")
    with pytest.raises(InputError, match=message):
        load_checkpoint(tmp_path / "other.pt", PARITY / "tiny-llama")


def test_a_text_model_that_nobody_knows(lf2ar: Path) -> None:
    described = json.loads((lf2ar / "config.json").read_text())
    described["model_args"]["backbone_config"] = {"model_type": "abacus"}
    (lf2ar / "config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="that transformers knows"):
        load_checkpoint(lf2ar)


def test_an_adapter_whose_heads_do_not_divide_its_width(lf2ar: Path) -> None:
    described = json.loads((lf2ar / "config.json").read_text())
    for adapter in ("aud_inadapter", "aud_outadapter"):
        described["model_args"] |= {f"{adapter}_dim": 30, f"{adapter}_n_heads": 4}
    (lf2ar / "config.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="heads must divide the adapter's width"):
        load_checkpoint(lf2ar)


def test_the_name_of_the_text_model_is_kept() -> None:
    model, _ = load_checkpoint(PARITY / "smoltolk", PARITY / "tiny-llama")
    assert model.config.text_model_name == "local/tiny-llama"
