"""A batch as the paper's steps need it: checked, its modalities and padding told, its spans and caches laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from transformers import Cache, DynamicCache

from smoltolk.common.errors import InputError
from smoltolk.model.cache import DecodingState
from smoltolk.model.codec.codebooks import check_codes, check_layout
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.layouts import GridLayout, Layout, PublishedLayout, RunLayout, SpanLayout
from smoltolk.model.modality import at, document_positions, document_starts, next_is_speech, previous
from smoltolk.model.patches import Patches, SingleUnits, UnitPatches
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
        attention_mask, position_ids: of the time grid, for the output adapter. The mask is [B, S], cached positions
            too; None with packed documents: transformers looks for positions that restart only where there is no mask.
        codes: [B, T, Q - 1], with several codebooks.
        layout: how the spans lie before the input adapter.
        patches: what the backbone reads of them, with mask and positions of its own.
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
    patches: Patches
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
        input_ids: Tensor,
        *,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
        document_ids: Tensor | None = None,
        spans: Sequence[SpanBatch] | None = None,
        codes: Tensor | None = None,
        whole: bool = True,
        training: bool = False,
    ) -> Reading:
        """Lay a batch out; arguments are those of ``forward``, and:

        Args:
            whole: rows are whole, so that no run of frames may be cut short.
            training: every parameter must have a gradient.

        Raises:
            InputError: documents that positions or padding contradict, frames without their codebooks or not laid out
                as the delays say.
        """
        T = input_ids.shape[1]
        real = None if attention_mask is None else attention_mask[:, -T:].bool()
        is_speech = input_ids >= config.speech_offset
        if real is not None:  # padding is no speech, whatever its id
            is_speech = is_speech & real
        codes = _checked_codes(config, input_ids, codes, real, document_ids, cache, whole=whole)
        state = DecodingState.of(cache, config, is_speech, real)
        if document_ids is not None:
            if real is not None:  # a mask would hide that positions restart: padding becomes one document more
                document_ids, attention_mask = document_ids.masked_fill(~real, -1), None
            if position_ids is None:
                position_ids = document_positions(document_ids)
            else:
                _check_positions(position_ids, document_ids)
        if position_ids is None and attention_mask is not None:
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -T:]
        source = previous(input_ids.shape, input_ids.device, document_ids, real)
        if document_ids is not None and real is not None:
            check_padding(source, real)
        patches: Patches = SingleUnits(attention_mask, position_ids)
        if config.patch_size > 1:
            patches = UnitPatches.of(config.patch_size, is_speech, real, document_ids, state)
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
            patches,
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
    return _breaks(position_ids).cumsum(1)


def _breaks(position_ids: Tensor) -> Tensor:
    """bool [B, T]: where positions do not go on by one; False at the start of a row."""
    breaks = torch.zeros_like(position_ids, dtype=torch.bool)
    breaks[:, 1:] = position_ids[:, 1:] != position_ids[:, :-1] + 1
    return breaks


def _check_positions(position_ids: Tensor, document_ids: Tensor) -> None:
    starts, real = document_starts(document_ids), document_ids >= 0
    starts[:, 0] = False
    wrong = (_breaks(position_ids) != starts) & real
    if _looks_at(position_ids) and bool(wrong.any()):
        row, place = wrong.nonzero()[0].tolist()
        raise InputError(
            "packed documents are kept apart by positions: they go on by one inside, and restart with the next",
            f"position {int(position_ids[row, place])} at place {place} of row {row}",
            "leave position_ids out, or count each document from a number of its own",
        )


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
    if torch.compiler.is_exporting():
        raise InputError(
            "spans laid side by side have sizes that only the ids tell, which no exported program can know",
            "torch.export without a cache",
            "pass use_cache=True: spans stay on the time grid, and any ids and lengths can follow",
        )
    return SpanLayout.of(is_speech, document_ids, real, training=training)


def checked_inputs(
    config: SmolTolkConfig,
    input_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    labels: Tensor | None,
    document_ids: Tensor | None,
    cache: Cache | None,
    use_cache: bool | None,
    output_nll: bool,
    num_items: Tensor | int | None,
) -> tuple[Tensor, Cache | None]:
    """The ids, and the cache that is given or asked for; arguments are those of ``forward``.

    On a GPU, which would have to be waited for, the range of ids is not looked at.

    Raises:
        InputError: ids or labels out of range or of another shape, embeddings instead of ids, packed documents with a
            cache, a loss that is to be made elsewhere.
    """
    if input_ids is None or inputs_embeds is not None:
        raise InputError(
            "the model reads ids, because ids say which positions are speech",
            "no input_ids" if input_ids is None else "inputs_embeds",
            "pass input_ids [B, T] alone",
        )
    if cache is not None and use_cache is False:
        raise InputError(
            "a cache that is given is read and grows",
            "past_key_values together with use_cache=False",
            "leave one of them out",
        )
    if document_ids is not None and (cache is not None or use_cache):
        raise InputError(
            "packed documents are for training, a cache is for decoding",
            "document_ids together with a cache",
            "decode one document a row, padded on the left",
        )
    if labels is None and num_items is not None:
        raise InputError(
            "the loss is made of two softmaxes, which the model alone can tell apart: it needs the labels",
            "num_items_in_batch without labels, as Trainers with label smoothing or a compute_loss_func call it",
            "set label_smoothing_factor=0 and leave compute_loss_func out",
        )
    if labels is None and output_nll:
        raise InputError("likelihoods are those of labels", "output_nll without labels", "pass labels [B, T]")
    for name, values in (("labels", labels), ("document_ids", document_ids)):
        if values is not None and values.shape != input_ids.shape:
            raise InputError(
                f"{name} lie beside the ids, [B, T]",
                f"{name} {tuple(values.shape)}, ids {tuple(input_ids.shape)}",
                "give one for each id",
            )
    if _looks_at(input_ids) and input_ids.numel():
        for name, values in (("ids", input_ids), ("labels", labels)):
            low, high = (0, 0) if values is None else (int(values.min()), int(values.max()))
            if (low < 0 and name == "ids") or high >= config.vocab_size:
                raise InputError(
                    f"{name} must lie in 0..{config.vocab_size - 1} (speech from {config.speech_offset})",
                    f"{name} from {low} to {high}",
                    "use the tokenizer and the codebook that the model was trained with",
                )
    if cache is None and use_cache:
        cache = DynamicCache(config=config.get_text_config(decoder=True))
    return input_ids, cache


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
    # Planned steps run on tensors without numbers.
    return not (torch.compiler.is_compiling() or input_ids.is_cuda or isinstance(input_ids, FakeTensor))
