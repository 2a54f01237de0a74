"""A batch as the paper's steps need it: checked, its modalities and padding told, its spans and caches laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from smoltolk.common.errors import InputError
from smoltolk.model.cache import DecodingState
from smoltolk.model.codec.codebooks import check_codes, check_layout
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.layouts import GridLayout, Layout, PublishedLayout, RunLayout, SpanLayout
from smoltolk.model.modality import at, document_positions, next_is_speech, previous
from smoltolk.model.spans import SpanBatch


@dataclass(frozen=True)
class Reading:
    """What ``forward`` knows of a batch before it computes anything. [B, T] unless said otherwise.

    Attributes:
        input_ids: ids of the one id space.
        is_speech: whether a position is speech; padding is not.
        speech_follows: whether the id behind a position is speech.
        source: the position that predicts each one; -1 where nothing does: at the start of a document, at padding.
        real: False at padding; None: there is none.
        document_ids: of packed documents, -1 at padding; None: each row is one.
        attention_mask, position_ids: for backbone and output adapter; the mask [B, S] counts cached positions too.
        codes: [B, T, Q - 1], with several codebooks.
        layout: how the spans lie before the input adapter.
        state: views of the cache; of nothing without one.
    """

    input_ids: Tensor
    is_speech: Tensor
    speech_follows: Tensor
    source: Tensor
    real: Tensor | None
    document_ids: Tensor | None
    attention_mask: Tensor | None
    position_ids: Tensor | None
    codes: Any  # Tensor | None: with one codebook nobody asks
    layout: Layout
    state: DecodingState

    @property
    def num_positions(self) -> Tensor:
        """How many positions are real, a scalar."""
        if self.real is not None:
            return self.real.sum()
        return torch.tensor(self.input_ids.numel(), device=self.input_ids.device)

    @classmethod
    def of(
        cls,
        config: SmolTolkConfig,
        input_ids: Tensor | None,
        *,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
        document_ids: Tensor | None = None,
        spans: Sequence[SpanBatch] | None = None,
        codes: Tensor | None = None,
        labels: Tensor | None = None,
        training: bool = False,
        **more: Any,
    ) -> Reading:
        """Check a batch and lay it out; the arguments are those of ``forward``.

        Raises:
            InputError: ids or labels out of range, embeddings instead of ids, packed documents with a cache, frames
                without their codebooks or not laid out as the delays say.
        """
        input_ids = _checked(config, input_ids, labels, document_ids, cache, more)
        T = input_ids.shape[1]
        real = None if attention_mask is None else attention_mask[:, -T:].bool()
        is_speech = input_ids >= config.speech_offset
        if real is not None:  # padding is no speech, whatever its id
            is_speech = is_speech & real
        codes = _checked_codes(config, input_ids, codes, real, document_ids, cache, whole=labels is None)
        state = DecodingState.of(cache, config, is_speech, real)
        if document_ids is not None:  # told apart by their positions, which a mask would hide
            if real is not None:  # padding: one document more
                document_ids, attention_mask = document_ids.masked_fill(~real, -1), None
            position_ids = document_positions(document_ids) if position_ids is None else position_ids
        if position_ids is None and attention_mask is not None:
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -T:]
        source = previous(input_ids.shape, input_ids.device, document_ids, real)
        if document_ids is not None and real is not None:
            check_padding(source, real)
        before = at(is_speech, source) if state.history is None else state.history.previous_is_speech(T)
        return cls(
            input_ids,
            is_speech,
            next_is_speech(input_ids, config.switch_id, is_speech, before),
            source if real is None else source.masked_fill(~real, -1),
            real,
            document_ids,
            attention_mask,
            position_ids,
            codes,
            _layout(config, is_speech, document_ids, real, spans, state, training),
            state,
        )


def restarting(
    position_ids: Tensor | None, attention_mask: Tensor | None, cache: Cache | None, seq_idx: Tensor | None = None
) -> Tensor | None:
    """Documents [B, T] that positions which do not go on tell apart; None where nobody means to pack.

    Transformers keeps packed documents apart by their positions where there is neither a mask nor a cache.

    Args:
        position_ids: [B, T].
        attention_mask, cache: as for ``forward``.
        seq_idx: [B, T], the same numbers ready made, as some collators give them.
    """
    if attention_mask is not None or cache is not None:
        return None
    if seq_idx is not None or position_ids is None:
        return seq_idx
    starts = torch.zeros_like(position_ids)
    starts[:, 1:] = position_ids[:, 1:] <= position_ids[:, :-1]
    return starts.cumsum(1)


def _layout(
    config: SmolTolkConfig,
    is_speech: Tensor,
    document_ids: Tensor | None,
    real: Tensor | None,
    spans: Sequence[SpanBatch] | None,
    state: DecodingState,
    training: bool,
) -> Layout:
    if state.history is not None and state.late_fusion is not None:
        return (GridLayout if config.masks_spans else RunLayout)(state.history, state.late_fusion)
    if config.published_spans and document_ids is None:
        return PublishedLayout(is_speech)
    if spans is not None or not config.num_input_layers:
        return SpanLayout(spans or (), is_speech, training)
    return SpanLayout.of(is_speech, document_ids, real, training=training)


def _checked(
    config: SmolTolkConfig,
    input_ids: Tensor | None,
    labels: Tensor | None,
    document_ids: Tensor | None,
    cache: Cache | None,
    more: dict[str, Any],
) -> Tensor:
    """The ids; on a GPU, which would have to be waited for, their range is not looked at."""
    if input_ids is None or more.get("inputs_embeds") is not None:
        raise InputError(
            "the model reads ids, because ids say which positions are speech",
            "no input_ids" if input_ids is None else "inputs_embeds",
            "pass input_ids [B, T] alone",
        )
    if document_ids is not None and cache is not None:
        raise InputError(
            "packed documents are for training, a cache is for decoding",
            "document_ids together with a cache",
            "decode one document a row, padded on the left",
        )
    if _without_labels(labels, more):
        raise InputError(
            "the loss is made of two softmaxes, which the model alone can tell apart: it needs the labels",
            "num_items_in_batch without labels, as Trainers with label smoothing or a compute_loss_func call it",
            "set label_smoothing_factor=0 and leave compute_loss_func out",
        )
    if _looks_at(input_ids) and input_ids.numel():
        for what, ids in (("ids", input_ids), ("labels", labels)):
            low, high = (0, 0) if ids is None else (int(ids.min()), int(ids.max()))
            if (low < 0 and what == "ids") or high >= config.vocab_size:
                raise InputError(
                    f"{what} must lie in 0..{config.vocab_size - 1} (speech from {config.speech_offset})",
                    f"{what} from {low} to {high}",
                    "use the tokenizer and the codebook that the model was trained with",
                )
    return input_ids


def check_padding(source: Tensor, real: Tensor) -> None:
    """Packed documents are told apart by positions that restart: a hole in one would part it.

    Args:
        source: int64 [B, T], the position before each one in its document; -1: it is the first.
        real: [B, T] bool, False at padding.

    Raises:
        InputError: padding inside of a document.
    """
    index = torch.arange(source.shape[1], device=source.device)
    hole = real & (source >= 0) & (index - source > 1)
    if _looks_at(source) and bool(hole.any()):
        row, place = hole.nonzero()[0].tolist()
        raise InputError(
            "padding of packed rows stands between documents or behind them",
            f"padding inside of a document, before position {place} of row {row}",
            "leave it out, or give each document a row of its own",
        )


def _without_labels(labels: Tensor | None, more: dict[str, Any]) -> bool:
    """Whether a Trainer took the labels away to make a loss of its own from the logits."""
    return labels is None and more.get("num_items_in_batch") is not None


def _checked_codes(
    config: SmolTolkConfig,
    input_ids: Tensor,
    codes: Tensor | None,
    real: Tensor | None,
    document_ids: Tensor | None,
    cache: Cache | None,
    *,
    whole: bool,
) -> Tensor | None:
    """The codes of all positions, None with one codebook; looked at where they begin a row, and not on a GPU."""
    space = config.id_space
    if space.num_codebooks == 1:
        if codes is not None:
            raise InputError("codes are for models of several codebooks", "one codebook", "leave codes out")
        return None
    codes = check_codes(input_ids, codes, space)
    if _looks_at(input_ids) and (cache is None or not cache.get_seq_length()):
        check_layout(input_ids, codes, space, real, document_ids, ends=whole)
    return codes


def _looks_at(input_ids: Tensor) -> bool:
    return not (torch.compiler.is_compiling() or input_ids.is_cuda)
