"""How any text model, and what is put around it, attends on a CPU: in blocks of queries, over the keys they see.

What is computed is what transformers' ``sdpa`` computes. A block of 128 queries reads the keys from the first to the
last that one of them sees, so that the masked half is left out, and of packed documents and sliding windows all that
lies elsewhere; a mask of T x T is nowhere written out. Key-value heads that several heads share are not repeated. In
bfloat16 plain products are taken, for torch's fused kernel loses its time in the backward pass there (docs/log.md has
the figures). On a GPU it is ``sdpa`` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import (
    ALL_MASK_ATTENTION_FUNCTIONS,
    and_masks,
    causal_mask_function,
    padding_mask_function,
    sdpa_mask,
)

NAME = "smoltolk_blocks"
BLOCK = 128  # queries of a block
_REPLACED = "sdpa"  # torch's fused attention, what transformers takes by itself
_LONGEST_MASK = 1024  # positions of one document; beyond them torch's own causal blocks are as quick, and need no mask
_MOST_SCORES = 1 << 24  # rows x heads x positions x keys that plain products may keep of a layer for its gradient

MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # indices of row, head, query, key -> visible


class Block(NamedTuple):
    """Some queries in a row, the keys between the first and the last that one of them sees, and which it sees.

    Attributes:
        start, end: of the queries.
        first, last: of the keys.
        visible: bool [B or 1, 1, end - start, last - first].
    """

    start: int
    end: int
    first: int
    last: int
    visible: Tensor


class BlockMask(torch.Tensor):
    """A mask [B, 1, T, T] in blocks. Whoever does anything else with it gets it written out."""

    blocks: list[Block]

    @staticmethod
    def __new__(cls, num_rows: int, length: int, sees: MaskFunction) -> BlockMask:
        """A mask of so many rows.

        Args:
            num_rows: B.
            length: T.
            sees: what transformers describes a mask by. Over the queries of a block, the first and the last key that a
                query sees must not go back.
        """
        mask = torch.Tensor._make_wrapper_subclass(cls, (num_rows, 1, length, length), dtype=torch.bool)
        mask.blocks = _blocks(num_rows, length, sees)
        return mask

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        args, kwargs = tree_map_only(BlockMask, BlockMask.written, (args, kwargs or {}))
        return func(*args, **kwargs)

    def written(self) -> Tensor:
        """The mask as a plain tensor."""
        whole = torch.zeros(self.shape, dtype=torch.bool)
        for block in self.blocks:
            whole[:, :, block.start : block.end, block.first : block.last] = block.visible
        return whole


def _blocks(num_rows: int, length: int, sees: MaskFunction) -> list[Block]:
    row, key = torch.arange(num_rows)[:, None, None, None], torch.arange(length)
    head = torch.zeros(1, 1, 1, 1, dtype=torch.int64)
    starts = range(0, length, BLOCK)
    edges = torch.tensor([edge for start in starts for edge in (start, min(start + BLOCK, length) - 1)])
    seen = sees(row, head, edges[:, None], key).expand(num_rows, 1, len(edges), length)
    seen = seen.any(0)[0].view(len(starts), 2, length).any(1)  # by one of both edges, in one of the rows
    firsts = seen.int().argmax(1).tolist()
    lasts = (length - seen.flip(1).int().argmax(1)).tolist()
    found = []
    for start, first, last in zip(starts, firsts, lasts, strict=True):
        end = min(start + BLOCK, length)
        visible = sees(row, head, torch.arange(start, end)[:, None], key[first:last])
        shape = torch.broadcast_shapes(visible.shape, (1, 1, end - start, last - first))
        found.append(Block(start, end, first, last, visible.expand(shape)))
    return found


def _is_cut(length: int) -> bool:
    """Whether a sequence is cut into blocks: a short rest behind the first would cost more than it spares."""
    return length > BLOCK + BLOCK // 2


def _causal_blocks(length: int) -> list[Block]:
    step = BLOCK if _is_cut(length) else length
    edges = [(start, min(start + step, length)) for start in range(0, length, step)]
    return [Block(start, end, 0, end, _triangle(start, end)) for start, end in edges]


@lru_cache(maxsize=256)
def _kept_triangle(start: int, end: int) -> Tensor:
    with torch.inference_mode(False):  # kept for whoever comes next, who may train
        return _made_triangle(start, end)


def _made_triangle(start: int, end: int) -> Tensor:
    return torch.ones(1, 1, end - start, end, dtype=torch.bool).tril(start)


def _triangle(start: int, end: int) -> Tensor:
    """What the queries from ``start`` to ``end`` see of the keys before ``end``; a compiler keeps its own."""
    return _made_triangle(start, end) if torch.compiler.is_compiling() else _kept_triangle(start, end)


def block_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    mask_function: MaskFunction = causal_mask_function,
    attention_mask: Tensor | None = None,
    local_size: int | None = None,
    allow_is_causal_skip: bool = True,
    use_vmap: bool = False,
    device: torch.device | str = "cpu",
    **kwargs: Any,
) -> Tensor | None:
    """Which mask transformers hands to the layers; arguments are its own (see ``transformers.masking_utils``)."""
    tracing = torch.compiler.is_compiling() or torch.jit.is_tracing()
    in_blocks = not (tracing or use_vmap) and torch.device(device).type == "cpu"
    if (
        in_blocks
        and q_length == kv_length
        and _is_cut(q_length)
        and isinstance(q_offset, int)
        and q_offset == kv_offset == 0
    ):
        if attention_mask is not None and bool(attention_mask.all()):
            attention_mask = None
        if allow_is_causal_skip and attention_mask is None and (local_size is None or kv_length <= local_size):
            return None
        if attention_mask is not None:
            mask_function = and_masks(mask_function, padding_mask_function(attention_mask[:, :kv_length]))
        return BlockMask(batch_size, q_length, mask_function)
    return sdpa_mask(
        batch_size, q_length, kv_length, q_offset, kv_offset, mask_function, attention_mask, local_size,
        allow_is_causal_skip, use_vmap=use_vmap, device=device, **kwargs,
    )  # fmt: skip


def block_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """As ``sdpa_attention_forward`` of transformers, whose arguments these are.

    Args:
        module: the attention layer.
        query: [B, H, T, D]; key, value: [B, H or fewer, S, D].
        attention_mask: what :func:`block_mask` made, or a tensor [B, 1, T, S].
        dropout, scaling, is_causal, kwargs: as there.

    Returns:
        [B, T, H, D], and no weights.
    """
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    unusual = dropout or any(kwargs.get(name) is not None for name in ("softcap", "position_bias", "cache", "s_aux"))
    if attention_mask is not None:  # of each head its own, or added to the scores: somebody's, none of block_mask
        unusual = unusual or attention_mask.dtype != torch.bool or attention_mask.shape[1] != 1
    if unusual or query.device.type != "cpu" or not (causal or attention_mask is not None):
        mask = attention_mask.written() if isinstance(attention_mask, BlockMask) else attention_mask
        return sdpa_attention_forward(module, query, key, value, mask, dropout, scaling, is_causal, **kwargs)
    if torch.is_autocast_enabled("cpu"):  # positions are turned in float32: once for all blocks, not in each
        query, key, value = (part.to(torch.get_autocast_dtype("cpu")) for part in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if query.shape[2] == key.shape[2] > 1:
        attended = _over_itself(query, key, value, attention_mask, scale)
    else:
        attended = _over_cache(query, key, value, attention_mask, scale)
    return attended.transpose(1, 2).contiguous(), None


def _over_itself(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """A sequence over itself: [B, H, T, D]."""
    T = query.shape[2]
    if isinstance(mask, BlockMask):
        blocks = mask.blocks
    elif mask is not None:
        blocks = [Block(0, T, 0, T, mask)]
    else:
        blocks = _causal_blocks(T) if T <= _LONGEST_MASK else []
    if blocks and query.dtype == torch.bfloat16 and _few_scores(query, blocks):
        return _in_plain_products(query, key, value, blocks, scale)
    if mask is None and len(blocks) < 2:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=True)
    parts = [
        F.scaled_dot_product_attention(
            _cut(query, block.start, block.end), _cut(key, block.first, block.last),
            _cut(value, block.first, block.last), attn_mask=block.visible, scale=scale, enable_gqa=True,
        )
        for block in blocks
    ]  # fmt: skip
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _few_scores(query: Tensor, blocks: Sequence[Block]) -> bool:
    """Whether what plain products keep for the gradient is small."""
    if not (torch.is_grad_enabled() and query.requires_grad):
        return True
    scores = sum((block.end - block.start) * (block.last - block.first) for block in blocks)
    return query.shape[0] * query.shape[1] * scores <= _MOST_SCORES


def _in_plain_products(query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], scale: float) -> Tensor:
    B, H, T, D = query.shape
    K = key.shape[1]
    shared = (query * scale).view(B, K, H // K, T, D)  # heads that share keys stand together
    parts = []
    for block in blocks:
        N = block.end - block.start
        heads = _cut(shared, block.start, block.end).reshape(B, K, -1, D)
        scores = (heads @ _cut(key, block.first, block.last).transpose(2, 3)).view(B, K, H // K, N, -1)
        with torch.no_grad():  # what is masked has no gradient of its own: softmax gives it none
            visible = block.visible[:, :, None]
            scores += torch.zeros_like(visible, dtype=scores.dtype).masked_fill_(
                ~visible, torch.finfo(scores.dtype).min
            )
        weights = scores.softmax(-1).view(B, K, -1, block.last - block.first)
        parts.append((weights @ _cut(value, block.first, block.last)).view(B, K, H // K, N, D))
    return (parts[0] if len(parts) == 1 else torch.cat(parts, dim=3)).view(B, H, T, D)


def _cut(states: Tensor, first: int, last: int) -> Tensor:
    """Some positions of [..., T, D]; a cut that keeps all of them would still cost its gradient a copy."""
    return states if (first, last) == (0, states.shape[-2]) else states[..., first:last, :]


def _over_cache(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """What is read over what is remembered: [B, H, T, D]."""
    B, H, T, D = query.shape
    if T == 1:  # heads that share keys become the queries of one
        K = key.shape[1]
        packed = query.view(B, K, H // K, D)
        return F.scaled_dot_product_attention(packed, key, value, attn_mask=mask, scale=scale).view(B, H, 1, D)
    if mask is None:  # the prefill of a static cache that is longer
        key, value = key[:, :, :T], value[:, :, :T]
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=scale, is_causal=mask is None, enable_gqa=True
    )


AttentionInterface.register(NAME, block_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, block_mask)

# ------------------------------------------------------------------ where it stands

_tried: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()


@contextmanager
def quick_attention(model: nn.Module) -> Iterator[None]:
    """Let a model on a CPU attend in blocks inside the block, and as before after it.

    Only where it attended by ``sdpa``, what transformers takes by itself, in every part, and where that is tried to
    give the same: an architecture may go by the name of its attention.

    Args:
        model: any model; what is none of transformers', or elsewhere, is left as it is.
    """
    if not (isinstance(model, PreTrainedModel) and _attends_by_sdpa(model) and _attends_the_same(model)):
        yield
        return
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(_REPLACED)


def _attends_by_sdpa(model: PreTrainedModel) -> bool:
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    return on_cpu and all(part.config._attn_implementation == _REPLACED for part in parts)


@torch.no_grad()
def _attends_the_same(model: PreTrainedModel) -> bool:
    if model not in _tried:
        ids = torch.arange(8)[None]
        # Units among them, so that every part is called: a compiler then finds transformers' hooks in their places.
        ids = ids + getattr(model.config, "speech_offset", 0) * (ids > 3)
        packed = {"position_ids": torch.arange(8)[None] % 5}  # two documents: the mask is a tensor
        was_training = model.training
        try:
            model.eval()
            expected = [model(input_ids=ids, use_cache=False, **more).logits for more in ({}, packed)]
            model.set_attn_implementation(NAME)
            found = [model(input_ids=ids, use_cache=False, **more).logits for more in ({}, packed)]
            _tried[model] = all(map(_same, found, expected))
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):  # whatever does not fit
            _tried[model] = False
        finally:
            model.train(was_training)
            model.set_attn_implementation(_REPLACED)
    return _tried[model]


def _same(found: Tensor, expected: Tensor) -> bool:
    real = expected > torch.finfo(expected.dtype).min  # elsewhere an impossible id
    difference = (found[real] - expected[real]).double().norm()
    return bool(difference <= 0.03 * torch.finfo(expected.dtype).eps ** 0.5 * expected[real].double().norm())
