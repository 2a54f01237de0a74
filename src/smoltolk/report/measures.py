"""What is told of systems beside what they know: sizes, likelihoods, error rates, pace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smoltolk.report.results import COMPARED, shown_systems

# What a row of the table of other measures shows: title, key of a model, kind of number, key of its interval.
_MEASURES = (
    ("Parameters", "parameters", "count", None),
    ("Speech, nats per unit (held out)", "speech_nll", "nats", None),
    ("Text before, nats per token", "text_nll_before", "nats", None),
    ("Text after, nats per token", "text_nll_after", "nats", None),
    ("Recognition, word error rate", "recognition_wer", "percent", "recognition_wer"),
    ("Recognition, no end within the limit", "recognition_failures", "percent", None),
    ("Synthesis, word error rate of the judge", "synthesis_wer", "percent", "synthesis_wer"),
    ("Synthesis, no end within the limit", "synthesis_failures", "percent", None),
    ("Training, ids per second", "train_tokens_per_second", "count", None),
    ("Training, seconds per step", "seconds_per_step", "seconds", None),
)


def measures(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table of other measures, those that all that are compared have."""
    rows, models = [], [results["models"][system] for system in shown_systems(results)]
    for title, key, kind, interval in _MEASURES:
        if all(key in results["models"][system] for system in COMPARED):
            cells = []
            for model in models:
                bounds = [model.get(f"{interval}_{side}") for side in ("low", "high")]
                cells.append(
                    {"value": model.get(key), "bounds": None if interval is None or None in bounds else bounds}
                )
            rows.append({"title": title, "kind": kind, "cells": cells})
    return rows
