"""A row drawn on a time line with its sound: one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import soundfile

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_file
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.rows.inspection import DocumentView, RowView, Run, shown_ids
from smoltolk.data.shards.stored_units import StoredUnits
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.speech.audio import SAMPLE_RATE, load
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.tokenizer import UnitTokenizer
from smoltolk.speech.vocoders.kinds import Vocoder

Sound = tuple[np.ndarray, int]  # float32 [samples], Hz
_PIXELS_PER_SECOND, _LEAST_WIDTH, _STRIP_WIDTH = 130, 240, 1200
_WAVE_HEIGHT, _COLUMNS_PER_SECOND = 44, 55
_SHORTEST_NAMED = 34  # pixels of a box that has room for a word


@dataclass(frozen=True)
class _Box:
    """A box of a lane: pixels, what is written in it, what the pointer tells, seconds to play."""

    x: float
    width: float
    label: str
    title: str
    start: float
    stop: float
    predicted: bool = True


@dataclass(frozen=True)
class _Drawing:
    view: DocumentView
    width: int
    wave: str
    words: list[_Box]
    written: list[_Box]
    spoken: list[_Box]
    audio: str | None


def write_timeline(
    view: RowView,
    path: Path | str,
    *,
    title: str,
    sound: Callable[[DocumentView], Sound | None] | None = None,
    note: str = "",
) -> Path:
    """Write a page.

    Args:
        view: the row.
        path: the ``.html`` file; it appears whole or not at all.
        title: its headline.
        sound: the recording of a document's utterance, from its first second on; None where there is none.
        note: a sentence about the sound, e.g. that a vocoder made it.
    """
    drawings = [_draw(document, None if sound is None else sound(document)) for document in view.documents]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("smoltolk.data.rows"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("row.html.j2").render(
        title=title,
        note=note,
        view=view,
        drawings=drawings,
        strip=_strip(view),
        shown_ids=shown_ids,
        strip_width=_STRIP_WIDTH,
        scale=_PIXELS_PER_SECOND,
    )
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def _strip(view: RowView) -> list[tuple[float, float, str, str]]:
    """The whole row at one glance: x, width, kind and title of each run."""
    scale = _STRIP_WIDTH / view.length
    return [
        (
            run.start * scale,
            max((run.stop - run.start) * scale, 0.6),
            run.kind,
            f"{run.start}-{run.stop - 1} {run.kind}: {run.text}",
        )
        for run in view.runs
    ]


def _draw(document: DocumentView, sound: Sound | None) -> _Drawing:
    length = max([document.length, *(word.end for word in document.words)], default=0.0)
    spoken = [run for run in document.runs if run.kind == "speech"]
    written = [run for run in document.runs if run.kind == "text"]
    return _Drawing(
        document,
        max(_LEAST_WIDTH, int(length * _PIXELS_PER_SECOND) + 2),
        "" if sound is None else _wave(*sound),
        [_box(word.text, (word.start, word.end), word.text, True) for word in document.words],
        [_run_box(run) for run in written],
        [_run_box(run) for run in spoken],
        None if sound is None else _data_uri(*sound),
    )


def _run_box(run: Run) -> _Box:
    ids = " ".join(shown_ids(run)[:40]) + (" ..." if len(run.ids) > 40 else "")
    what = "tokens" if run.kind == "text" else "units" if run.codes is None else "positions"
    title = f"{run.text}\nids {run.start}-{run.stop - 1}: {len(run.ids)} {what}, {run.num_predicted} predicted\n{ids}"
    label = f"{len(run.ids)} {what}" if run.kind == "speech" else run.text
    return _box(label, run.seconds or (0.0, 0.0), title, run.num_predicted > 0)


def _box(label: str, seconds: tuple[float, float], title: str, predicted: bool) -> _Box:
    start, stop = seconds
    width = max((stop - start) * _PIXELS_PER_SECOND, 2.0)
    fitting = int((width - 6) / 6.0)
    if len(label) > fitting:
        label = label[: fitting - 1] + "\u2026" if width >= _SHORTEST_NAMED and fitting > 2 else ""
    return _Box(start * _PIXELS_PER_SECOND, width, label, title, start, stop, predicted)


def _wave(waveform: np.ndarray, sample_rate: int) -> str:
    """Points of a polygon: the loudest sample of each column, up and down."""
    columns = max(1, int(len(waveform) / sample_rate * _COLUMNS_PER_SECOND))
    borders = np.linspace(0, len(waveform), columns, endpoint=False).astype(np.int64)
    peaks = np.maximum.reduceat(np.abs(waveform), borders)
    heights = peaks / max(float(peaks.max()), 1e-4) * (_WAVE_HEIGHT / 2 - 1)
    x = (np.arange(columns) + 0.5) * _PIXELS_PER_SECOND / _COLUMNS_PER_SECOND
    middle = _WAVE_HEIGHT / 2
    upper = [f"{a:.1f},{middle - h:.1f}" for a, h in zip(x, heights, strict=True)]
    lower = [f"{a:.1f},{middle + h:.1f}" for a, h in zip(x, heights, strict=True)]
    return " ".join(upper + lower[::-1])


def _data_uri(waveform: np.ndarray, sample_rate: int) -> str:
    encoded = io.BytesIO()
    soundfile.write(encoded, np.clip(waveform, -1, 1), sample_rate, format="MP3")
    return "data:audio/mpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def sound_of_corpus(corpus: Path | str, view: RowView) -> Callable[[DocumentView], Sound | None]:
    """The recordings of a row's utterances, read from the corpus that the shards were made of.

    Raises:
        NotFoundError: no corpus.
        InputError: it has none of these utterances.
    """
    wanted = {document.name for document in view.documents if document.utterance >= 0}
    paths = {one.id: one.audio for one in read_corpus(corpus) if one.id in wanted}
    if wanted and not paths:
        raise InputError(
            "the corpus is the one that the shards were made of",
            f"{corpus} has no utterance {min(wanted)!r}",
            "name the right corpus, or give a vocoder",
        )

    def sound(document: DocumentView) -> Sound | None:
        path = paths.get(document.name)
        return None if path is None else (load(path), SAMPLE_RATE)

    return sound


def sound_of_units(vocoder: Vocoder, shards: UnitCorpus | StoredUnits) -> Callable[[DocumentView], Sound | None]:
    """The units of a row's utterances, spoken by a vocoder with their own durations, so that times stay.

    Raises:
        InputError: the vocoder is for other units.
    """
    if vocoder.unit_fingerprint != shards.metadata.fingerprint:
        raise InputError(
            "a vocoder speaks the units of one tokenizer only",
            f"units {shards.metadata.fingerprint[:16]}, the vocoder has {vocoder.unit_fingerprint[:16]}",
            "give the vocoder that was fitted for these units",
        )
    return _made(shards, vocoder.synthesize, vocoder.sample_rate)


def sound_of_codec(codec: UnitTokenizer, shards: UnitCorpus | StoredUnits) -> Callable[[DocumentView], Sound | None]:
    """The frames of a row's utterances, as the codec that made them turns them back into sound.

    Raises:
        InputError: it is no codec, or another one.
    """
    if not isinstance(codec, CodecUnitTokenizer) or codec.fingerprint != shards.metadata.fingerprint:
        raise InputError(
            f"frames of {shards.metadata.num_codebooks} units become sound by the codec that made them",
            f"units {shards.metadata.fingerprint[:16]}, a {type(codec).__name__} of units {codec.fingerprint[:16]}",
            "give the directory of that codec",
        )
    return _made(shards, lambda units, durations: codec.decode(np.repeat(units, durations, axis=0)), codec.sample_rate)


def _made(
    shards: UnitCorpus | StoredUnits, speak: Callable[[np.ndarray, np.ndarray], np.ndarray], sample_rate: int
) -> Callable[[DocumentView], Sound | None]:
    def sound(document: DocumentView) -> Sound | None:
        if document.utterance < 0:
            return None
        units = shards.units(document.utterance).astype(np.int64)
        return speak(units, shards.durations(document.utterance).astype(np.int64)), sample_rate

    return sound
