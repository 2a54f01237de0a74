"""What a corpus is made of, and how: items, and the settings of their making."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.said import Said
from smoltolk.data.corpora.timing import Limits, aligner_of, limits_for
from smoltolk.speech.alignment.aligners import Aligner

RECORDINGS_PER_PART = 20


class Item(Protocol):
    """A recording that a corpus is made of; picklable, and cheap until it is read."""

    @property
    def id(self) -> str:
        """What it will be called: a file name without its suffix, unlike all others."""

    @property
    def names(self) -> dict[str, str]:
        """Its ``speaker``, and its ``language`` and ``source`` where these are not those of the whole corpus."""

    @property
    def place(self) -> str:
        """Where it lies, for whoever reads why it was rejected."""

    @property
    def original(self) -> Path | None:
        """A file with this recording and nothing else, if there is one."""

    @property
    def origin(self) -> str:
        """Where it lies among what the corpus is made of, as it was called there; kept beside its id."""

    def identity(self) -> tuple[str | int | float, ...]:
        """What changes when the recording, its text or anything else does that an utterance is made of; begins with
        its id."""

    def said(self) -> Said:
        """What is said in it.

        Raises:
            InputError, NotFoundError: it cannot be used.
        """

    def sound(self) -> np.ndarray:
        """float32 [samples], 16 kHz.

        Raises:
            InputError, NotFoundError: it cannot be used.
        """


def file_state(path: Path) -> tuple[int, ...]:
    """What changes when a file does: its size, the time of its last change (ns), and whether it can be read."""
    try:
        state = path.stat()
    except OSError:
        return (0, 0, 0)
    return state.st_size, state.st_mtime_ns, int(os.access(path, os.R_OK))


@dataclass(frozen=True)
class Making:
    """How a corpus is made.

    Attributes:
        source, language: kept with every utterance that has none of its own.
        aligner: finds the times of words that have none (:func:`smoltolk.data.corpora.timing.aligner_of`);
            None: they stay without.
        phones: find the phones too, where the aligner can.
        lowest_confidence: alignments below it are rejected; None: the aligner's usual limit.
        longest: seconds; what is longer is cut at pauses, and becomes several utterances. None: nothing is cut.
        sound: ``flac`` writes it anew, 16 kHz; ``symlink`` and ``hardlink`` keep the original where there is one (the
            latter copies it where the file system cannot link).
        per_part: recordings that are written, and lost to a kill, together.
    """

    source: str
    language: str = "en"
    aligner: str | None = None
    phones: bool = True
    lowest_confidence: float | None = None
    longest: float | None = None
    sound: Literal["flac", "symlink", "hardlink"] = "flac"
    per_part: int = RECORDINGS_PER_PART

    def __post_init__(self) -> None:
        if self.longest is not None and not self.longest > 0:
            raise InputError("an utterance lasts longer than 0 s", f"{self.longest:g} s", "give a longer one")

    def get_aligner(self) -> Aligner | None:
        """The aligner in this process."""
        return None if self.aligner is None else aligner_of(self.aligner, self.language, self.phones)

    def get_limits(self) -> Limits:
        """What an alignment must reach."""
        aligner = self.get_aligner()
        if aligner is None:
            return Limits()
        return limits_for(aligner.name, aligner.lowest_confidence, self.lowest_confidence)

    def identity(self) -> tuple[str | int | float, ...]:
        """What the corpus depends on, but for its items."""
        confidence = self.get_limits().confidence
        names = (self.source, self.language, self.aligner or "", self.sound)
        return *names, self.phones, confidence, self.longest or 0.0, self.per_part
