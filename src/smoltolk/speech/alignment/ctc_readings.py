"""Which of its readings each token of a text is said with, by the posteriors of a CTC model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.ctc import best_path
from smoltolk.speech.recognition.ctc_text import STAR, CtcText
from smoltolk.speech.spelling.readings import Words

_NEIGHBOURS = 2  # tokens on either side that are heard together with a reading
_ROUNDS = 2  # a wrong reading moves its neighbours: what is chosen by them is chosen once more


def path_of(log_probs: np.ndarray, text: CtcText, blank: int) -> np.ndarray:
    """The place in ``text.ids`` that each frame says, -1 for blank.

    Args:
        log_probs: float [frames, vocabulary + 1]; the last column is that of :data:`STAR`.
        text: what is said.
        blank: the id that says nothing.

    Raises:
        InputError: fewer frames than the ids need.
    """
    return best_path(log_probs, _ids(text, log_probs), blank)


def likeliest_readings(
    log_probs: np.ndarray,
    ways: Sequence[tuple[Words, ...]],
    encode: Callable[[Sequence[Words]], CtcText],
    blank: int,
) -> list[Words]:
    """The words of each token: of several readings the one that the frames around it say best.

    A reading is tried between its neighbours, on the frames of all of them, so that the time grows with the number of
    readings and not with that of their combinations. Where no token has two, nothing is computed.

    Args:
        log_probs: as for :func:`path_of`.
        ways: the readings of each token, likeliest first.
        encode: the words of all tokens, or of some, to ids.
        blank: the id that says nothing.
    """
    said = [own[0] for own in ways]
    open_tokens = [token for token, own in enumerate(ways) if len(own) > 1]
    for _ in range(_ROUNDS if open_tokens else 0):
        before = list(said)
        try:
            places = _places(log_probs, said, encode, blank)
        except InputError:  # too long for the recording
            said = [min(own, key=lambda way: sum(map(len, way))) for own in ways]
            if said == before:
                return said
            continue
        for token in open_tokens:
            said[token] = _best(log_probs, ways[token], token, said, places, encode, blank)
        if said == before:
            break
    return said


def _places(
    log_probs: np.ndarray, said: Sequence[Words], encode: Callable[[Sequence[Words]], CtcText], blank: int
) -> list[tuple[int, int]]:
    """First frame, and frame behind the last, of each token; one that says nothing lies where it stands."""
    text = encode(said)
    path = path_of(log_probs, text, blank)
    owner = np.where(path >= 0, text.owners[path], -1)
    frames = np.flatnonzero(owner >= 0)
    tokens, first = np.unique(owner[frames], return_index=True)  # they come in order
    stops = frames[np.append(first[1:], len(frames)) - 1] + 1
    found = dict(zip(tokens.tolist(), zip(frames[first].tolist(), stops.tolist(), strict=True), strict=True))
    places: list[tuple[int, int]] = []
    last = 0
    for token in range(len(said)):
        begin, last = found.get(token, (last, last))
        places.append((begin, last))
    return places


def _best(
    log_probs: np.ndarray,
    ways: Sequence[Words],
    token: int,
    said: Sequence[Words],
    places: Sequence[tuple[int, int]],
    encode: Callable[[Sequence[Words]], CtcText],
    blank: int,
) -> Words:
    spoken = [number for number, words in enumerate(said) if words or number == token]
    place = spoken.index(token)
    around = spoken[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS + 1]
    # Up to the neighbours outside: what a wrong reading took from these, or gave to them, is heard as well.
    first = places[spoken[place - _NEIGHBOURS - 1]][1] if place > _NEIGHBOURS else 0
    stop = places[spoken[place + _NEIGHBOURS + 1]][0] if place + _NEIGHBOURS + 1 < len(spoken) else len(log_probs)
    frames = log_probs[first:stop]
    scores: list[float] = []
    for way in ways:
        text = encode([way if number == token else said[number] for number in around])
        try:
            path = path_of(frames, text, blank)
        except InputError:
            scores.append(-np.inf)
            continue
        ids = np.where(path >= 0, _ids(text, frames)[path], blank)
        scores.append(float(frames[np.arange(len(frames)), ids].sum()))
    return ways[int(np.argmax(scores))]


def _ids(text: CtcText, log_probs: np.ndarray) -> np.ndarray:
    return np.where(text.ids == STAR, log_probs.shape[1] - 1, text.ids)
