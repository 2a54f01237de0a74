"""Attention in blocks computes what transformers' own does, without what nobody sees, and stands where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from smoltolk.model.text_models import attention
from smoltolk.model.text_models.attention import NAME, BlockMask, block_attention, quick_attention

LENGTH = 40  # of rows: five blocks of 8, and of 16 two and a half
SIZES = {
    "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None,
}  # fmt: skip


def make(architecture: str = "llama", **settings: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    more = {"attn_implementation": settings.pop("attn_implementation")} if "attn_implementation" in settings else {}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **SIZES | settings), **more)


def inputs() -> dict[str, dict[str, Tensor]]:
    """Rows of one document, of several in different places, and padded at either end; all but padding is compared."""
    torch.manual_seed(1)
    ids, place = torch.randint(2, 61, (2, LENGTH)), torch.arange(LENGTH)
    padding = torch.ones(2, LENGTH, dtype=torch.int64)
    padding[0, :11], padding[1, -17:] = 0, 0
    kinds = {
        "whole": {},
        "packed": {"position_ids": torch.stack([place % 17, torch.where(place < 30, place, place - 30)])},
        "padded": {"attention_mask": padding, "position_ids": (padding.cumsum(1) - 1).clamp(min=0)},
    }
    return {name: {"input_ids": ids, **more} for name, more in kinds.items()}


def loss_and_gradients(model: PreTrainedModel, more: dict[str, Tensor]) -> list[Tensor]:
    real = more.get("attention_mask", torch.ones_like(more["input_ids"])).bool()
    model.zero_grad()
    logits = model(**more, use_cache=False).logits[real].float()
    logits.square().sum().backward()
    return [logits.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])]


@pytest.mark.parametrize("block", [8, 16, 128])
@pytest.mark.parametrize("kind", ["whole", "packed", "padded"])
@pytest.mark.parametrize(
    ("architecture", "settings"),
    [("llama", {}), ("llama", {"num_key_value_heads": 4}), ("gemma3_text", {"sliding_window": 6}), ("qwen3", {})],
)
def test_it_computes_the_same(
    architecture: str, settings: dict, kind: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "BLOCK", block)
    model, more = make(architecture, **settings), inputs()[kind]
    expected = loss_and_gradients(model, more)
    exact = [value.double() for value in loss_and_gradients(model.double(), more)]
    model.float()
    with quick_attention(model):
        assert model.config._attn_implementation == NAME
        found = loss_and_gradients(model, more)
        with torch.autocast("cpu", torch.bfloat16):
            low = loss_and_gradients(model, more)
    with torch.autocast("cpu", torch.bfloat16):
        low_expected = loss_and_gradients(model, more)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm()
    for one, other, true in zip(low, low_expected, exact, strict=True):  # as far from the truth as theirs
        assert (one - true).norm() <= 1.5 * (other - true).norm() + 1e-3 * true.norm()


def test_what_nobody_sees_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of packed documents the keys of each block's own, of one document those before its end, of a window the last."""
    monkeypatch.setattr(attention, "BLOCK", 8)
    seen: list[tuple[int, int]] = []
    inner = attention.F.scaled_dot_product_attention

    def watching(query: Tensor, key: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        seen.append((query.shape[2], key.shape[2]))
        return inner(query, key, *args, **kwargs)

    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", watching)
    ids = torch.randint(2, 61, (1, 32))
    documents = {"position_ids": torch.tensor([[*range(16), *range(16)]])}
    for settings, more, keys in (
        ({}, {}, [8, 16, 24, 32]),
        ({}, documents, [8, 16, 8, 16]),
        ({"architecture": "mistral", "sliding_window": 4}, {}, [8, 11, 11, 11]),
    ):
        model = make(**{"num_hidden_layers": 1, **settings})
        with quick_attention(model), torch.no_grad():
            seen.clear()
            model(input_ids=ids, use_cache=False, **more)
        assert seen == [(8, number) for number in keys]


def test_memory_is_linear_in_what_is_visible() -> None:
    """32k ids of packed documents: written out, one mask would take a gigabyte."""
    length, document = 32_768, torch.arange(32_768) // 1024
    mask = BlockMask(1, length, lambda row, head, query, key: (document[query] == document[key]) & (key <= query))
    assert mask.shape == (1, 1, length, length)
    held = sum(block.visible.numel() for block in mask.blocks)
    assert held <= length * (1024 + 128) / 2
    for block in mask.blocks:
        assert block.first == block.start // 1024 * 1024 and block.last == block.end


def test_whoever_looks_into_a_mask_gets_it_written_out() -> None:
    document = torch.tensor([0] * 70 + [1] * 130)
    sees = lambda row, head, query, key: (document[query] == document[key]) & (key <= query)  # noqa: E731
    place = torch.arange(200)
    expected = sees(None, None, place[:, None], place).expand(2, 1, 200, 200)
    mask = BlockMask(2, 200, sees)
    assert torch.equal(mask.written(), expected) and torch.equal(mask[:, :, 3:5], expected[:, :, 3:5])
    assert torch.equal(torch.where(mask, 0.0, -1.0), torch.where(expected, 0.0, -1.0))


@pytest.mark.parametrize(
    "unusual", [{"softcap": None, "dropout": 0.5}, {"position_bias": torch.ones(1, 4, 200, 200)}, {"is_causal": False}]
)
def test_what_it_does_not_do_itself_is_theirs(unusual: dict[str, Any]) -> None:
    module = torch.nn.Identity()
    module.num_key_value_groups, module.is_causal = 2, True
    query, key = torch.randn(1, 4, 200, 8), torch.randn(1, 2, 200, 8)
    mask = BlockMask(1, 200, lambda row, head, query, key: (key <= query) & (key > query - 50))
    for given, written in ((None, None), (mask, mask.written())):
        torch.manual_seed(0)
        found, _ = block_attention(module, query, key, key, given, **unusual)
        torch.manual_seed(0)
        expected, _ = sdpa_attention_forward(module, query, key, key, written, **unusual)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", [(1, 9), (5, 9), (40, 40)])
def test_masks_of_somebody_else(lengths: tuple[int, int], dtype: torch.dtype) -> None:
    """Of each head its own, or numbers that are added to the scores."""
    module = torch.nn.Identity()
    module.num_key_value_groups, module.is_causal = 2, True
    T, S = lengths
    query, key, value = (torch.randn(3, heads, n, 8).to(dtype) for heads, n in ((4, T), (2, S), (2, S)))
    visible = torch.rand(3, 4, T, S) < 0.5
    visible[..., 0] = True
    added = torch.zeros(3, 1, T, S).masked_fill(~visible[:, :1], -1e4).to(dtype)
    for mask in (visible, added):
        found, _ = block_attention(module, query, key, value, mask)
        expected, _ = sdpa_attention_forward(module, query, key, value, mask)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("lengths", [(1, 9), (5, 9), (1, 1)])
def test_over_a_cache(lengths: tuple[int, int]) -> None:
    module = torch.nn.Identity()
    module.num_key_value_groups, module.is_causal = 2, True
    T, S = lengths
    query, key, value = torch.randn(3, 4, T, 8), torch.randn(3, 2, S, 8), torch.randn(3, 2, S, 8)
    visible = torch.rand(3, 1, T, S) < 0.5
    visible[..., 0] = True
    for mask in (None, visible):
        found, _ = block_attention(module, query, key, value, mask, scaling=0.3)
        expected, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("architecture", "settings", "quick"),
    [
        ("llama", {}, True),
        ("llama", {"attention_dropout": 0.1}, True),
        ("llama", {"attn_implementation": "eager"}, False),  # somebody's choice
        ("gpt2", {}, True),
        ("gemma2", {}, False),  # soft caps
        ("gpt_oss", {}, False),  # sinks
        ("bloom", {}, False),  # biases
    ],
)
def test_only_what_attended_by_sdpa_attends_so(architecture: str, settings: dict, quick: bool) -> None:
    model = make(architecture, **settings)
    before, training = model.config._attn_implementation, model.training
    with quick_attention(model):
        assert (model.config._attn_implementation == NAME) == quick
    assert model.config._attn_implementation == before and model.training == training


