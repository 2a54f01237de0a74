"""Every causal architecture of the installed transformers works in all these ways, or is refused by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import own_text_model
from smoltolk.model.text_models.layers import block_list, layer_parameter_names
from smoltolk.model.text_models.positions import longest_row

ROWS = ("tttsuuuuustsuu", "uusttsuuuutstt")
SECOND = ("uustt", "tsuuu")
Write = Callable[..., Tensor]
Close = Callable[..., None]


@torch.no_grad()
def test_works_or_is_refused(
    any_architecture: str,
    table: ModuleType,
    tiny: ModuleType,
    make_model: Callable[..., SmolTolkForCausalLM],
    write: Write,
    assert_close: Close,
    tmp_path: Path,
) -> None:
    """What is found is what the docs say, and what works is right: anything but an InputError fails."""
    lines = set(table.TABLE.read_text().splitlines())
    text_model = tiny.running_text_model(any_architecture)
    if text_model is None:
        assert not any(line.startswith(f"| {any_architecture} |") for line in lines)
        pytest.skip("transformers builds or runs no small one from the default configuration")
    try:
        model = make_model(text_model)
    except InputError as refusal:
        assert table.Found.refused_by(any_architecture, refusal).line in lines
        return
    own = own_text_model(text_model)
    where, places, deeper = table.deepened(own)
    assert table.Found.works_as(any_architecture, model, where).line in lines
    if deeper is not None:
        _check_deeper(own, deeper, places)
    ids, second = write(model.config.id_space, *ROWS), write(model.config.id_space, *SECOND, seed=1)
    _check_reading(model, ids, second, assert_close)
    _check_text(model, text_model, write, assert_close)
    _check_saving(model, ids, assert_close, tmp_path)
    _check_length(model.backbone)
    for adapter in (model.late_fusion.adapter, model.late_fission.adapter):
        _check_adapter(adapter)


def test_enough_of_them_work(table: ModuleType) -> None:
    works = [line for line in table.TABLE.read_text().splitlines() if line.count("|") == 5][2:]
    assert len(works) >= 100 and sum("| nowhere |" in line for line in works) <= 4


def _check_reading(model: SmolTolkForCausalLM, ids: Tensor, second: Tensor, assert_close: Close) -> None:
    """Chunks from a cache, padding on either side, packed documents: the same logits."""
    full, T = model(ids).logits, ids.shape[1]
    cache, found = None, []
    for chunk in ids.split([6, 1, 1, 4, 2], dim=1):
        output = model(chunk, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        found.append(output.logits)
    assert_close(torch.cat(found, dim=1), full)

    real = (torch.arange(T + 3) >= 3).long().expand(2, -1)
    left = torch.nn.functional.pad(ids, (3, 0))
    assert_close(model(left, attention_mask=real).logits[:, 3:], full)
    output = model(left[:, :-1], attention_mask=real[:, :-1], use_cache=True)
    last = model(left[:, -1:], attention_mask=real, past_key_values=output.past_key_values).logits
    assert_close(torch.cat([output.logits[:, 3:], last], dim=1), full)
    right = torch.nn.functional.pad(ids, (0, 3))
    assert_close(model(right, attention_mask=real.flip(1)).logits[:, :T], full)

    document_ids = torch.tensor([0] * T + [1] * second.shape[1]).expand(2, -1)
    packed = model(torch.cat([ids, second], dim=1), document_ids=document_ids).logits
    assert_close(packed[:, :T], full)
    assert_close(packed[:, T:], model(second).logits)


def _check_text(model: SmolTolkForCausalLM, text_model: PreTrainedModel, write: Write, assert_close: Close) -> None:
    text = write(model.config.id_space, "tttttttt", "tttttttt")
    expected = text_model(text, use_cache=False).logits.log_softmax(-1)
    assert_close(model(text).logits.log_softmax(-1)[..., : expected.shape[-1]], expected)


def _check_saving(model: SmolTolkForCausalLM, ids: Tensor, assert_close: Close, folder: Path) -> None:
    model.save_pretrained(folder)
    loaded = SmolTolkForCausalLM.from_pretrained(folder).eval()
    state = loaded.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert_close(loaded(ids).logits, model(ids).logits, tolerance=1e-6)


def _check_length(text_model: PreTrainedModel) -> None:
    """One position more than the longest row is an error of the text model; where there is none, it is not."""
    longest = longest_row(text_model.config)
    states = torch.zeros(1, (longest or 128) + 1, text_model.config.hidden_size)
    if longest is None:
        text_model.base_model(inputs_embeds=states, use_cache=False)
        return
    assert longest == 128
    text_model.base_model(inputs_embeds=states[:, 1:], use_cache=False)
    with pytest.raises((IndexError, RuntimeError)):
        text_model.base_model(inputs_embeds=states, use_cache=False)


def _check_adapter(adapter: SpeechAdapter) -> None:
    """The identity if its blocks add nothing; causal; not blind to the order of positions; no parameters but blocks'
    and positions'."""
    states = torch.randn(2, 7, adapter.config.hidden_size, generator=torch.Generator().manual_seed(0))
    given, layers = states.clone(), adapter(states, all_layers=True)
    assert torch.equal(states, given) and len(layers) == len(adapter.blocks) == 2

    swapped = states[:, [1, 0, 2, 3, 4, 5, 6]]
    added, other = (layers[0] - states)[:, -1], (adapter(swapped, all_layers=True)[0] - swapped)[:, -1]
    assert (added - other).norm() > 1e-4 * added.norm()

    later = states.clone()
    later[:, -1] = states[:, 0] - states[:, -1]
    torch.testing.assert_close(adapter(later)[0][:, :-1], layers[-1][:, :-1], rtol=1e-5, atol=1e-5)

    hooks = [block.register_forward_hook(_passed_over, with_kwargs=True) for block in adapter.blocks]
    torch.testing.assert_close(adapter(states)[0], states, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(adapter(3 * states)[0], 3 * states, rtol=1e-6, atol=1e-6)
    for hook in hooks:
        hook.remove()


def _check_deeper(text_model: PreTrainedModel, deeper: PreTrainedModel, places: list[int]) -> None:
    """Passed over, new layers leave the same model."""
    names, ids = layer_parameter_names(deeper, places), torch.arange(2, 12)[None]
    added = sum(p.numel() for p in deeper.parameters()) - sum(p.numel() for p in text_model.parameters())
    assert added == sum(deeper.get_parameter(name).numel() for name in names) > 0
    blocks = block_list(deeper, text_model.config.num_hidden_layers + len(places))[2]
    hooks = [blocks[place].register_forward_hook(_passed_over, with_kwargs=True) for place in places]
    found, expected = (m(input_ids=ids, use_cache=False).logits for m in (deeper, text_model))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for hook in hooks:
        hook.remove()


def _passed_over(block: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
    given = args[0] if args else kwargs["hidden_states"]
    return (given, *output[1:]) if isinstance(output, tuple) else given


# ------------------------------------------------------------------ settings nobody looked at


def _turned(architecture: str, tiny: ModuleType) -> dict[str, bool]:
    """Switches of an architecture's configuration, each turned over or not as a hash of its name says."""
    default = tiny.known_config(architecture)
    if default is None:
        return {}
    held = ("use_cache", "return_dict", "is_decoder", "is_encoder_decoder", "output_hidden_states", "output_attentions")
    switches = [name for name in sorted(tiny.fields_of(type(default))) if isinstance(vars(default).get(name), bool)]
    return {
        name: not getattr(default, name)
        for name in switches
        if name not in held and hashlib.sha256(f"{architecture} {name}".encode()).digest()[0] % 2
    }


@torch.no_grad()
def test_other_settings_work_or_are_refused(
    any_architecture: str,
    tiny: ModuleType,
    make_model: Callable[..., SmolTolkForCausalLM],
    write: Write,
    assert_close: Close,
) -> None:
    turned = _turned(any_architecture, tiny)
    text_model = tiny.running_text_model(any_architecture, **turned) if turned else None
    if text_model is None:
        pytest.skip("no other settings that transformers itself can run")
    try:
        model = make_model(text_model)
    except InputError:
        return
    ids, second = write(model.config.id_space, *ROWS), write(model.config.id_space, *SECOND, seed=1)
    _check_reading(model, ids, second, assert_close)
    _check_text(model, text_model, write, assert_close)
    _check_adapter(model.late_fusion.adapter)


# ------------------------------------------------------------------ one of each kind, in more ways

KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gemma3_text": {"sliding_window": 5, "head_dim": 8},
    "gpt2": {},  # a table of positions
    "bloom": {},  # ALiBi: no ready masks
    "mixtral": {"num_local_experts": 4},
    "granite": {"embedding_multiplier": 12.0, "residual_multiplier": 0.3, "logits_scaling": 4.0},
}


@pytest.mark.parametrize("architecture", KINDS)
def test_generation_with_and_without_a_cache(
    architecture: str, make_text_model: Callable[..., PreTrainedModel], make_model: Callable[..., Any], ids: Tensor
) -> None:
    model = make_model(make_text_model(architecture, **KINDS[architecture]))
    mask = torch.ones_like(ids)
    ways: dict[str, dict[str, Any]] = {"beams": {"num_beams": 2}, "samples": {"do_sample": True, "temperature": 0.7}}
    static = {"cache_implementation": "static", "disable_compile": True}

    def generate(way: str, **cache: Any) -> Tensor:
        torch.manual_seed(0)
        settings = {"do_sample": False, "max_new_tokens": 4, "pad_token_id": 0} | ways[way] | cache
        return model.generate(ids, attention_mask=mask, **settings)

    for way in ways:
        assert torch.equal(generate(way, use_cache=True), generate(way, use_cache=False))
    assert torch.equal(generate("beams", **static), generate("beams"))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "gemma3_text", "granite", "bloom", "cohere2"])
def test_every_parameter_learns(
    architecture: str,
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Callable[..., SmolTolkForCausalLM],
    ids: Tensor,
    gradients: Callable[..., dict[str, Tensor]],
) -> None:
    model = make_model(make_text_model(architecture, **KINDS.get(architecture, {})))
    found = gradients(model, input_ids=ids, labels=ids)
    assert set(found) >= set(model.speech_parameters()) - {"control_embed.weight"}
    assert all(gradient.isfinite().all() for gradient in found.values())
