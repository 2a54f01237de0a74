"""JSON lines of slamkit: ``features.jsonl`` of its first step, ``tokens.jsonl`` of its second.

::

    {"units": [3, 49, 7], "duration": [1, 1, 2], "file_name": "audio/audio2.flac"}       features
    {"file_name": "audio/audio2.flac", "audio_repr": "<Un3><Un49><Un7>"}                 tokens

Tokens have lost their durations: the features of the same recordings give them back. Lines may also hold ``text`` and
``aligned_text`` (``[[word, start, end], ...]``, seconds), or a directory has them as one ``NAME.json`` a recording.
Read off slamkit's ``cli/extract_features.py``, ``cli/prepare_tokens.py`` and its ``example_data``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.files import parse_line, read_json, read_lines
from smoltolk.data.shards.release_files import merge
from smoltolk.data.shards.unit_corpus import UnitUtterance
from smoltolk.speech.segments import Segment

_UNIT = re.compile(r"<Un(\d+)>")
_UNITS = re.compile(r"(?:<Un\d+>)+")


class SlamkitLines:
    """The lines of one file.

    Args:
        path: ``tokens.jsonl`` or ``features.jsonl``.
        frame_rate: frames per second of its units; the file does not say.
        features: where the durations of ``tokens.jsonl`` are; None: every unit counts as one frame.
        meta_dir: a ``NAME.json`` for each recording, with ``text`` and ``aligned_text``.

    Raises:
        NotFoundError: a file is missing.
    """

    def __init__(self, path: Path, *, frame_rate: float, features: Path | None = None, meta_dir: Path | None = None):
        self._path, self.frame_rate, self._meta_dir = path, frame_rate, meta_dir
        self._durations: dict[str, tuple[Any, Any]] = {}
        if features is not None:
            for _, row in _rows(features):
                if not isinstance(row, InputError):
                    self._durations[row["file_name"]] = row.get("units"), row.get("duration")

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any] | InputError]]:
        """Lines with their ids, in order; what is no line is there as the error that it is."""
        for number, row in _rows(self._path):
            yield (f"line-{number}", row) if isinstance(row, InputError) else (self.id(row), row)

    def id(self, row: dict[str, Any]) -> str:
        """Made of the recording's path, so that recordings of one name in two folders stay two."""
        parts = [part for part in Path(row["file_name"]).parts if part not in ("/", ".", "..")]
        parts[-1:] = [Path(part).stem for part in parts[-1:]]
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(parts)).lstrip(".-") or "_"

    def utterance(self, row: dict[str, Any] | InputError, *, source: str, language: str) -> UnitUtterance:
        """One line as an utterance.

        Raises:
            InputError: it cannot be used, and why.
        """
        if isinstance(row, InputError):
            raise row
        units, durations = self._units(row)
        merged = merge(units, durations)
        row = {**row, **self._meta(row)}
        words = row.get("aligned_text") or []
        try:
            segments = tuple(Segment(str(word).strip(), float(start), float(end)) for word, start, end in words)
        except (TypeError, ValueError) as error:
            raise InputError("aligned_text is [[word, start, end], ...]", repr(error), "correct the line") from error
        text = str(row.get("text") or "").strip() or " ".join(segment.text for segment in segments)
        return UnitUtterance(
            id=self.id(row),
            text=text,
            words=tuple(segment for segment in segments if segment.text),
            units=merged.units,
            durations=merged.durations,
            speaker="",
            language=language,
            source=source,
            seconds=merged.num_frames / self.frame_rate,
        )

    def _units(self, row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        if "units" in row:
            units, durations = row["units"], row.get("duration")
        else:
            written = row.get("audio_repr")
            if not isinstance(written, str) or _UNITS.fullmatch(written) is None:
                fix = "import the features.jsonl that these tokens were made of"
                raise InputError("a line of speech has units only", f"audio_repr {str(written)[:60]!r}", fix)
            units = [int(unit) for unit in _UNIT.findall(written)]
            known = self._durations.get(row["file_name"])
            durations = None if known is None else known[1]
            if self._durations and (known is None or known[0] != units):
                found = "no line for it" if known is None else "other units"
                raise InputError("the features are of the same recordings", found, "give those it was made of")
        durations = [1] * len(units) if durations is None else durations
        try:
            pair = np.array(units, np.int64), np.array(durations, np.int64)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError("units and durations are whole numbers", repr(error), "correct the line") from error
        if pair[0].ndim > 1:
            found = f"units of shape {pair[0].shape}"
            raise InputError("a line of slamkit has units of one codebook", found, "prepare these recordings here")
        if pair[0].ndim != 1 or pair[0].shape != pair[1].shape:
            found = f"{pair[0].shape} units, {pair[1].shape} durations"
            raise InputError("every unit has its duration", found, "correct the line")
        return pair

    def _meta(self, row: dict[str, Any]) -> dict[str, Any]:
        if self._meta_dir is None:
            return {}
        path = self._meta_dir / f"{Path(row['file_name']).stem}.json"
        meta = read_json(path)
        if not isinstance(meta, dict):
            raise InputError("a recording's file has its text", f"{path}: {str(meta)[:60]}", "correct the file")
        return {name: meta[name] for name in ("text", "aligned_text") if name in meta}


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    for number, line in read_lines(path):
        try:
            row = parse_line(line, path, number)
            if not isinstance(row, dict) or not isinstance(row.get("file_name"), str) or "\0" in row["file_name"]:
                raise _no_line(path, number, "no file_name")
        except InputError as error:
            yield number, error
        else:
            yield number, row


def _no_line(path: Path, number: int, error: object) -> InputError:
    return InputError(
        'a line is like {"file_name": "a.flac", "units": [3, 1], "duration": [2, 1]}',
        f"{path}, line {number}: {error!r}",
        "give the file as slamkit wrote it",
    )
