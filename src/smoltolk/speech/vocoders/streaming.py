"""Sound while units are still being made: in chunks whose joints cannot be heard.

A chunk is spoken when some units behind it are known, its look-ahead: they decide how long its own last and how they
sound. What was said before is spoken again with it, as far as it reaches, and left away; where two chunks meet the
first samples of the new one fade in over those that the old one would have gone on with. With a look-ahead as long as
the vocoder reaches, kinds whose samples follow from the units give the very samples of the whole.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.vocoders.vocoder import Reach

LOOK_AHEAD = 8  # units; see docs/log.md for what fewer cost and more bring
_FIRST_UNITS, _MOST_UNITS = 2, 12  # of a chunk: each may be twice as long as the one before
_FADE_SECONDS = 0.01
_MOST_TIMED = 2_000  # units whose durations are predicted together


class Speaking(Protocol):
    """What is needed of a vocoder, or of a codec.

    Attributes:
        sample_rate: of its sound, Hz.
        frame_rate: of its units before deduplication, or of its frames, Hz.
    """

    sample_rate: int
    frame_rate: float

    @property
    def reach(self) -> Reach:
        """How far it looks."""

    def predict_durations(self, units: np.ndarray) -> np.ndarray:
        """Frames of each unit, int64 [n]."""

    def resume(
        self,
        units: np.ndarray,
        durations: np.ndarray,
        said: np.ndarray,
        seed: int = 0,
        *,
        speaker: str | int | None = None,
        frames: int | None = None,
    ) -> np.ndarray:
        """Samples of units of which the first have been said, as far as so many frames at least."""


class SoundStream:
    """Speaks units as they come::

        stream = SoundStream(vocoder)
        for units in pieces:
            play(stream.add(units))
        play(stream.finish())

    The result depends on the units and on nothing else, not on how many come at once.

    Args:
        vocoder: a vocoder, or a codec that speaks.
        look_ahead: units that must be known behind what is spoken, at least 0; more sound better, fewer come earlier.
        seed: of what is random in it.
        speaker: name or number of a voice; default: its first.

    Attributes:
        durations: frames of each unit that has been spoken.
    """

    def __init__(
        self,
        vocoder: Speaking,
        *,
        look_ahead: int = LOOK_AHEAD,
        seed: int = 0,
        speaker: str | int | None = None,
    ):
        if look_ahead < 0:
            raise InputError("a look-ahead is 0 units or more", str(look_ahead), "give none for the usual one")
        self._vocoder, self._look_ahead, self._seed, self._speaker = vocoder, look_ahead, seed, speaker
        self._units: list[int] | list[np.ndarray] = []
        self.durations: list[int] = []
        # Samples from the place ``_said_from`` on: what was given, and behind it what fades out under the next chunk.
        self._said, self._said_from, self._given = np.zeros(0, np.float32), 0, 0
        self._fade = round(_FADE_SECONDS * vocoder.sample_rate)
        self._wanted = _FIRST_UNITS

    @property
    def missing(self) -> int:
        """Units that must come before more is said; fewer say nothing, and neither do as many that hold repeats."""
        return self._wanted + self._look_ahead - (len(self._units) - len(self.durations))

    def add(self, units: np.ndarray) -> np.ndarray:
        """Take more units.

        Args:
            units: int ``[n]``, n >= 0; one that repeats the last is left away. Of several codebooks frames ``[n, Q]``.

        Returns:
            float32 ``[samples]``, what can be said now; often nothing.

        Raises:
            InputError: as the vocoder's: a unit out of range, no such speaker.
        """
        spoken = [np.zeros(0, np.float32)]
        for unit in np.asarray(units):
            if unit.ndim == 0 and self._units and unit == self._units[-1]:
                continue
            self._units.append(unit)  # one by one: what is said must not depend on how they come
            if self.missing <= 0:
                spoken.append(self._speak(len(self._units) - self._look_ahead, ends=False))
                self._wanted = min(2 * self._wanted, _MOST_UNITS)
        return np.concatenate(spoken)

    def finish(self) -> np.ndarray:
        """No more units will come: float32 ``[samples]`` of all that has not been said."""
        if len(self._units) > len(self.durations):
            return self._speak(len(self._units), ends=True)
        left = self._said[self._given - self._said_from :]
        self._given += len(left)
        return left

    def _speak(self, stop: int, *, ends: bool) -> np.ndarray:
        """Samples of the units up to ``stop``, from where the last ones ended."""
        first = len(self.durations)
        durations = np.concatenate([np.array(self.durations, np.int64), self._predicted()[first:]])
        begins = np.concatenate([[0], durations.cumsum()])  # frames
        start = max(0, int(np.searchsorted(begins, begins[first] - self._vocoder.reach.frames, "right")) - 1)
        origin = self._place(begins[start])
        known = self._said[origin - self._said_from :]
        rate = self._vocoder.frame_rate
        wanted = None if ends else int(begins[stop] - begins[start]) + math.ceil(_FADE_SECONDS * rate)
        whole = self._vocoder.resume(
            np.array(self._units[start:]), durations[start:], known, self._seed, speaker=self._speaker, frames=wanted
        )
        # What fades out is kept behind the end of the chunk or, where nothing is known there, before it.
        end = len(whole) if ends else min(len(whole), self._place(begins[stop]) - origin + self._fade)
        made = whole[self._given - origin : end].astype(np.float32)
        old = known[self._given - origin :][: len(made)]
        rise = (np.arange(len(old), dtype=np.float32) + 0.5) / max(1, len(old))
        made[: len(old)] = rise * made[: len(old)] + (1 - rise) * old
        given = made if ends else made[: max(0, len(made) - self._fade)]
        self._said = np.concatenate([known[: self._given - origin], made])
        self._said_from, self._given = origin, self._given + len(given)
        self.durations = durations[:stop].tolist()
        return given

    def _place(self, frames: int) -> int:
        """The sample where a frame begins."""
        return round(int(frames) * self._vocoder.sample_rate / self._vocoder.frame_rate)

    def _predicted(self) -> np.ndarray:
        """Frames of all units; those that have been said keep theirs."""
        start = max(0, len(self._units) - _MOST_TIMED)
        predicted = self._vocoder.predict_durations(np.array(self._units[start:]))
        return np.concatenate([np.array(self.durations[:start], np.int64), predicted])
