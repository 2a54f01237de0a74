"""Held-out likelihood: nats per speech unit and per text token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.ids import IdSpace


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Likelihood of held-out documents.

    Attributes:
        nll: mean over all predicted ids, in nats per id; of several codebooks per unit.
        num_ids: predicted ids; of several codebooks every unit of a frame is one.
        num_documents: documents.
    """

    nll: float
    num_ids: int
    num_documents: int


def held_out_nll(
    model: nn.Module,
    documents: Sequence[Sequence[int] | np.ndarray | Document],
    space: IdSpace | None,
    modality: Literal["speech", "text"],
    *,
    batch_tokens: int = 4096,
    autocast: bool = False,
    progress: Bar | None = None,
) -> HeldOut:
    """Mean NLL per id of documents of one modality, end and control ids left out.

    Args:
        model: any causal LM over the ids of ``documents``; for text also the backbone before training.
        documents: unified ids, each beginning with its begin id (which is given, not predicted); speech of several
            codebooks as :class:`~smoltolk.data.rows.documents.Document`, which holds them.
        space: the id space; None for a model of text alone.
        modality: what the documents are made of; anything else in them is an error, so that a figure per unit
            never mixes in tokens.
        batch_tokens, autocast, progress: as for :func:`smoltolk.evaluation.scoring.score`.

    Raises:
        InputError: no documents, ids of the other modality in them, or frames without all of their codebooks.
    """
    if not documents:
        raise InputError("held-out likelihood needs at least one document", "an empty list", "hold out some documents")
    if space is None and modality == "speech":
        raise InputError(
            "speech needs an id space", "space = None", "give the id space of the model (model.config.id_space)"
        )
    sequences = []
    for index, document in enumerate(documents):
        ids = document.input_ids if isinstance(document, Document) else np.asarray(document)
        speech = np.zeros(len(ids), bool) if space is None else ids >= space.speech_offset
        if not (speech.all() if modality == "speech" else not speech.any()):
            raise InputError(
                f"these documents must hold {modality} ids only",
                f"document {index}: {int(speech.sum())} speech ids, {int((~speech).sum())} others",
                "leave out control ids and the other modality",
            )
        if space is not None and isinstance(document, Document):
            sequences.append(Scored.of(document, 1, space))
        else:
            sequences.append(Scored(ids, 1))
    rule = Rule(normalisation="sum", scope="whole")
    scores = score(
        model,
        sequences,
        space=space,
        rule=rule,
        batch_tokens=batch_tokens,
        autocast=autocast,
        progress=progress,
    )
    num_ids = int(scores.count.sum())
    return HeldOut(float(scores.nll.sum() / num_ids), num_ids, len(documents))
