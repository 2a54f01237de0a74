"""Spoken answers that later turns of a dialogue can name by their id: a few, for a while, each for its owner."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

KEPT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """What was said.

    Attributes:
        id: that clients name it by.
        owner: whose it is.
        units: int64 [n].
        transcript: what the model itself hears in it.
        expires_at: seconds of Unix time.
    """

    id: str
    owner: str
    units: np.ndarray
    transcript: str
    expires_at: int


class SpokenAnswers:
    """The latest answers.

    Args:
        most: that are kept.
    """

    def __init__(self, most: int):
        self._most = most
        self._held: OrderedDict[str, SpokenAnswer] = OrderedDict()

    def keep(self, answer_id: str, owner: str, units: np.ndarray, transcript: str) -> SpokenAnswer:
        """Keep one; the oldest goes where there are too many."""
        answer = SpokenAnswer(answer_id, owner, units, transcript, expiry())
        self._held[answer.id] = answer
        while len(self._held) > self._most:
            self._held.popitem(last=False)
        return answer

    def get(self, answer_id: str, owner: str) -> SpokenAnswer | None:
        """One's own answer of this id, None if it has gone or never was."""
        answer = self._held.get(answer_id)
        if answer is None or answer.owner != owner or answer.expires_at < time.time():
            return None
        return answer


def new_id(kind: str) -> str:
    """An id that nobody can guess, e.g. ``audio_...``."""
    return f"{kind}_{secrets.token_urlsafe(18)}"


def expiry() -> int:
    """When what is made now expires, seconds of Unix time."""
    return int(time.time()) + KEPT_SECONDS
