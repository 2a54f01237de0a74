"""A mixture described: what each stream brings, of which corpora, in how many rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smoltolk.data.rows.mixture import Task, TextSource
from smoltolk.data.rows.row_source import RowSource
from smoltolk.data.shards.stored_units import StoredUnits
from smoltolk.data.shards.unit_corpus import UnitCorpus


@dataclass(frozen=True, slots=True)
class StreamView:
    """What one stream of a mixture brings.

    Attributes:
        task: its form.
        share: of the rows, 0 to 1.
        num_utterances, num_left_out: that it uses, and cannot use; -1: text without end.
        num_text, num_speech: text tokens of these utterances, and units (of several codebooks: frames).
        num_codebooks: Q, units of a frame.
        seconds: of their recordings.
        rows_per_epoch: rows in which each piece occurs once.
        sources: for each corpus of the shards its utterances, and its share of this stream's text and units.
    """

    task: Task
    share: float
    num_utterances: int
    num_left_out: int
    num_text: int
    num_speech: int
    num_codebooks: int
    seconds: float
    rows_per_epoch: int
    sources: tuple[tuple[str, int, float], ...]


def view_mixture(source: RowSource, shards: UnitCorpus | StoredUnits) -> list[StreamView]:
    """Every stream of a mixture, in order."""
    views = []
    for stream, plan, share in zip(source.streams, source.plans, source.shares, strict=True):
        if plan is None or isinstance(stream.source, TextSource):
            views.append(StreamView(stream.task, share, -1, 0, 0, 0, source.space.num_codebooks, 0.0, 0, ()))
            continue
        used = plan.used
        tokens, units = stream.source.num_tokens[used], stream.source.num_units[used]
        if stream.task is Task.SPEECH:
            tokens = np.zeros_like(tokens)
        elif stream.task is Task.TEXT:
            units = np.zeros_like(units)
        known = stream.source.is_of(shards)
        views.append(
            StreamView(
                stream.task,
                share,
                len(used),
                plan.num_left_out,
                int(tokens.sum()),
                int(units.sum()),
                source.space.num_codebooks,
                float(shards.seconds[used].sum()) if known else 0.0,
                plan.num_rows,
                _sources(used, tokens + units, shards) if known else (),
            )
        )
    return views


def _sources(
    used: np.ndarray, sizes: np.ndarray, shards: UnitCorpus | StoredUnits
) -> tuple[tuple[str, int, float], ...]:
    codes = shards.source_codes[used]
    counts = np.bincount(codes, minlength=len(shards.source_names))
    totals = np.bincount(codes, weights=sizes, minlength=len(shards.source_names)) / max(1, sizes.sum())
    rows = zip(shards.source_names, counts.tolist(), totals.tolist(), strict=True)
    return tuple((name, count, total) for name, count, total in rows if count)
