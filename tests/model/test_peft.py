"""LoRA by PEFT: train, save, load, merge; the speech tables train whole beside it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from smoltolk.model.modeling import SmolTolkForCausalLM

peft = pytest.importorskip("peft", reason="the extra 'dev' brings peft")
Make = Callable[..., SmolTolkForCausalLM]


def wrapped(model: SmolTolkForCausalLM, **changes: Any) -> Any:
    """A copy with LoRA in backbone and adapters, its new parameters not zero."""
    settings = {"r": 4, "target_modules": ["q_proj", "v_proj", "down_proj"], "init_lora_weights": False} | changes
    torch.manual_seed(0)
    return peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(task_type="CAUSAL_LM", **settings))


def step(model: Any, ids: Tensor, learning_rate: float = 0.1) -> set[str]:
    """One step of SGD; the names of what it changed."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    model.train()
    model(input_ids=ids, labels=ids).loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= learning_rate * parameter.grad
    model.eval()
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


@torch.no_grad()
def logits(model: Any, ids: Tensor) -> Tensor:
    return model(input_ids=ids).logits


VARIANTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "tied": ({}, ["units.embed"]),
    "untied": ({"tie_speech_embeddings": False}, ["units.embed", "units.unembed"]),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_train_save_load_merge(
    variant: str, make_model: Make, ids: Tensor, assert_close: Callable, tmp_path: Path
) -> None:
    settings, tables = VARIANTS[variant]
    base = make_model(**settings)
    model = wrapped(base, modules_to_save=tables)
    changed = step(model, ids)
    assert all(any(part in name for part in ("lora_", "modules_to_save")) for name in changed)
    assert {part for part in ("lora_", "backbone", "late_fusion.adapter", "late_fission.adapter", *tables)} == {
        part
        for part in ("lora_", "backbone", "late_fusion.adapter", "late_fission.adapter", *tables)
        if any(part in name for name in changed)
    }
    trained = logits(model, ids)
    assert not torch.allclose(trained, logits(base, ids))

    model.save_pretrained(tmp_path / "lora")
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path / "lora").eval()
    assert_close(logits(loaded, ids), trained, tolerance=1e-6)

    merged = loaded.merge_and_unload()
    assert type(merged) is SmolTolkForCausalLM
    assert_close(logits(merged, ids), trained)
    assert not torch.equal(merged.units.embed.weight, base.units.embed.weight)
    merged.save_pretrained(tmp_path / "merged")
    again = SmolTolkForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert_close(logits(again, ids), trained)
    assert set(again.state_dict()) == set(base.state_dict())


def test_a_tied_head_predicts_with_the_table_that_was_trained(make_model: Make, ids: Tensor) -> None:
    base = make_model()
    model = wrapped(base, modules_to_save=["units.embed"], target_modules=["q_proj"])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "modules_to_save" in name:
                parameter.mul_(2.0)
    plain = wrapped(base, target_modules=["q_proj"])
    plain.base_model.model.units.embed.weight.data.mul_(2.0)
    assert torch.equal(logits(model, ids), logits(plain, ids))


def test_every_linear_layer(make_model: Make, ids: Tensor, assert_close: Callable) -> None:
    """``all-linear`` finds the selector and the adapters, and leaves the text head alone."""
    base = make_model(tie_speech_embeddings=False)
    model = wrapped(base, target_modules="all-linear")
    adapted = {
        name.split(".lora_A")[0].split("base_model.model.")[1]
        for name, _ in model.named_parameters()
        if "lora_A" in name
    }
    assert "layer_mix.selector" in adapted and not any("lm_head" in name for name in adapted)
    assert any(name.startswith("late_fusion.adapter.") for name in adapted)
    step(model, ids)
    trained = logits(model, ids)
    assert_close(logits(model.merge_and_unload(), ids), trained)


@pytest.mark.parametrize(
    ("tied", "targets"),
    [(True, ["units.embed", "units.further"]), (False, "all-linear"), (False, ["units.further"])],
)
def test_several_codebooks(
    tied: bool, targets: list[str] | str, make_model: Make, write: Callable[..., Tensor], assert_close: Callable
) -> None:
    base = make_model(num_codebooks=3, codebook_delays=[0, 0, 0], tie_speech_embeddings=tied)
    ids = write(base.config.id_space, "tttsuuuu")
    codes = torch.full((1, 8, 2), -1)
    codes[:, 4:] = torch.randint(0, base.config.num_units, (1, 4, 2), generator=torch.Generator().manual_seed(0))
    model = wrapped(base, target_modules=targets)

    @torch.no_grad()
    def outputs(one: Any) -> tuple[Tensor, Tensor]:
        made = one(input_ids=ids, codes=codes)
        return made.logits, made.codebook_logits

    trained, before = outputs(model), outputs(base)
    assert not torch.allclose(trained[1], before[1])
    for found, expected in zip(outputs(model.merge_and_unload()), trained, strict=True):
        assert_close(found, expected)


@pytest.mark.parametrize("pool", ["backbone", "all"])
def test_a_tied_table_of_low_rank(pool: str, make_model: Make, ids: Tensor, assert_close: Callable) -> None:
    base = make_model(layer_mix_pool=pool)
    model = wrapped(base, target_modules=["units.embed"])
    assert step(model, ids)
    trained = logits(model, ids)
    assert not torch.allclose(trained, logits(base, ids))
    assert_close(logits(model.merge_and_unload(), ids), trained)


def test_generation(make_model: Make, write: Callable[..., Tensor]) -> None:
    base = make_model()
    model = wrapped(base, modules_to_save=["units.embed"])
    prompts = write(base.config.id_space, "tttsuu")
    settings = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": 5, "do_sample": False}
    cached = model.generate(input_ids=prompts, **settings)
    assert torch.equal(cached, model.generate(input_ids=prompts, use_cache=False, **settings))
    assert torch.equal(cached, model.merge_and_unload().generate(input_ids=prompts, **settings))


def test_an_untied_text_head(
    make_text_model: Callable[..., PreTrainedModel], make_model: Make, ids: Tensor, assert_close: Callable
) -> None:
    """The text head lies outside the backbone's decoder, and is adapted there."""
    base = make_model(make_text_model(tie_word_embeddings=False))
    model = wrapped(base, target_modules=["lm_head"])
    assert {name.split(".")[-3] for name in step(model, ids)} == {"lora_B", "lora_A"}
    trained = logits(model, ids)
    assert not torch.allclose(trained, logits(base, ids))
    assert_close(logits(model.merge_and_unload(), ids), trained)