def test_an_architecture_that_goes_by_the_name_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    inner = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        output = inner(*args, **kwargs)
        if model.config._attn_implementation != "sdpa":
            output.logits = output.logits + 1
        return output

    monkeypatch.setattr(model, "forward", forward)
    with quick_attention(model):
        assert model.config._attn_implementation == "sdpa"


def test_after_an_error_it_is_as_it_was() -> None:
    model = make()
    with pytest.raises(KeyError), quick_attention(model):
        raise KeyError
    assert model.config._attn_implementation == "sdpa"


def test_a_model_around_it_attends_so_in_every_part(make_model: Callable) -> None:
    model = make_model()
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    assert len(parts) >= 5  # adapters too
    with quick_attention(model):
        assert {part.config._attn_implementation for part in parts} == {NAME}
        with quick_attention(model):  # inside of itself
            assert {part.config._attn_implementation for part in parts} == {NAME}
        assert {part.config._attn_implementation for part in parts} == {NAME}
    assert {part.config._attn_implementation for part in parts} == {"sdpa"}


def test_on_a_gpu_it_is_sdpa_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that moves between devices while it attends so."""
    called = []
    monkeypatch.setattr(attention, "sdpa_attention_forward", lambda *args, **kwargs: called.append(args))
    tensor = torch.empty(1, 2, 200, 8, device="meta")
    block_attention(torch.nn.Identity(), tensor, tensor, tensor, None)
    assert len(called) == 1
    assert attention.block_mask(1, 200, 200, device="meta") is None
