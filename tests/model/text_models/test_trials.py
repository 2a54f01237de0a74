"""What a text model cannot do is found out, and told, before anything is built around it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.precision import can_be_float32, in_float32
from smoltolk.model.text_models.trials import (
    check_text_model,
    goes_on_from_cache,
    masks_spans,
    packs_documents,
    trial_adapter,
)

Make = Callable[..., PreTrainedModel]


@pytest.mark.parametrize(
    ("architecture", "found"),
    [
        ("ctrl", "leave the states it is given as they are"),
        ("openai-gpt", "no past_key_values"),
        ("llama4_text", "a decoder of its own"),
        ("deepseek_v4", "must run on states"),
        ("hy_v4", "the states behind each of its 3 layers"),
        ("bert", "must be causal"),
        ("minimax", "go on from a cache"),
        ("moshi", "with a cache it computes something else"),
    ],
)
def test_what_does_not_work_is_refused_by_name(architecture: str, found: str, tiny: ModuleType) -> None:
    text_model = tiny.tiny_text_model(architecture)
    with pytest.raises(InputError, match=found) as caught:
        check_text_model(text_model)
    assert type(text_model).__name__ in caught.value.found and "docs/architectures.md" in caught.value.fix


def test_padding_that_changes_something(tiny: ModuleType) -> None:
    """The convolutions' bias makes padding speak."""
    check_text_model(tiny.tiny_text_model("lfm3"))
    with pytest.raises(InputError, match="padding in front of a row must change nothing"):
        check_text_model(tiny.tiny_text_model("lfm3", conv_bias=True))


class _HeadOfIds(LlamaForCausalLM):
    """A head that looks at more than final states."""

    def forward(self, input_ids: Tensor | None = None, **kwargs: Any) -> Any:
        output = super().forward(input_ids=input_ids, **kwargs)
        return output if input_ids is None else type(output)(logits=output.logits + input_ids[..., None])


class _ForgetfulModel(LlamaForCausalLM):
    """A cache that it takes and does not read."""

    def __init__(self, config: Any):
        super().__init__(config)
        whole = self.model.forward
        self.model.forward = lambda past_key_values=None, **more: whole(**more)  # type: ignore[method-assign]


