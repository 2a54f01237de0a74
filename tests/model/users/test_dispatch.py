"""Weights that lie elsewhere: accelerate's hooks bring each one for its module's call, and for nothing else.

So every weight must be used through its module's call, and no module may be called in another's place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model
from accelerate.hooks import AlignDevicesHook, ModelHook, add_hook_to_module
from torch import Tensor, nn
from transformers import PreTrainedModel

from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Close = Callable[..., None]
BOOKS: dict[str, dict[str, Any]] = {
    "three codebooks": {"num_codebooks": 3},
    "three codebooks, untied": {"num_codebooks": 3, "tie_speech_embeddings": False},
}


class Counted(ModelHook):
    """Lets everything through, and says that its module was called."""

    def __init__(self) -> None:
        self.calls = 0

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple, dict]:
        self.calls += 1
        return args, kwargs


def offloaded(model: SmolTolkForCausalLM) -> SmolTolkForCausalLM:
    """A copy whose weights are on the meta device but while the module that owns them is called."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        own = {name: value.detach().clone() for name, value in module.named_parameters(recurse=False)}
        own |= {name: value.clone() for name, value in module.named_buffers(recurse=False)}
        if own:
            hook = AlignDevicesHook("cpu", offload=True, offload_buffers=True, weights_map=own)
            add_hook_to_module(module, hook, append=True)
    assert all(parameter.device.type == "meta" for parameter in model.parameters())
    return model


def inputs_of(model: SmolTolkForCausalLM, written: Callable) -> dict[str, Any]:
    """Text, speech, and every control id as input; with labels."""
    space = model.config.id_space
    ids, codes = written(space, "tttts4ettts3.")
    control = torch.tensor([[space.begin_prompt, space.end_prompt]])
    ids = torch.cat([control, ids], dim=1)
    found = {"input_ids": ids, "labels": ids}
    if space.num_codebooks > 1:
        found["codes"] = torch.cat([codes.new_full((1, 2, codes.shape[-1]), -1), codes], dim=1)
    return found


@torch.no_grad()
def outputs(model: SmolTolkForCausalLM, inputs: dict[str, Any]) -> list[Tensor]:
    made = [model(**inputs), model(**(inputs | {"labels": None}), use_cache=True)]
    found = [made[0].loss, *(one.logits for one in made)]
    return found + [one.codebook_logits for one in made if one.codebook_logits is not None]


def check(found: list[Tensor], expected: list[Tensor], assert_close: Close) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)


def test_every_weight_is_used_through_its_modules_call(
    settings: dict[str, Any], make_model: Make, written: Callable, assert_close: Close
) -> None:
    model = make_model(**settings)
    inputs = inputs_of(model, written)
    check(outputs(offloaded(model), inputs), outputs(model, inputs), assert_close)


@pytest.mark.parametrize("several", BOOKS.values(), ids=BOOKS)
def test_the_tables_of_several_codebooks(
    several: dict[str, Any], make_model: Make, written: Callable, assert_close: Close
) -> None:
    model = make_model(**several)
    inputs = inputs_of(model, written)
    check(outputs(offloaded(model), inputs), outputs(model, inputs), assert_close)


# The heads of these wrap their decoder differently, scale or cap their logits, have biases, or untied tables.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt2": {},
    "opt": {},
    "gemma2": {"final_logit_softcapping": 5.0, "head_dim": 8},
    "granite": {"logits_scaling": 3.0},
    "phi": {},
    "gpt_neox": {"tie_word_embeddings": False},
    "cohere": {},
    "bloom": {},
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_modules_with_hooks_of_any_text_model(
    architecture: str,
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Make,
    written: Callable,
    assert_close: Close,
) -> None:
    """accelerate puts hooks on the modules that a device map names, not on leaves alone."""
    model = make_model(make_text_model(architecture, **ARCHITECTURES[architecture]))
    inputs = inputs_of(model, written)
    expected = outputs(model, inputs)
    check(outputs(offloaded(model), inputs), expected, assert_close)
    hooked = copy.deepcopy(model)
    hooks = {name: Counted() for name, _ in hooked.named_modules() if name}
    for name, hook in hooks.items():
        add_hook_to_module(hooked.get_submodule(name), hook)
    decoder = f"backbone.{hooked.backbone.base_model_prefix}"
    with torch.no_grad():
        found = hooked(**inputs)
    assert hooks[decoder].calls == 1  # the head's forward is not the decoder's
    assert_close(found.logits, expected[1])
    torch.testing.assert_close(found.loss, expected[0])


