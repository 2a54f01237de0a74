"""What a folder of recordings holds, one by one: recordings, texts without one, folders that cannot be read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.making import file_state
from smoltolk.data.corpora.said import Said
from smoltolk.data.corpora.word_files import files_beside, said_beside
from smoltolk.speech.audio import load


@dataclass(frozen=True)
class _Found:
    """A file of a folder, and what it will be called.

    Attributes:
        path: of the file.
        id: made of its path under the folder.
        speaker: name of the first folder under the folder, or of the folder itself.
        origin: its path under the folder.
    """

    path: Path
    id: str
    speaker: str
    origin: str = ""

    @property
    def names(self) -> dict[str, str]:
        """The speaker."""
        return {"speaker": self.speaker}

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)


@dataclass(frozen=True)
class Recording(_Found):
    """A recording, with what is said beside it.

    Attributes:
        tier: of its TextGrid, the one with the words; None: find it.
        texts: the files beside it that say something; None: look for them.
        double: name of another recording that the same text belongs to, and that is used in its place.
    """

    tier: str | None = None
    texts: tuple[Path, ...] | None = None
    double: str | None = None

    @property
    def original(self) -> Path | None:
        """Its file."""
        return self.path

    def identity(self) -> tuple[str | int | float, ...]:
        """Its names, the state of its sound, and all that is written beside it."""
        texts = files_beside(self.path) if self.texts is None else self.texts
        written = [part for path in texts for part in (path.name, _content(path))]
        return self.id, self.origin, self.speaker, self.tier or "", *file_state(self.path), self.double or "", *written

    def said(self) -> Said:
        """What the files beside it say.

        Raises:
            NotFoundError, InputError: nothing that can be read, or they belong to another recording.
        """
        if self.double is not None:
            raise InputError(
                "a text belongs to one recording",
                f"{self.double} is called like {self.path.name}, and is used",
                "take one away, or rename it and give it a text of its own",
            )
        return said_beside(self.path, self.tier)

    def sound(self) -> np.ndarray:
        """float32 [samples], 16 kHz, the mean of its channels."""
        if self.path.is_dir():
            raise InputError("a recording is a file", f"{self.path.name} is a folder", "give it another name")
        return load(self.path)


@dataclass(frozen=True)
class _Unusable(_Found, ABC):
    @property
    def original(self) -> Path | None:
        """None."""
        return None

    def said(self) -> Said:
        """Not asked for: there is no sound that says it.

        Raises:
            InputError, NotFoundError: always, with what lies there instead.
        """
        raise self._problem()

    def sound(self) -> np.ndarray:
        """See :meth:`said`."""
        raise self._problem()

    @abstractmethod
    def _problem(self) -> InputError | NotFoundError:
        """What lies there instead."""


@dataclass(frozen=True)
class TextAlone(_Unusable):
    """A text without a recording, of which a corpus can only say that it was left out.

    Attributes:
        beside: names of the other files that are called like it.
    """

    beside: tuple[str, ...] = ()

    def identity(self) -> tuple[str | int | float, ...]:
        """Name, and what lies beside it."""
        return self.id, self.origin, *self.beside

    def _problem(self) -> NotFoundError:
        found = f": found {', '.join(self.beside)}" if self.beside else ""
        return NotFoundError(
            "a text must have its recording beside it",
            f"no recording beside {self.path.name} that can be read{found}",
            "convert or add the recording, or take the text away",
        )


@dataclass(frozen=True)
class FolderUnread(_Unusable):
    """A folder that could not be listed.

    Attributes:
        reason: what the system says.
    """

    reason: str = ""

    def identity(self) -> tuple[str | int | float, ...]:
        """Name and reason."""
        return self.id, self.origin, self.reason

    def _problem(self) -> InputError:
        return InputError("a folder must be readable", f"{self.path}: {self.reason}", "change who may read it")


def _content(path: Path) -> str:
    try:
        return path.read_bytes().hex()
    except OSError as error:  # told when it is read
        return error.strerror or ""
