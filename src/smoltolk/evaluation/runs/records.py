"""What is kept of a run: one record for each item, from which every rule can be worked out without the model.

A record is a JSON object::

    {"id", "cell", "shape": "S->T", "question", "cluster", "rival", "mirror", "strata": {..}, "right": 0,
     "prompt": "shown", "options": ["shown", ..], "error": null,
     "before": [[[nats]]], "nll": [[[nats]]], "end": [[[nats]]]}

``nll`` has a list for each recording of the prompt, in it one for each option, in it the NLL of every scored id.
``before`` is the same of the prompt, where a single list stands for all options; None if it was not scored. ``end`` is
of the ids that end an option. Nats have nine digits: a float32 comes back as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smoltolk.evaluation.tasks.items import Item

Record = dict[str, Any]


def record_of(item: Item) -> Record:
    """A record without scores."""
    cluster = item.cluster or item.drawn_with
    return {
        "id": item.id,
        "cell": item.cell,
        "shape": shape_of(item),
        "question": item.drawn_with,
        "cluster": cluster,
        "rival": item.rival or cluster,
        "mirror": item.mirror,
        "strata": dict(item.strata),
        "right": item.right,
        "prompt": " ".join(segment.shown() for segment in item.prompts[0]) if item.prompts else "",
        "options": [" ".join(segment.shown() for segment in option) for option in item.options],
        "error": None,
        "before": None,
        "nll": None,
        "end": None,
    }


def shape_of(item: Item) -> str:
    """Modality of the prompt's end ``->`` modality of the options' beginning; ``->S`` without a prompt."""
    before = "ST"[not item.prompts[0][-1].is_speech] if item.prompts else ""
    return f"{before}->{'ST'[not item.options[0][0].is_speech]}"


def nats(values: np.ndarray | Sequence[float]) -> list[float]:
    """NLLs as a record keeps them."""
    return [float(f"{value:.9g}") for value in np.asarray(values).tolist()]


def is_scored(record: Record) -> bool:
    """Whether there is something to judge; records of texts that are said or written have no NLLs."""
    return record["error"] is None and record.get("nll", ()) is not None


def why_none(records: Sequence[Record]) -> str | None:
    """The most frequent reason where not a single item has a score; None where one has."""
    wrong = failures(records)
    return next(iter(wrong), "no items") if sum(wrong.values()) == len(records) else None


def failures(records: Sequence[Record]) -> dict[str, int]:
    """How many items have no score, by reason, the most frequent first."""
    counts: dict[str, int] = {}
    for record in records:
        if not is_scored(record):
            reason = record["error"] or "it was not scored"
            counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