def test_offload_to_cpu_and_disk(make_model: Make, written: Callable, assert_close: Close, tmp_path: Path) -> None:
    model = make_model()
    inputs = inputs_of(model, written)
    expected = outputs(model, inputs)
    for moved in (
        cpu_offload(copy.deepcopy(model), execution_device="cpu"),
        disk_offload(copy.deepcopy(model), tmp_path / "all", execution_device="cpu"),
    ):
        check(outputs(moved, inputs), expected, assert_close)


def maps(model: SmolTolkForCausalLM) -> dict[str, Any]:
    """Device maps: of all, of each part, of each leaf."""
    named = dict(model.named_children())
    parts = [name for name, part in named.items() if next(part.parameters(), None) is not None]
    rest = {name: "cpu" for name in named if name not in parts}
    leaves: list[str] = []
    for name, module in model.named_modules():
        owns = next(module.parameters(recurse=False), None) is not None
        if owns and not any(name.startswith(f"{leaf}.") for leaf in leaves):  # no entry of a map lies in another
            leaves.append(name)
    return {
        "disk": {"": "disk"},
        "one": {name: "disk" if n % 2 else "cpu" for n, name in enumerate(parts)} | rest,
        "other": {name: "cpu" if n % 2 else "disk" for n, name in enumerate(parts)} | rest,
        "leaves": {name: "cpu" if n % 3 else "disk" for n, name in enumerate(leaves)} | rest,
    }


@pytest.mark.parametrize("which", ["disk", "one", "other", "leaves"])
def test_device_maps(which: str, make_model: Make, written: Callable, assert_close: Close, tmp_path: Path) -> None:
    model = make_model(tie_speech_embeddings=which != "leaves")
    inputs = inputs_of(model, written)
    expected = outputs(model, inputs)
    device_map = maps(model)[which]
    if which != "disk":  # accelerate dispatches no model that lies on the disk as a whole
        moved = dispatch_model(
            copy.deepcopy(model), device_map, main_device="cpu", offload_dir=tmp_path / "dispatched", force_hooks=True
        )
        check(outputs(moved, inputs), expected, assert_close)
    model.save_pretrained(tmp_path / "model", max_shard_size="20KB")
    loaded = SmolTolkForCausalLM.from_pretrained(
        tmp_path / "model", device_map=device_map, offload_folder=tmp_path / "loaded"
    ).eval()
    assert any(parameter.device.type == "meta" for parameter in loaded.parameters())
    check(outputs(loaded, inputs), expected, assert_close)


def test_saved_from_where_it_lies(make_model: Make, ids: Tensor, assert_close: Close, tmp_path: Path) -> None:
    model = make_model()
    moved = cpu_offload(copy.deepcopy(model), execution_device="cpu", state_dict=model.state_dict())
    moved.save_pretrained(tmp_path, state_dict=model.state_dict())
    again = SmolTolkForCausalLM.from_pretrained(tmp_path, device_map="auto").eval()
    with torch.no_grad():
        assert_close(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize("modality", ["text", "speech", "any"])
def test_generation(modality: str, make_model: Make, write: Callable[..., Tensor]) -> None:
    model = make_model(predict_switch=modality == "any")
    moved = offloaded(model)
    prompts = write(model.config.id_space, "tttsuu", "uuuuuu")
    settings = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": 6, "do_sample": False}
    settings |= generation_settings(model.config, modality)
    expected = model.generate(prompts, **settings)
    assert torch.equal(moved.generate(prompts, **settings), expected)
    assert torch.equal(moved.generate(prompts, use_cache=False, **settings), expected)


def test_generation_of_several_codebooks(make_model: Make, written: Callable) -> None:
    model = make_model(num_codebooks=3)
    moved = offloaded(model)
    ids, codes = written(model.config.id_space, "ttts3.")
    settings = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 5, "do_sample": False, "codes": codes}
    settings |= {"return_dict_in_generate": True}
    expected, found = model.generate(ids, **settings), moved.generate(ids, **settings)
    assert torch.equal(found.sequences, expected.sequences) and torch.equal(found.codes, expected.codes)


def test_lora_beside_weights_that_lie_elsewhere(make_model: Make, ids: Tensor, assert_close: Close) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False)
    wrapped = peft.get_peft_model(make_model(), config).eval()
    with torch.no_grad():
        expected = wrapped(input_ids=ids).logits
        assert_close(offloaded(wrapped)(input_ids=ids).logits, expected)
