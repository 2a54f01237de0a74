"""A LoRA trains, is saved with what it belongs to, comes back, goes into the weights and out again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.inference.lora import Origin, is_lora, merged, open_lora, origin_of, unmerged
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.optimization import set_trainable
from smoltolk.training.recipe import Stage
from smoltolk.training.tuning.lora import add_lora, load_lora_weights, lora_parameters
from smoltolk.training.tuning.settings import LoraSettings

pytest.importorskip("peft", reason="the extra 'lora'")
Build = Callable[..., SmolTolkForCausalLM]
IDS = torch.tensor([[0, 7, 8, 66, 70, 71, 72, 66, 9, 0]])


@pytest.fixture
def base(build: Build, tmp_path: Path) -> Path:
    model = build("late")
    model.save_pretrained(tmp_path / "models" / "base")
    return tmp_path / "models" / "base"


def load(base: Path) -> SmolTolkForCausalLM:
    return SmolTolkForCausalLM.from_pretrained(base)


def with_lora(base: Path, speech_is_new: bool = False, **settings: Any) -> Any:
    """Around the model of a directory, its new parameters not zero."""
    model = add_lora(load(base), LoraSettings(r=4, **settings), Origin(str(base)), speech_is_new=speech_is_new)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    ids = IDS.clone()
    space = model.config.id_space
    ids[ids == 66], ids[0, 4:7] = space.switch, torch.arange(3) + space.speech_offset
    return model.eval()(input_ids=ids).logits


def test_a_fresh_one_changes_nothing(base: Path) -> None:
    model = add_lora(load(base), LoraSettings(r=4), Origin(str(base)))
    assert torch.equal(logits(model), logits(load(base)))
    names = {name for name in lora_parameters(model)}
    for part in ("backbone.model.layers.0.self_attn.q_proj", "late_fusion.adapter", "layer_mix.selector"):
        assert any(part in name for name in names)
    assert not any("lm_head" in name or "units" in name for name in names)


@pytest.mark.parametrize("speech_is_new", [False, True])
def test_saved_opened_merged(speech_is_new: bool, base: Path, tmp_path: Path) -> None:
    model = with_lora(base, speech_is_new)
    expected = logits(model)
    assert not torch.allclose(expected, logits(load(base)), atol=1e-3)
    model.save_pretrained(tmp_path / "lora")
    assert is_lora(tmp_path / "lora") and not is_lora(base)
    torch.testing.assert_close(logits(open_lora(tmp_path / "lora")), expected, rtol=1e-6, atol=1e-6)
    whole = merged(tmp_path / "lora")
    assert type(whole) is SmolTolkForCausalLM
    torch.testing.assert_close(logits(whole), expected, rtol=1e-4, atol=1e-5)


def test_taken_out_again(base: Path, tmp_path: Path) -> None:
    with_lora(base).save_pretrained(tmp_path / "lora")
    back = unmerged(merged(tmp_path / "lora"), tmp_path / "lora")
    plain = load(base).state_dict()
    assert set(back.state_dict()) == set(plain)
    for name, value in back.state_dict().items():
        torch.testing.assert_close(value, plain[name], rtol=0, atol=1e-6, msg=name)


def test_in_bfloat16(base: Path, tmp_path: Path) -> None:
    """Added and taken out to the rounding of the weights; the matrices themselves are float32."""
    load(base).to(torch.bfloat16).save_pretrained(tmp_path / "half")
    lora = with_lora(tmp_path / "half")
    kinds = {("lora_" in name, parameter.dtype) for name, parameter in lora.named_parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    lora.save_pretrained(tmp_path / "lora")
    whole = merged(tmp_path / "lora")
    assert {parameter.dtype for parameter in whole.parameters()} == {torch.bfloat16}
    largest = {name: value.float().abs().max() for name, value in whole.state_dict().items()}
    plain = load(tmp_path / "half").state_dict()
    for name, value in unmerged(whole, tmp_path / "lora").state_dict().items():
        torch.testing.assert_close(
            value.float(), plain[name].float(), rtol=0, atol=float(largest[name]) / 128, msg=name
        )
    exact = merged(tmp_path / "lora", torch.float32)
    assert {parameter.dtype for parameter in exact.parameters()} == {torch.float32}


def test_nothing_warns(base: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with_lora(base).save_pretrained(tmp_path / "lora")
    merged(tmp_path / "lora")
    assert not [one for one in recwarn if issubclass(one.category, FutureWarning)]


def test_what_trained_whole_cannot_be_taken_out(base: Path, tmp_path: Path) -> None:
    with_lora(base, whole=("units",)).save_pretrained(tmp_path / "lora")
    with pytest.raises(InputError, match="units trained whole"):
        unmerged(merged(tmp_path / "lora"), tmp_path / "lora")


def test_it_knows_its_model(base: Path, tmp_path: Path) -> None:
    with_lora(base).save_pretrained(tmp_path / "loras" / "one")
    # Moved together.
    shutil.copytree(tmp_path / "models", tmp_path / "elsewhere" / "models")
    shutil.copytree(tmp_path / "loras", tmp_path / "elsewhere" / "loras")
    expected = logits(merged(tmp_path / "loras" / "one"))
    shutil.rmtree(tmp_path / "models")
    moved = tmp_path / "elsewhere" / "loras" / "one"
    assert Path(origin_of(moved)[0].name) == tmp_path / "elsewhere" / "models" / "base"
    assert torch.equal(logits(merged(moved)), expected)
    # Trained on.
    other = load(tmp_path / "elsewhere" / "models" / "base")
    with torch.no_grad():
        other.units.embed.weight[0] += 1
    other.save_pretrained(tmp_path / "elsewhere" / "models" / "base")
    with pytest.raises(InputError, match="other weights"):
        merged(moved)
    shutil.rmtree(tmp_path / "elsewhere" / "models")
    with pytest.raises(NotFoundError, match="base"):
        merged(moved)


def test_stages(base: Path) -> None:
    """Stage 1 trains what is whole of speech and the matrices there, stage 2 those in the text model too."""
    stages = [
        Stage(name="s", num_steps=1, trainable=kind, learning_rate=1.0, warmup_steps=0) for kind in ("speech", "all")
    ]
    model = with_lora(base, speech_is_new=True)
    first, second = (set(set_trainable(model, stage)) for stage in stages)
    assert first and not any(".backbone." in name for name in first)
    assert first < second and all("lora_" in name for name in second - first)
    assert any("control_embed" in name for name in first) and any("units" in name for name in first)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == second
    plain = set_trainable(with_lora(base), stages[0])
    assert plain and all("lora_" in name for name in plain)


def test_new_layers_belong_to_speech(build: Build, tmp_path: Path) -> None:
    model = build("early_plus")
    assert model.config.new_layers
    model.save_pretrained(tmp_path / "early")
    lora = with_lora(tmp_path / "early", speech_is_new=True)
    speech = set(lora_parameters(lora, everything=False))
    place = model.config.new_layers[0]
    assert any(f"backbone.model.layers.{place}." in name and "modules_to_save" in name for name in speech)
    assert not any("backbone.model.layers.0." in name for name in speech)
    expected = logits(lora)
    lora.save_pretrained(tmp_path / "lora")
    torch.testing.assert_close(logits(merged(tmp_path / "lora")), expected, rtol=1e-4, atol=1e-5)


def test_weights_come_back_into_the_same_lora(base: Path, tmp_path: Path) -> None:
    model = with_lora(base, speech_is_new=True)
    model.save_pretrained(tmp_path / "lora")
    fresh = add_lora(load(base), LoraSettings(r=4), Origin(str(base)), speech_is_new=True)
    load_lora_weights(fresh, tmp_path / "lora")
    assert torch.equal(logits(fresh), logits(model))


def test_tables_by_name(base: Path) -> None:
    model = with_lora(base, targets=("units.embed", "q_proj"))
    names = set(lora_parameters(model))
    assert any("units.embed.lora_embedding" in name for name in names)
    changed = logits(model)
    with model.disable_adapter():
        assert not torch.allclose(logits(model), changed)
    torch.testing.assert_close(logits(model.merge_and_unload()), changed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"targets": ("no_proj",)}, "q_proj"),
        ({"whole": ("backbone",)}, "other than the text model"),
        ({"whole": ("nothing",)}, "nothing"),
        ({"targets": ("speech",), "whole": ("speech",)}, "add backbone"),
        ({"targets": ("embed_tokens",)}, "one layer alone"),  # tied: merged, it would be another model
        ({"targets": ("q_proj", "lm_head")}, "one layer alone"),
    ],
)
def test_refused(settings: dict[str, Any], told: str, base: Path) -> None:
    with pytest.raises(InputError, match=told):
        with_lora(base, **settings)


def test_a_frozen_text_model(build: Build) -> None:
    model = build("inserted")
    with pytest.raises(InputError, match="frozen_text_model"):
        add_lora(model, LoraSettings(), Origin("x"))
    assert lora_parameters(add_lora(build("inserted"), LoraSettings(targets=("units.embed",)), Origin("x")))
