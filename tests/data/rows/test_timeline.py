from __future__ import annotations

import base64
import html
import io
import re
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.inspection import RowView, plain_space, view_row, words_tokenizer
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.data.rows.timeline import sound_of_corpus, sound_of_units, write_timeline
from smoltolk.data.shards.parquet import UnitCorpus
from smoltolk.speech.vocoders.kinds import GriffinLimVocoder


def viewed(unit_corpus: UnitCorpus, task: Task, **changes: Any) -> RowView:
    tokenizer = words_tokenizer(unit_corpus)
    aligned = AlignedCorpus(unit_corpus, tokenizer, 25.0)
    settings = RowSettings(**({"length": 200, "spans": SpanLengths((2, 4), (2, 4))} | changes))
    space = plain_space(tokenizer, unit_corpus.metadata.num_units)
    return view_row(RowSource([Stream(task, aligned)], space, seed=0, settings=settings), 0, tokenizer, unit_corpus)


@pytest.fixture(scope="module")
def view(unit_corpus: UnitCorpus) -> RowView:
    return viewed(unit_corpus, Task.INTERLEAVED)


def test_the_page_needs_nothing_else_and_plays_the_recordings(
    view: RowView, spoken_corpus: Path, unit_corpus: UnitCorpus, tmp_path: Path
) -> None:
    path = write_timeline(view, tmp_path / "row.html", title="<Row>", sound=sound_of_corpus(spoken_corpus, view))
    page = path.read_text()
    assert "&lt;Row&gt;" in page and not re.search(r"(src|href)=\"(?!data:)", page) and "http" not in page
    sounds = re.findall(r"data:audio/mpeg;base64,([^\"]+)", page)
    assert len(sounds) == len(view.documents)
    for document, sound in zip(view.documents, sounds, strict=True):
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound)))
        assert len(samples) / rate == pytest.approx(unit_corpus.seconds[document.utterance], abs=0.1)
    words = sum(len(document.words) for document in view.documents)
    assert page.count('class="word"') == words and page.count('class="speech"') > len(view.documents)


def test_the_wave_fills_its_strip(view: RowView, tmp_path: Path) -> None:
    """44 pixels high: the loudest sample reaches nearly to its borders, and half as loud is half as high."""
    waveform = np.full(32000, 0.1, np.float32)
    waveform[16000:], waveform[20000] = 0.2, -0.4
    page = write_timeline(view, tmp_path / "row.html", title="Row", sound=lambda _: (waveform, 16000)).read_text()
    points = re.findall(r'class="wave" points="([^"]+)"', page)[0].split()
    y = np.array([float(point.split(",")[1]) for point in points])
    above, below = 22 - y[: len(y) // 2], y[: len(y) // 2 - 1 : -1] - 22
    assert np.array_equal(above, below) and 20 < above.max() < 22
    assert above[[5, -5]] / above.max() == pytest.approx([0.25, 0.5], abs=0.01)


@pytest.mark.parametrize("task", [Task.INTERLEAVED, Task.RECOGNITION])
def test_a_box_tells_its_run(task: Task, unit_corpus: UnitCorpus, tmp_path: Path) -> None:
    """Words, places, counts and the first forty ids; dashed where it is only given."""
    view = viewed(unit_corpus, task, length=400, predict_prompt=False)
    page = html.unescape(write_timeline(view, tmp_path / "row.html", title="Row").read_text())
    found = re.findall(r'<rect class="(text|speech)( given)?" .*?<title>(.*?)</title>', page, flags=re.DOTALL)
    expected = []
    for document, kind in product(view.documents, ("text", "speech")):  # a lane each
        for run in document.runs:
            if run.kind == kind:
                what = f"{len(run.ids)} {'tokens' if kind == 'text' else 'units'}, {run.num_predicted} predicted"
                ids = " ".join(map(str, run.ids[:40].tolist())) + " ..." * (len(run.ids) > 40)
                told = f"{run.text}\nids {run.start}-{run.start + len(run.ids) - 1}: {what}\n{ids}"
                expected.append((kind, "" if run.num_predicted else " given", told))
    assert found == expected
    if task is Task.RECOGNITION:
        assert any(given for _, given, _ in found) and any(told.endswith("...") for *_, told in found)


def test_units_are_spoken_in_their_own_times(view: RowView, unit_corpus: UnitCorpus) -> None:
    metadata = unit_corpus.metadata
    sound = sound_of_units(
        GriffinLimVocoder(metadata.num_units, metadata.frame_rate, metadata.fingerprint, width=8), unit_corpus
    )
    waveform, rate = sound(view.documents[0])  # type: ignore[misc]
    frames = int(unit_corpus.durations(view.documents[0].utterance).astype(int).sum())
    assert len(waveform) == frames * rate / metadata.frame_rate and np.isfinite(waveform).all()
    with pytest.raises(InputError, match="one tokenizer only"):
        sound_of_units(GriffinLimVocoder(metadata.num_units, metadata.frame_rate, "other", width=8), unit_corpus)


def test_without_sound_and_with_another_corpus(view: RowView, spoken_corpus: Path, tmp_path: Path) -> None:
    page = write_timeline(view, tmp_path / "row.html", title="Row").read_text()
    assert "<audio" not in page and 'class="word"' in page
    shutil.copytree(spoken_corpus, tmp_path / "corpus")
    for part in (tmp_path / "corpus" / "parts").iterdir():
        lines = (part / "utterances.jsonl").read_text().replace('"id": "train', '"id": "other')
        (part / "utterances.jsonl").write_text(lines)
    with pytest.raises(InputError, match="the one that the shards were made of"):
        sound_of_corpus(tmp_path / "corpus", view)
