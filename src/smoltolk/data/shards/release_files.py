"""The files of the SmolTolk release: units and text tokens as flat arrays.

::

    UNITS/SPLIT.bin           uint16 (uint32 where the vocabulary needs it): units, an end id behind each utterance;
                              of several codebooks a row of n_q units a frame, and a row of end ids
    UNITS/SPLIT.len           uint64 or uint16: ids (of several codebooks: rows) of each utterance, the end included
    UNITS/SPLIT.dur           uint8: frames of each id; without it there is one frame an id
    UNITS/meta.pkl            vocab_size, eos, pad, frame_rate, n_q
    TEXT/SPLIT.bin, .len      the text tokens of the same utterances, in the same way
    TEXT/SPLIT.wrds_tms       float32: where each word ends, seconds; the end id is a word of its own
    TEXT/SPLIT.wrds_tms_len   uint64: text tokens of each word
    TEXT/meta.pkl             vocab_size, eos

Read off the released data loader and the scripts that dump units (``vozlms/smoltolk_base``: dataset.py,
scripts/dump_hubert_codes.py, scripts/dump_mimi_codes.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.shards.plain_pickle import read_plain_pickle
from smoltolk.data.shards.unit_corpus import UnitUtterance
from smoltolk.speech.segments import Segment
from smoltolk.speech.units.tokenizer import Units, deduplicate

_LENGTH_TYPES = (np.uint64, np.uint16)  # the release has both


@dataclass(frozen=True)
class _Sequences:
    """One modality of a split.

    Attributes:
        ids: ``[total]``, of several codebooks ``[total, n_q]``, memory-mapped.
        offsets: int64 ``[N + 1]``.
        eos: the id behind each sequence.
        meta: of ``meta.pkl``.
    """

    ids: np.ndarray
    offsets: np.ndarray
    eos: int
    meta: dict[str, Any]

    @classmethod
    def read(cls, directory: Path, split: str, needed: tuple[str, ...]) -> _Sequences:
        meta = read_plain_pickle(directory / "meta.pkl")
        if not isinstance(meta, dict) or not all(isinstance(meta.get(name), int | float) for name in needed):
            raise InputError(
                f"meta.pkl has the numbers {', '.join(needed)}", f"{directory / 'meta.pkl'}: {meta}", "correct the file"
            )
        kind, num_codebooks = np.uint32 if meta["vocab_size"] > 2**16 else np.uint16, meta.get("n_q", 1)
        ids = read_array(directory / f"{split}.bin", kind)
        if num_codebooks != 1:
            if not isinstance(num_codebooks, int) or num_codebooks < 1 or len(ids) % num_codebooks:
                found = f"n_q = {num_codebooks}, {len(ids)} numbers"
                raise InputError(f"{split}.bin has a row of n_q units for each frame", found, "get both files again")
            ids = ids.reshape(-1, num_codebooks)
        return cls(ids, _offsets(directory / f"{split}.len", len(ids)), int(meta["eos"]), meta)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """One sequence without its end."""
        ids = self.ids[self.offsets[index] : self.offsets[index + 1]]
        if len(ids) == 0 or np.any(ids[-1] != self.eos):
            found = "nothing" if len(ids) == 0 else f"{ids[-1]} behind {len(ids) - 1} ids"
            raise InputError(f"a sequence ends with the end id {self.eos}", found, "leave it out")
        return ids[:-1]


class ReleaseSplit:
    """One split of one corpus of the release.

    Args:
        units_dir: its units.
        split: e.g. ``"train"``.
        text_dir: its text tokens; None: the utterances have no text.
        tokenizer: of the text.

    Attributes:
        num_units, frame_rate, num_codebooks: of the units.

    Raises:
        NotFoundError: a file is missing.
        InputError: files that do not fit each other.
    """

    def __init__(self, units_dir: Path, split: str, *, text_dir: Path | None = None, tokenizer: Any = None):
        if (text_dir is None) != (tokenizer is None):
            raise InputError("text tokens become words with their tokenizer", "only one of the two", "give both")
        self.name = f"{units_dir.parent.name}-{split}"
        self._tokenizer = tokenizer
        self._units = _Sequences.read(units_dir, split, ("vocab_size", "eos", "pad", "frame_rate", "n_q"))
        meta = self._units.meta
        self.num_units, self.frame_rate = int(min(meta["eos"], meta["pad"])), float(meta["frame_rate"])
        self.num_codebooks = int(meta["n_q"])
        self._durations = _optional(units_dir / f"{split}.dur", np.uint8, (len(self._units.ids),))
        if self.num_codebooks > 1 and self._durations is not None:
            found = f"{split}.dur beside n_q = {self.num_codebooks}"
            raise InputError("frames of several codebooks have no durations", found, "name the directory of the codec")
        self._text: _Sequences | None = None
        self._word_ends: np.ndarray | None = None
        if text_dir is not None:
            self._text = _Sequences.read(text_dir, split, ("vocab_size", "eos"))
            if len(self._text) != len(self._units):
                found = f"{len(self._units)} utterances as units, {len(self._text)} as text"
                raise InputError("units and text are of the same utterances", found, "give two that belong together")
            self._read_words(text_dir, split)

    def _read_words(self, text_dir: Path, split: str) -> None:
        assert self._text is not None  # noqa: S101 - its only caller has set it
        if not (text_dir / f"{split}.wrds_tms").is_file():
            return
        self._word_ends = read_array(text_dir / f"{split}.wrds_tms", np.float32)
        lengths = read_array(text_dir / f"{split}.wrds_tms_len", np.uint64)
        self._word_stops = np.cumsum(lengths, dtype=np.int64)
        found = f"{len(self._word_ends)} times, {len(lengths)} lengths of {int(lengths.sum())} tokens"
        if len(lengths) != len(self._word_ends) or int(lengths.sum()) != len(self._text.ids):
            rule = f"every word has a time, and words tile the {len(self._text.ids)} text tokens"
            raise InputError(rule, found, "get these files again")

    def __len__(self) -> int:
        return len(self._units)

    def id(self, index: int) -> str:
        """Utterances of the release have no names; this is its place."""
        return f"{self.name}-{index:08d}"

    def utterance(self, index: int, *, source: str, language: str) -> UnitUtterance:
        """One utterance.

        Raises:
            InputError: it cannot be used, and why.
        """
        ids = self._units[index]
        if self.num_codebooks > 1:
            units = Units(ids.astype(np.int64), np.ones(len(ids), np.int64))
        elif self._durations is None:
            units = deduplicate(ids)
        else:
            start = self._units.offsets[index]
            units = merge(ids, self._durations[start : start + len(ids)])
        text, words = self._say(index)
        return UnitUtterance(
            id=self.id(index),
            text=text,
            words=words,
            units=units.units,
            durations=units.durations,
            speaker="",
            language=language,
            source=source,
            seconds=units.num_frames / self.frame_rate,
        )

    def _say(self, index: int) -> tuple[str, tuple[Segment, ...]]:
        if self._text is None:
            return "", ()
        tokens = self._text[index]
        text = self._tokenizer.decode(tokens).strip()
        if self._word_ends is None:
            return text, ()
        base = int(self._text.offsets[index])
        first, last = np.searchsorted(self._word_stops, (base, base + len(tokens)), side="right")
        words: list[Segment] = []
        start, low = 0.0, 0
        # The word behind the last is the end id: it holds no token of the text.
        for word in range(first, last + 1):
            high = min(int(self._word_stops[word]) - base, len(tokens))
            spelled = self._tokenizer.decode(tokens[low:high]).strip() if high > low else ""
            if spelled:
                words.append(Segment(spelled, start, float(self._word_ends[word])))
                start = float(self._word_ends[word])
            low = high
        return text, tuple(words)


def merge(units: np.ndarray, durations: np.ndarray) -> Units:
    """Units and their frames with equal neighbours made one (a run longer than the file's numbers is written in two).

    Raises:
        InputError: a unit of no frames.
    """
    if len(durations) and durations.min() < 1:
        raise InputError("a unit lasts at least one frame", "0 frames", "leave the utterance out")
    starts = np.flatnonzero(np.diff(units.astype(np.int64), prepend=-1))
    frames = np.add.reduceat(durations.astype(np.int64), starts) if len(starts) else np.zeros(0, np.int64)
    return Units(units[starts].astype(np.int64), frames)


def read_array(path: Path, kind: Any) -> np.ndarray:
    """A file of numbers, memory-mapped.

    Raises:
        NotFoundError: no such file.
        InputError: its size is no multiple of the numbers'.
    """
    if not path.is_file():
        raise NotFoundError(f"{path.name} must exist", f"no file {path}", "check the directory and the split")
    size = path.stat().st_size
    if size % np.dtype(kind).itemsize:
        raise InputError(f"{path.name} holds {np.dtype(kind)} numbers", f"{path}: {size} bytes", "get it again")
    return np.memmap(path, kind, "r") if size else np.zeros(0, kind)


def _optional(path: Path, kind: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    if not path.is_file():
        return None
    array = read_array(path, kind)
    if array.shape != shape:
        raise InputError(f"{path.name} has a number for each id", f"{len(array)} for {shape[0]} ids", "get it again")
    return array


def _offsets(path: Path, total: int) -> np.ndarray:
    """int64 ``[N + 1]``; the type of the lengths is the one with which they sum to the number of ids."""
    if not path.is_file():
        raise NotFoundError(f"{path.name} must exist", f"no file {path}", "check the directory and the split")
    sums = []
    for kind in _LENGTH_TYPES:
        if path.stat().st_size % np.dtype(kind).itemsize == 0:
            offsets = np.concatenate([[0], np.cumsum(read_array(path, kind), dtype=np.int64)])
            if offsets[-1] == total:
                return offsets
            sums.append(int(offsets[-1]))
    raise InputError(
        f"the lengths of {path.name} sum to the {total} ids beside it", f"{path}: {sums}", "get both files again"
    )
