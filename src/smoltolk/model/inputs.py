"""What a forward pass refuses: ids, embeddings and codes that no model could read."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Cache

from smoltolk.common.errors import InputError
from smoltolk.model.codec.codebooks import check_codes, check_layout
from smoltolk.model.configuration import SmolTolkConfig


def checked_ids(
    config: SmolTolkConfig,
    input_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    document_ids: Tensor | None,
    use_cache: bool,
) -> Tensor:
    """The ids; on a GPU, which would have to be waited for, their range is not looked at.

    Raises:
        InputError: ids out of range, embeddings instead of ids, or packed documents with a cache.
    """
    if input_ids is None or inputs_embeds is not None:
        raise InputError(
            "the model reads ids, because ids say which positions are speech",
            "inputs_embeds" if inputs_embeds is not None else "no input_ids",
            "pass input_ids [B, T] alone",
        )
    if document_ids is not None and use_cache:
        raise InputError(
            "packed documents are for training, a cache is for decoding",
            "document_ids together with a cache",
            "decode one document a row, padded on the left",
        )
    if _looks_at(input_ids) and input_ids.numel():
        low, high = int(input_ids.min()), int(input_ids.max())
        if low < 0 or high >= config.vocab_size:
            raise InputError(
                f"ids must lie in 0..{config.vocab_size - 1} (speech from {config.speech_offset})",
                f"ids from {low} to {high}",
                "use the tokenizer and the codebook that the model was trained with",
            )
    return input_ids


def checked_codes(
    config: SmolTolkConfig,
    input_ids: Tensor,
    codes: Tensor | None,
    real: Tensor | None,
    document_ids: Tensor | None,
    cache: Cache | None,
    *,
    ends: bool,
) -> Tensor | None:
    """The codes of all positions; None with one codebook.

    Their layout is looked at where they begin a row, and not on a GPU.

    Raises:
        InputError: as :func:`smoltolk.model.codebooks.check_codes` and ``check_layout`` say, or codes for one codebook.
    """
    space = config.id_space
    if space.num_codebooks == 1:
        if codes is not None:
            raise InputError("codes are for models of several codebooks", "one codebook", "leave codes out")
        return None
    codes = check_codes(input_ids, codes, space)
    if _looks_at(input_ids) and (cache is None or not cache.get_seq_length()):
        check_layout(input_ids, codes, space, real, document_ids, ends=ends)
    return codes


def _looks_at(input_ids: Tensor) -> bool:
    return not (torch.compiler.is_compiling() or input_ids.is_cuda)
