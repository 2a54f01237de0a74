"""How things of given lengths share a space: cutting what is too long, filling rows, what is cut off."""

from __future__ import annotations

from array import array

import numpy as np

_CHUNK = 1_000_000


def fill_rows(lengths: np.ndarray, row_length: int, minimum: int) -> np.ndarray:
    """Lay documents into rows in their order; a row goes on while at least ``minimum`` ids are left.

    Args:
        lengths: integer ``[P]``.
        row_length: T.
        minimum: 1 <= minimum <= T.

    Returns:
        int64 ``[R + 1]``, from 0 to P: row r has the documents ``rows[r] .. rows[r + 1]``, at least one.
    """
    before = np.zeros(len(lengths) + 1, np.int64)
    for start in range(0, len(lengths), _CHUNK):  # at once numpy would copy them all as 64-bit numbers
        stop = min(start + _CHUNK, len(lengths))
        before[start + 1 : stop + 1] = np.cumsum(lengths[start:stop], dtype=np.int64) + before[start]
    rows = array("q", [0])  # not a list: there may be millions
    while (first := rows[-1]) < len(lengths):
        # Documents that begin while there is room, the first in any case.
        room = before[first] + row_length - minimum
        rows.append(max(int(np.searchsorted(before[:-1], room, side="right")), first + 1))
    return np.array(rows, np.int64)


def cut(costs: np.ndarray, good: np.ndarray, capacity: float) -> np.ndarray:
    """Cut a sequence into pieces of at most ``capacity``, where possible behind a good place.

    Args:
        costs: ``[n]`` of each item, n >= 1.
        good: bool ``[n]``, whether a cut behind the item is good.
        capacity: a single item may exceed it.

    Returns:
        int64 ``[pieces + 1]`` borders, from 0 to n.
    """
    total = np.cumsum(costs)
    good_places = np.flatnonzero(good) + 1
    borders = [0]
    while (start := borders[-1]) < len(costs):
        done = total[start - 1] if start else 0
        reach = max(int(np.searchsorted(total, done + capacity, side="right")), start + 1)
        if reach < len(costs):
            best = np.searchsorted(good_places, reach, side="right")
            if best and good_places[best - 1] > start:
                reach = int(good_places[best - 1])
        borders.append(reach)
    return np.array(borders, np.int64)


def choose_last(lengths: np.ndarray, room: int, rng: np.random.Generator) -> np.ndarray:
    """A random order of documents in which only the last is longer than what is left, a new one each time.

    Args:
        lengths: int64 ``[n]`` of the documents.
        room: ids before the place where the last must begin.
        rng: draws the order.

    Returns:
        int64 ``[n]``. Where no choice leaves room for all others, the longest is last.
    """
    order = rng.permutation(len(lengths))
    others = lengths.sum() - lengths[order]
    fits = np.flatnonzero(others <= room)
    last = fits[0] if len(fits) else int(np.argmax(lengths[order]))
    return np.concatenate([np.delete(order, last), order[last : last + 1]])
