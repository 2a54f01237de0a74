"""The two-choice lens: in which layer does the text model know the answer, though it only listens?

The text head reads the state of each layer at the last position before the answer, and the right answer's first token
competes with the wrong one's: while the model listens (``S->S``, behind the spoken prompt), and after it has read, when
it is about to speak (``T->S``, at ``<switch>``). Nothing is trained for this: it asks whether the backbone's own text
knowledge is there (the logit lens: nostalgebraist, "interpreting GPT", 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smoltolk.analysis.layer_logits import layer_logits
from smoltolk.common.errors import InputError
from smoltolk.common.files import read_jsonl, write_jsonl
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.cloze import Record, cell_of, difference_of, prompts
from smoltolk.evaluation.intervals import choice_outcomes
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.rules import Rule
from smoltolk.report.results import LENS_WAYS


def answer_lens(
    model: Any,
    items: Sequence[SpokenCloze],
    *,
    directions: Sequence[str] = LENS_WAYS,
    batch_tokens: int = 4096,
    log_path: Path | str | None = None,
) -> list[Record]:
    """The margin of the right answer in every layer.

    Args:
        model: a :class:`~smoltolk.model.modeling.SmolTolkForCausalLM`.
        items: questions asked by the answer alone. Those whose answers begin with the same token are left out.
        directions: ``S->S`` and ``T->S``.
        batch_tokens: most ids, padding included, in one batch.
        log_path: JSON lines of the records.

    Returns:
        A record for each question, direction and layer (``"0"``, what the backbone reads, to ``"L"``), with ``margin``
        and ``points``; of a prompt that was recorded twice the mean.

    Raises:
        InputError: no question is left.
    """
    chosen = [item for item in items if item.right_tokens[0] != item.wrong_tokens[0]]
    if not chosen:
        raise InputError("a lens needs answers that begin with different tokens", f"{len(items)} questions", "ask more")
    asked = [
        (way, item, document)
        for way in directions
        for item in chosen
        for document in prompts(item, way, model.config.id_space)
    ]
    documents = [document for *_, document in asked]
    ends = [(k, (len(document) - 1, len(document))) for k, document in enumerate(documents)]
    answers = torch.tensor([[item.right_tokens[0], item.wrong_tokens[0]] for _, item, _ in asked])
    margins: list[list[float]] = [[] for _ in asked]
    for numbers, _, logits in layer_logits(model, documents, ends, batch_tokens=batch_tokens):
        both = logits.gather(1, answers[numbers].to(logits.device)).double().cpu()
        for k, margin in zip(numbers, (both[:, 0] - both[:, 1]).tolist(), strict=True):
            margins[k].append(margin)
    records = _records(asked, margins)
    if log_path is not None:
        write_jsonl(log_path, records)
    return records


def _records(places: Sequence[tuple[str, SpokenCloze, Document]], margins: Sequence[Sequence[float]]) -> list[Record]:
    grouped: dict[tuple[str, str], tuple[SpokenCloze, list[Sequence[float]]]] = {}
    for (way, item, _), margin in zip(places, margins, strict=True):
        grouped.setdefault((way, item.id), (item, []))[1].append(margin)
    records = []
    for (way, _), (item, found) in grouped.items():
        for layer, margin in enumerate(np.mean(found, axis=0)):
            names = {"id": item.id, "fact": item.fact, "rival": item.rival, "mirror": item.mirror}
            points = float(choice_outcomes(-margin, np.zeros(())))
            records.append({**names, "direction": way, "layer": str(layer), "points": points, "margin": float(margin)})
    return records


def lens_cells(records: Sequence[Record], *, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """``{direction: {layer: {"accuracy", "low", "high", "n", "pair"}}}`` of the records."""
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    for way, layer in dict.fromkeys((row["direction"], row["layer"]) for row in records):
        cells.setdefault(way, {})[layer] = cell_of(_of(records, way, layer), Rule(), seed)
    return cells


def lens_differences(first: Sequence[Record], second: Sequence[Record], *, seed: int) -> dict[str, dict[str, Any]]:
    """``first - second`` at the last layer of each, for every direction.

    Raises:
        InputError: the two were not asked the same questions.
    """
    ways = dict.fromkeys(row["direction"] for row in first)
    return {way: difference_of(_of(first, way), _of(second, way), Rule(), seed, f"the lens {way}") for way in ways}


def load_lens(path: Path | str) -> list[Record]:
    """The records that :func:`answer_lens` wrote."""
    return list(read_jsonl(path))


def _of(records: Sequence[Record], way: str, layer: str | None = None) -> list[Record]:
    """Those of one direction and layer; of the last one by default."""
    here = [row for row in records if row["direction"] == way]
    wanted = str(max((int(row["layer"]) for row in here), default=0)) if layer is None else layer
    return [row for row in here if row["layer"] == wanted]
