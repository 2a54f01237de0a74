"""States of a model by layer: documents are read in batches, and only what was asked for is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.progress import Bar
from smoltolk.data.rows.documents import Document
from smoltolk.inference.batches import batches, evaluating, pad_right
from smoltolk.model.codec.delays import SILENT

BATCH_TOKENS = 4096
Place = tuple[int, tuple[int, int]]  # a document, and positions in it: the first, and behind the last


@torch.no_grad()
def read_documents(
    model: Any,
    documents: Sequence[Document],
    *,
    batch_tokens: int = BATCH_TOKENS,
    bar: Bar | None = None,
    **wanted: Any,
) -> Iterator[tuple[list[int], Any]]:
    """What a model makes of documents, a batch after the other: ``(their numbers, its output)``, padded to the right.

    Args:
        model: a :class:`~smoltolk.model.modeling.SmolTolkForCausalLM`.
        documents: of its ids.
        batch_tokens: most ids, padding included, in one batch.
        bar: advanced by documents.
        wanted: of ``forward``, e.g. ``output_hidden_states=True``.
    """
    space, device = model.config.id_space, next(model.parameters()).device
    with evaluating(model):
        for members in batches([len(document) for document in documents], batch_tokens):
            here = [documents[k] for k in members]
            ids = pad_right([document.input_ids for document in here], space.eos_text, device)
            mask = pad_right([np.ones(len(document)) for document in here], 0, device)
            beside = {"codes": pad_right([d.codes for d in here], SILENT, device)} if space.num_codebooks > 1 else {}
            yield members, model(input_ids=ids, attention_mask=mask, logits_to_keep=1, **beside, **wanted)
            if bar is not None:
                bar.advance(len(members))


def mean_states(
    model: Any,
    documents: Sequence[Document],
    places: Sequence[Place],
    *,
    batch_tokens: int = BATCH_TOKENS,
    bar: Bar | None = None,
) -> np.ndarray:
    """The mean state of some positions, in every layer.

    Memory: the result, 4 (L + 1) N D bytes, and the states of one batch.

    Args:
        model, documents, batch_tokens, bar: as for :func:`read_documents`.
        places: N documents with positions, one at least each.

    Returns:
        float32 [L + 1, N, D]: what the backbone reads, then h^1..h^L, the last behind the final norm.
    """
    found = np.zeros((0, 0, 0), np.float32)
    for members, output in read_documents(
        model, documents, batch_tokens=batch_tokens, bar=bar, output_hidden_states=True
    ):
        layers = output.hidden_states
        if not found.size:
            found = np.zeros((len(layers), len(places), layers[0].shape[-1]), np.float32)
        items, rows, columns = _positions(places, members)
        if not len(items):
            continue
        numbers, owners, counts = np.unique(items, return_inverse=True, return_counts=True)
        owner = torch.from_numpy(owners).to(layers[0].device)
        for layer, states in enumerate(layers):
            chosen = states[rows, columns].float()
            sums = chosen.new_zeros(len(numbers), chosen.shape[1]).index_add_(0, owner, chosen)
            found[layer, numbers] = sums.cpu().numpy() / counts[:, None]
    return found


def each_state(layers: Sequence[Tensor], places: Sequence[Place], members: Sequence[int]) -> tuple[np.ndarray, Any]:
    """The states of single positions of a batch: which places they are of, and a function from a layer's number.

    Args:
        layers: [B, T, D] each.
        places: of all documents; the last position of each is taken.
        members: documents of this batch.
    """
    items, rows, columns = _positions([(k, (stop - 1, stop)) for k, (_, stop) in places], members)
    return items, lambda layer: layers[layer][rows, columns]


def _positions(places: Sequence[Place], members: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every position in this batch: its place's number, its row, its column."""
    row_of = {document: row for row, document in enumerate(members)}
    items: list[int] = []
    rows: list[int] = []
    columns: list[int] = []
    for number, (document, (start, stop)) in enumerate(places):
        if document in row_of:
            items += [number] * (stop - start)
            rows += [row_of[document]] * (stop - start)
            columns += range(start, stop)
    return np.array(items, np.int64), np.array(rows, np.int64), np.array(columns, np.int64)
