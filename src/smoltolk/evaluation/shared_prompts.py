"""Prompts that several continuations share: which are worth computing once, and in what batches.

A batch of prompts is cut to the shortest of them, and what a longer one has more is read with each of its
continuations. So nothing is padded before a continuation: windows, distances, tables of positions and states count as
if each sequence were read whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from smoltolk.evaluation.sequences import Scored

# What one more call of a model costs, in positions that it computes, by device. On a CPU it was measured with small
# models (benchmarks/shared_prompts.py --grid): less for those of units, that much for a text model. On a GPU
# nothing was measured: calls of small models are launches alone there, so a lot must be spared.
CALLS = {"cpu": 256, "cuda": 4096}


@dataclass(frozen=True, slots=True)
class Portion:
    """Sequences that are scored alike.

    Attributes:
        members: numbers of the sequences.
        length: P, ids of each prompt that are computed beforehand; 0: all sequences are read whole.
        prompts: a sequence of each prompt, in whose first P ids it stands.
        rows: for each member, which of the prompts is its own.
    """

    members: list[int]
    length: int = 0
    prompts: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


def in_portions(sequences: Sequence[Scored], batch_tokens: int, device_type: str = "cpu") -> list[Portion]:
    """Portion sequences by what is shared: prompts of like lengths together, and what is best read whole.

    A prompt of p ids before m continuations spares (m - 1) (p - 1) positions: its last id is read with each of them,
    since the first id of a continuation is predicted from there. A batch of prompts is a call more, and divides the
    batches of continuations; it must spare more than these two calls cost.

    Args:
        sequences: N of them.
        batch_tokens: as for ``score``; of prompts half as many ids go together, for which keys and values of all
            layers are held.
        device_type: where they will be scored.

    Returns:
        Portions that have every sequence once.
    """
    calls = 2 * CALLS.get(device_type, CALLS["cuda"])
    groups = _groups(sequences)
    whole = [group[0] for group in groups if len(group) == 1]
    portions: list[Portion] = []
    for batch in _batches(sequences, [group for group in groups if len(group) > 1], batch_tokens, calls):
        prompts, length = [group[0] for group in batch], sequences[batch[-1][0]].start - 1
        members = [member for group in batch for member in group]
        if (len(members) - len(prompts)) * length > calls:
            rows = [row for row, group in enumerate(batch) for _ in group]
            portions.append(Portion(members, length, prompts, rows))
        else:
            whole += members
    return [*portions, Portion(sorted(whole))] if whole else portions


def _groups(sequences: Sequence[Scored]) -> list[list[int]]:
    """Numbers of the sequences that have the same ids and codes before their continuations."""
    groups: dict[tuple[bytes, bytes | None], list[int]] = {}
    for number, sequence in enumerate(sequences):
        before = np.asarray(sequence.ids[: sequence.start], np.int64).tobytes()
        codes = None if sequence.codes is None else np.asarray(sequence.codes[: sequence.start], np.int64).tobytes()
        groups.setdefault((before, codes), []).append(number)
    return list(groups.values())


def _batches(
    sequences: Sequence[Scored], groups: Sequence[list[int]], batch_tokens: int, calls: int
) -> Iterator[list[list[int]]]:
    """Groups whose prompts are computed together, the longest first, as long as that spares more than apart."""
    batch: list[list[int]] = []
    more = spared = 0  # continuations beyond one for each prompt; positions
    for group in sorted(groups, key=lambda group: -sequences[group[0]].start):
        length, others = sequences[group[0]].start - 1, len(group) - 1
        together, apart = (more + others) * length, spared + max(others * length - calls, 0)
        if batch and (together < apart or 2 * (len(batch) + 1) * length > batch_tokens):
            yield batch
            batch, more = [], 0
        batch.append(group)
        more += others
        spared = more * length
    if batch:
        yield batch
