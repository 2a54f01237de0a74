"""Lhotse's manifests, read line by line: supervisions with their recordings, or cuts.

The format is that of ``lhotse`` 1.x, ``.jsonl`` or ``.jsonl.gz``; lhotse itself is not needed to read it. A line that
cannot be used costs that line only.

::

    recordings    {"id", "sources": [{"type": "file", "channels": [0], "source": PATH}], "sampling_rate", ...}
    supervisions  {"id", "recording_id", "start", "duration", "channel", "text", "language", "speaker",
                   "alignment": {"word": [[symbol, start, duration, score], ...]}}
    cuts          {"id", "start", "duration", "channel", "recording": {...}, "supervisions": [...]}

Times are seconds. A supervision starts so long after its recording, in a cut after the cut. Words count from the start
of the recording, also in a cut; some writers let them count from the cut or from the supervision, which shows where
they would lie outside the supervision otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.lhotse_files import find_manifests, numbered_rows
from smoltolk.data.corpora.making import file_state
from smoltolk.data.corpora.names import Names, printable
from smoltolk.data.corpora.said import Said, said_of
from smoltolk.data.corpora.textgrid import PAUSES
from smoltolk.data.corpora.utterances import SLACK_SECONDS
from smoltolk.speech.audio import load_stretch
from smoltolk.speech.segments import Segment

# Where the text stands: in "text", or where Libriheavy keeps it, with capitals and commas.
TEXT_KEYS = ("text", "custom.texts.0")


@dataclass(frozen=True)
class Supervised:
    """A segment of a recording and what is said in it.

    Attributes:
        audio: the file.
        start, seconds: the segment; of the file.
        channels: to read; none: all.
        text: as written; None: there is none.
        words: from the start of the segment.
        problem: why it cannot be used, if that is known already.
    """

    id: str
    audio: Path
    start: float
    seconds: float
    channels: tuple[int, ...] = ()
    text: str | None = None
    words: tuple[Segment, ...] = ()
    confidences: tuple[float, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    problem: InputError | None = None

    @property
    def place(self) -> str:
        """The file and the segment."""
        return f"{self.audio} {self.start:g} to {self.start + self.seconds:g} s"

    @property
    def origin(self) -> str:
        """The same."""
        return printable(self.place)

    @property
    def original(self) -> Path | None:
        """None: a file may hold more than the segment."""
        return None

    def identity(self) -> tuple[str | int | float, ...]:
        """All that is known of it."""
        words = "\n".join(f"{w.text} {w.start} {w.end}" for w in self.words)
        more = str((self.channels, self.confidences, sorted(self.names.items()), str(self.problem)))
        state = file_state(self.audio)
        return self.id, str(self.audio), self.start, self.seconds, self.text or "", words, more, *state

    def said(self) -> Said:
        """Its text, and its words where they are known."""
        if self.problem is not None:
            raise self.problem
        text = None if self.text is None else " ".join(self.text.split())
        return said_of(text, self.words, self.confidences, f"supervision {self.id}")

    def sound(self) -> np.ndarray:
        """float32 [samples], 16 kHz."""
        return load_stretch(self.audio, self.start, self.seconds, self.channels)


class Manifests:
    """The segments of all manifests in a place, in order; can be iterated again and again.

    Args:
        path: a file of cuts, a file of supervisions, or a directory with any number of them. The recordings of
            ``x_supervisions_y.jsonl.gz`` lie beside it in ``x_recordings_y.jsonl.gz``.
        audio_root: where relative paths of recordings begin; default: where the command runs, and else the
            directory of the manifest.
        text_keys: where the text of a supervision stands, the first that is there; dots lead inside.

    Raises:
        NotFoundError: no manifests, or supervisions without their recordings.
        InputError: another ending.
    """

    def __init__(self, path: Path | str, *, audio_root: Path | None = None, text_keys: tuple[str, ...] = TEXT_KEYS):
        self.files = find_manifests(Path(path))
        self._root, self._text_keys = audio_root, text_keys

    def __iter__(self) -> Iterator[Supervised]:
        ids: set[str] = set()
        names = Names()
        for segments, recordings in self.files:
            for item in self._cuts(segments) if recordings is None else self._supervisions(segments, recordings):
                problem = item.problem
                if item.id in ids and problem is None:
                    problem = InputError("every supervision needs an id of its own", f"{item.id!r} twice", "rename one")
                ids.add(item.id)
                yield replace(item, id=names.free(item.id), problem=problem)

    def _supervisions(self, segments: Path, recordings: Path) -> Iterator[Supervised]:
        known: dict[str, dict[str, Any]] = {}
        for _, row in numbered_rows(recordings):
            if isinstance(row, dict) and isinstance(row.get("id"), str):
                known[row["id"]] = _slim(row)
        for number, row in numbered_rows(segments):
            where = f"{segments.name}, line {number}"
            if isinstance(row, InputError):
                yield _unusable(segments, number, row)
                continue
            recording = known.get(str(row.get("recording_id")))
            if recording is None:
                problem = InputError(
                    "a supervision names a recording of its manifest",
                    f"{where}: {row.get('recording_id')!r} is not in {recordings.name}",
                    "write the manifests again",
                )
                yield _unusable(segments, number, problem, row)
                continue
            yield self._item(row, recording, 0.0, None, segments, number)

    def _cuts(self, path: Path) -> Iterator[Supervised]:
        for number, cut in numbered_rows(path):
            if isinstance(cut, InputError):
                yield _unusable(path, number, cut)
                continue
            held, recording = cut.get("supervisions"), cut.get("recording")
            if cut.get("type", "MonoCut") not in ("MonoCut", "Cut", "MultiCut") or not isinstance(recording, dict):
                problem = InputError(
                    "a cut must be of one recording, and hold it",
                    f"{path.name}, line {number}: {cut.get('type')}",
                    "write cuts that are neither mixed nor padded, with their recordings",
                )
                yield _unusable(path, number, problem, cut)
            elif not held or not isinstance(held, list):
                found = f"{path.name}, line {number}: no supervision"
                yield _unusable(
                    path, number, InputError("a cut must say what is said in it", found, "add its text"), cut
                )
            else:
                for row in held:
                    yield self._item(row, _slim(recording), cut.get("start", 0.0), cut.get("channel"), path, number)

    def _item(
        self, row: dict[str, Any], recording: dict[str, Any], offset: float, channel: Any, path: Path, number: int
    ) -> Supervised:
        try:
            return self._read(row, recording, float(offset), channel, path)
        except InputError as error:
            return _unusable(path, number, error, row)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            problem = InputError(
                "a supervision has an id, a start, a duration, and words as [symbol, start, duration]",
                f"{path.name}, line {number}: {error!r}",
                "write the manifest again",
            )
            return _unusable(path, number, problem, row)

    def _read(
        self, row: dict[str, Any], recording: dict[str, Any], offset: float, channel: Any, path: Path
    ) -> Supervised:
        audio, in_file = self._source(recording, row.get("channel", channel), path)
        begin, seconds = float(row["start"]), float(row["duration"])
        words, confidences = _words(row, seconds, (offset + begin, begin, 0.0))
        texts = (_inside(row, key) for key in self._text_keys)
        names = {"speaker": printable(str(row.get("speaker") or row.get("recording_id") or recording["id"]))}
        if row.get("language"):
            names["language"] = printable(str(row["language"]))
        return Supervised(
            id=str(row["id"]),
            audio=audio,
            start=max(0.0, offset + begin),
            seconds=seconds,
            channels=in_file,
            text=next((text for text in texts if isinstance(text, str) and text.strip()), "" if not words else None),
            words=words,
            confidences=confidences,
            names=names,
        )

    def _source(self, recording: dict[str, Any], channel: Any, path: Path) -> tuple[Path, tuple[int, ...]]:
        """The file that holds the wanted channels, and their numbers in it; none if it holds nothing else."""
        if recording.get("transforms"):
            raise InputError(
                "a recording is used as it was recorded",
                f"{recording['id']} has transforms ({str(recording['transforms'])[:60]})",
                "save its sound and write the manifest again",
            )
        wanted = None if channel is None else set(channel if isinstance(channel, list) else [channel])
        files = [s for s in recording["sources"] if wanted is None or wanted & set(s["channels"])]
        if len(files) != 1 or files[0]["type"] != "file":
            kinds = ", ".join(str(s["type"]) for s in files) or "none"
            raise InputError(
                "the sound of a supervision lies in one file",
                f"recording {recording['id']} has, for channel {channel}: {kinds}",
                "save it as files and write the manifest again",
            )
        held = list(files[0]["channels"])
        whole = wanted is None or wanted >= set(held)
        audio = Path(files[0]["source"])
        if not audio.is_absolute():
            roots = [self._root] if self._root is not None else [Path(), path.parent]
            audio = next((root / audio for root in roots if (root / audio).is_file()), roots[0] / audio)
        return audio, () if whole else tuple(held.index(c) for c in sorted(wanted & set(held)))  # type: ignore[operator]


def _unusable(path: Path, number: int, problem: InputError, row: Any = None) -> Supervised:
    held = row.get("id") if isinstance(row, dict) else None
    name = str(held or f"{path.name.split('.')[0]}-line-{number}")
    return Supervised(name, path, 0.0, 0.0, names={"speaker": ""}, problem=problem)


def _words(
    row: dict[str, Any], seconds: float, begins: Sequence[float]
) -> tuple[tuple[Segment, ...], tuple[float, ...]]:
    """Words of a supervision from its start on, without the pauses that aligners write between them.

    Args:
        row: the supervision.
        seconds: its length.
        begins: its start, from wherever its words may count; the first that puts them inside it is taken.
    """
    words: list[Segment] = []
    confidences: list[float] = []
    for item in (row.get("alignment") or {}).get("word") or ():
        values: list[Any] = (
            [item.get(n) for n in ("symbol", "start", "duration", "score")] if isinstance(item, dict) else item
        )
        symbol, start, length = str(values[0]), float(values[1]), float(values[2])
        if symbol.strip().casefold() in PAUSES:
            continue
        words.append(Segment(symbol, start, start + length))
        if len(values) > 3 and values[3] is not None:
            confidences.append(float(values[3]))
    if not words:
        return (), ()
    first, last = min(word.start for word in words), max(word.end for word in words)
    fitting = (b for b in begins if first >= b - SLACK_SECONDS and last <= b + seconds + SLACK_SECONDS)
    begin = next(fitting, begins[0])
    timed = tuple(Segment(word.text, word.start - begin, word.end - begin) for word in words)
    return timed, tuple(confidences)


def _inside(row: Any, key: str) -> Any:
    for name in key.split("."):
        if isinstance(row, list) and name.isdigit() and int(name) < len(row):
            row = row[int(name)]
        elif isinstance(row, dict):
            row = row.get(name)
        else:
            return None
    return row


def _slim(recording: dict[str, Any]) -> dict[str, Any]:
    """What is needed of a recording: millions of them are held."""
    return {name: recording.get(name) for name in ("id", "sources", "transforms") if recording.get(name)}
