"""Prompts: what a model continues, alone and in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IdSpace


def mixed_prompt(
    space: IdSpace,
    segments: Sequence[tuple[bool, Sequence[int] | np.ndarray]],
    *,
    continue_in_speech: bool | None = None,
) -> Document:
    """Text and speech in turns, a ``<switch>`` wherever the modality changes.

    Args:
        space: the id space.
        segments: (whether it is speech, text ids or units), at least one; none of them empty.
        continue_in_speech: modality of what is to come, behind one more ``<switch>`` if need be; None: as it ended.

    Raises:
        InputError: no segment, or an empty one.
    """
    if not segments or any(len(content) == 0 for _, content in segments):
        raise InputError(
            "a prompt has a segment at least, and each of them something in it",
            f"lengths {[len(content) for _, content in segments]}",
            "leave out what is empty",
        )
    document = Document(space)
    for is_speech, content in segments:
        if document.next_is_speech not in (None, is_speech):
            document.switch()
        document = document.speech(content) if is_speech else document.text(content)
    if continue_in_speech is not None and document.next_is_speech != continue_in_speech:
        document.switch()
    return document


def pad_left(
    sequences: Sequence[Sequence[int] | np.ndarray], padding: int, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """``(input_ids, attention_mask)``, both int64 [B, longest]; the mask is 1 on real ids.

    Args:
        sequences: ids [n] each.
        padding: a text id, so that it lengthens no speech span.
        device: of the result.
    """
    longest = max(len(sequence) for sequence in sequences)
    ids = np.full((len(sequences), longest), padding, np.int64)
    mask = np.zeros((len(sequences), longest), np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, longest - len(sequence) :] = sequence
        mask[row, longest - len(sequence) :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def check_documents(prompts: Sequence[object]) -> None:
    """Refuse prompts of ids alone, where there are several codebooks.

    Raises:
        InputError: some are no documents.
    """
    bare = sum(not isinstance(prompt, Document) for prompt in prompts)
    if bare:
        raise InputError(
            "a prompt of several codebooks is more than its ids",
            f"{bare} prompts of ids alone",
            "give the documents that the prompts were built with",
        )


def pad_codes(documents: Sequence[Document], length: int, width: int) -> torch.Tensor:
    """Codes of prompts that :func:`pad_left` made ``length`` ids long, and behind them what the prompts owe.

    Args:
        documents: the prompts.
        length: of the padded ids.
        width: Q - 1, codebooks but the first.

    Returns:
        int64 [B, length + n, width].
    """
    most = max(len(document.owed) for document in documents)
    codes = np.full((len(documents), length + most, width), SILENT, np.int64)
    for row, document in enumerate(documents):
        codes[row, length - len(document) : length] = document.codes
        codes[row, length : length + len(document.owed)] = document.owed
    return torch.from_numpy(codes)