class _NoHead(LlamaForCausalLM):
    """A head that cannot be asked at all."""

    def forward(self, input_ids: Tensor | None = None, **kwargs: Any) -> Any:
        return super().forward(input_ids=input_ids[:, :], **kwargs)  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (_HeadOfIds, "the whole model makes other logits"),
        (_NoHead, "must read its final states alone"),
        (_ForgetfulModel, "a text model must take states instead of ids, and keep a cache"),
    ],
)
def test_heads_and_caches_that_are_none(kind: type[LlamaForCausalLM], found: str, make_text_model: Make) -> None:
    text_model = kind(make_text_model().config).eval()
    with pytest.raises(InputError, match=found):
        check_text_model(text_model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packing_is_tried(dtype: torch.dtype, tiny: ModuleType) -> None:
    """Experts move the last bits of what they compute, and still keep documents apart; OPT and its like do not."""
    for architecture in ("llama", "mistral", "mixtral", "qwen2_moe", "granitemoe", "hy_v3"):
        assert packs_documents(tiny.tiny_text_model(architecture).to(dtype)), architecture
    for architecture in ("opt", "mpt", "xglm", "bloom", "qwen3_next"):
        assert not packs_documents(tiny.tiny_text_model(architecture).to(dtype)), architecture


def test_a_fresh_model_shows_it_too(make_text_model: Make) -> None:
    """Before training, documents that see each other differ least: by 5e-3."""
    for architecture, packs in (("xglm", False), ("bloom", False), ("llama", True), ("mixtral", True)):
        text_model = type(make_text_model(architecture))(make_text_model(architecture).config)
        assert packs_documents(text_model) == packs, architecture


def test_ready_masks_are_tried(tiny: ModuleType) -> None:
    for architecture, masks in (("llama", True), ("gemma3_text", True), ("mpt", True), ("bloom", False)):
        assert masks_spans(SpeechAdapter(tiny.tiny_config(architecture), 1)) == masks, architecture


@pytest.mark.parametrize("architecture", ["kimi_linear", "nemotron_h"])
def test_attention_layers_without_positions(architecture: str, tiny: ModuleType) -> None:
    """Of hybrids whose other layers tell where things stand; early fusion needs no adapters."""
    text_model = tiny.tiny_text_model(architecture)
    with pytest.raises(InputError, match="must know the order of positions"):
        SmolTolkForCausalLM.from_text_model(text_model, num_units=5)
    early = {"num_input_layers": 0, "num_output_layers": 0, "layer_mix": "last", "speech_residual": False}
    model = SmolTolkForCausalLM.from_text_model(text_model, num_units=5, **early)
    ids = torch.tensor([[3, 4, model.config.switch_id, model.config.speech_offset, model.config.speech_offset + 1]])
    assert model(ids).logits.isfinite().all()


def test_an_adapter_that_scales_what_it_reads(make_text_model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a scale of embeddings not known by its name, it would be found out."""
    monkeypatch.setattr("smoltolk.model.adapters._PLAIN_INPUT", {})
    text_model = make_text_model("granite", embedding_multiplier=12.0)
    with pytest.raises(InputError, match="must read states as they are"):
        trial_adapter(text_model, text_model.config)


def test_models_are_left_as_they_are(make_text_model: Make) -> None:
    text_model = make_text_model("opt").train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_text_model(text_model)
    packs_documents(text_model)
    trial_adapter(text_model, text_model.config)
    assert text_model.training and torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_no_reason_to_refuse(dtype: torch.dtype, make_text_model: Make) -> None:
    """What fresh blocks add is less than the last bit of a bfloat16, and they know positions all the same."""
    for architecture in ("llama", "gpt2", "mixtral", "gemma2"):
        fresh = type(make_text_model(architecture))(make_text_model(architecture).config).to(dtype)
        fresh.config.dtype = dtype
        model = SmolTolkForCausalLM.from_text_model(fresh, num_units=5)
        assert {p.dtype for p in model.parameters()} == {dtype} and model.config.packs_documents


class _RoundsByShape(LlamaForCausalLM):
    """What single positions read in bfloat16 differs in its last bits, as kernels chosen by shape make it."""

    rounds_to = (torch.bfloat16,)

    def __init__(self, config: Any):
        super().__init__(config)

        def rounded(module: Any, args: Any, output: Any) -> Any:
            state = output.last_hidden_state
            if state.shape[1] == 1 and state.dtype in self.rounds_to:
                output.last_hidden_state = state * (1 + 2**-6)
            return output

        self.model.register_forward_hook(rounded)


class _RoundsAlways(_RoundsByShape):
    rounds_to = (torch.bfloat16, torch.float32)


def num_hooks(text_model: PreTrainedModel) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in text_model.modules())


def test_rounding_is_no_other_result(make_text_model: Make) -> None:
    """Sixty layers of bfloat16 differ by 1.1e-2 where kernels round by shape; float32 says whether that is all."""
    text_model = _RoundsByShape(make_text_model().config).bfloat16()
    before = {name: (value.data_ptr(), value.clone()) for name, value in text_model.named_parameters()}
    check_text_model(text_model)
    hooks = num_hooks(text_model)  # of transformers, which come with the first run
    assert goes_on_from_cache(text_model)
    for name, value in text_model.named_parameters():
        assert (value.data_ptr(), value.dtype) == (before[name][0], torch.bfloat16) and value.equal(before[name][1])
    assert num_hooks(text_model) == hooks
    with pytest.raises(InputError, match="with a cache it computes something else"):
        check_text_model(_RoundsAlways(make_text_model().config).bfloat16())


def test_rounding_where_only_half_precision_can_be_asked(make_text_model: Make) -> None:
    """Kernels for half precision alone: differences of some last bits are let through, larger ones are not."""
    text_model = _RoundsByShape(make_text_model().config).bfloat16()
    text_model.config._attn_implementation = "some_flash_kernel"
    assert not can_be_float32(text_model)
    text_model.config._attn_implementation = "eager"
    for part in (text_model.model.layers[0], text_model):
        part._hf_hook = None  # type: ignore[assignment]
        assert not can_be_float32(text_model)
        check_text_model(text_model)
        del part._hf_hook
    forgetful = make_text_model("minimax").bfloat16()
    forgetful._hf_hook = None  # type: ignore[assignment]
    with pytest.raises(InputError, match="go on from a cache"):
        check_text_model(forgetful)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "mixtral", "gemma2", "falcon_h1"])
def test_half_precision_in_float32_is_float32(architecture: str, dtype: torch.dtype, tiny: ModuleType) -> None:
    halved = tiny.tiny_text_model(architecture).to(dtype)
    whole = copy.deepcopy(halved).float()
    given = torch.randn(2, 5, halved.config.hidden_size)
    with torch.no_grad(), in_float32(halved.base_model):
        found = halved.base_model(inputs_embeds=given, use_cache=False).last_hidden_state
    expected = whole.base_model(inputs_embeds=given, use_cache=False).last_hidden_state
    assert found.dtype is torch.float32 and torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert {value.dtype for value in halved.parameters()} == {dtype}


def test_weights_come_back_when_a_layer_fails(make_text_model: Make) -> None:
    text_model = make_text_model().bfloat16()
    with pytest.raises(RuntimeError, match="here"), in_float32(text_model.base_model):
        text_model.model.layers[1].mlp.forward = _fails  # type: ignore[method-assign]
        text_model.base_model(inputs_embeds=torch.randn(1, 3, text_model.config.hidden_size))
    assert {value.dtype for value in text_model.parameters()} == {torch.bfloat16}


def _fails(*args: Any) -> None:
    raise RuntimeError("here")
