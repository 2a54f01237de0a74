"""What a task is made of: items, each with what stands before it and the options that compete."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from smoltolk.common.errors import InputError


class Sound(Protocol):
    """A recording somewhere."""

    @property
    def name(self) -> str:
        """For people, and the id under which stored units are looked for."""

    def content(self) -> bytes:
        """The bytes of an audio file."""


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A recording in a file of its own.

    Attributes:
        path: of the file.
        name: its path under the task's folder, as ``smoltolk corpus folder`` names it there.
    """

    path: Path
    name: str

    def content(self) -> bytes:
        """The file."""
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class SoundCell:
    """A recording in a cell of a Parquet file, as Hugging Face's datasets write it; it is read when it is asked for.

    Attributes:
        path: of the file.
        column: of type ``{bytes, path}``.
        row: from 0.
        name: for people.
    """

    path: Path
    column: str
    row: int
    name: str

    def content(self) -> bytes:
        """What the cell holds.

        Raises:
            InputError: nothing.
        """
        value = _cells(self.path, self.column)[self.row].as_py()
        found = value.get("bytes") if isinstance(value, dict) else None
        if not found:
            raise InputError("a cell of an audio column holds a sound file", f"{self.name} is empty", "fetch it again")
        return found


@lru_cache(maxsize=4)
def _cells(path: Path, column: str) -> Any:
    return pq.read_table(path, columns=[column])[column]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text that a synthesizer speaks.

    Attributes:
        text: to be spoken.
        voice: number of the voice; what is spoken with the same number sounds alike.
        name: for people.
    """

    text: str
    voice: int
    name: str

    def content(self) -> bytes:
        """What stands for its sound."""
        return f"{self.voice}\x1f{self.text}".encode()


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of text or of speech.

    Attributes:
        text: what is written; for speech what is said, None: unknown.
        sound: None for text, and where there are units already.
        units: int [n], of several codebooks [n, Q]: stored units.
    """

    text: str | None = None
    sound: Sound | None = None
    units: np.ndarray | None = None

    @property
    def is_speech(self) -> bool:
        """Whether it is heard or spoken."""
        return self.sound is not None or self.units is not None

    def shown(self) -> str:
        """For logs."""
        if self.sound is not None:
            return f"<{self.sound.name}>" + (f" {self.text}" if self.text else "")
        return self.text if self.text is not None else "<units>"


Segments = Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Item:
    """A question: options behind a prompt, one of them right.

    Attributes:
        id: unique in its task and cell.
        cell: what is averaged by itself, e.g. a direction, ``S->T``.
        prompts: the prompt, once for each recording of it, none of them empty; none: options stand alone.
        options: two or more, in the order of the layout.
        right: which is right.
        question: items of the same question are drawn together by ``--limit``; None: the id.
        cluster, rival: of the bootstrap; None: the question, and the cluster again.
        mirror: id of its mirror image, where the same options compete and another one is right.
        strata: what else its layout says, e.g. ``{"type": "anaphora"}``.
        prompt_tokens, option_tokens: text ids where they are known already; then no text is cut into tokens.
    """

    id: str
    cell: str
    prompts: tuple[Segments, ...]
    options: tuple[Segments, ...]
    right: int = 0
    question: str | None = None
    cluster: str | None = None
    rival: str | None = None
    mirror: str | None = None
    strata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    prompt_tokens: np.ndarray | None = None
    option_tokens: tuple[np.ndarray, ...] | None = None

    @property
    def drawn_with(self) -> str:
        """Its question."""
        return self.question or self.id

    def segments(self) -> list[Segment]:
        """All of them."""
        return [segment for part in (*self.prompts, *self.options) for segment in part]


def check_items(items: Sequence[Item], task: str) -> None:
    """Whether items can be asked at all, before anything large is loaded.

    Raises:
        InputError: none, an id that stands twice, fewer than two options, a right one that is not there, or an empty
            text.
    """
    if not items:
        raise InputError(f"{task} has an item at least", "none", "check the folder and the directions")
    seen: set[tuple[str, str]] = set()
    for item in items:
        if (item.cell, item.id) in seen:
            fix = "give every item an id of its own"
            raise InputError(f"ids of {task} stand once in {item.cell}", f"{item.id!r} stands twice", fix)
        seen.add((item.cell, item.id))
        if len(item.options) < 2 or not 0 <= item.right < len(item.options):
            raise InputError(
                f"an item of {task} has two options or more, and one of them is right",
                f"{item.id!r}: {len(item.options)} options, number {item.right} is right",
                "correct the item",
            )
        for segment in item.segments():
            if not segment.is_speech and not (segment.text or "").strip():
                raise InputError(f"a text of {task} has a word at least", f"{item.id!r}", "correct the item")


def check_units(items: Iterable[Item], task: str, num_units: int, num_codebooks: int) -> None:
    """Whether a model has the units that stand in items.

    Raises:
        InputError: a segment without a unit, with another shape, or with a unit that is in no codebook.
    """
    for item in items:
        for units in (segment.units for segment in item.segments() if segment.units is not None):
            shaped = units.ndim == 1 if num_codebooks == 1 else units.shape[1:] == (num_codebooks,)
            if not shaped or not len(units) or units.min() < 0 or units.max() >= num_units:
                kind = f"frames of {num_codebooks} units" if num_codebooks > 1 else "units"
                found = f"{item.id!r}: {len(units)} of shape {list(units.shape)}"
                found += f", {units.min()} to {units.max()}" if units.size else ""
                raise InputError(f"{task} has {kind} of the model, 0 to {num_units - 1}", found, "correct the item")


def as_file(content: bytes) -> io.BytesIO:
    """Bytes as a file that is open."""
    return io.BytesIO(content)
