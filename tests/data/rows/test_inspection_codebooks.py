"""Rows of several codebooks taken apart, drawn and heard: real speech, the units of a codec that was never trained."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import DacConfig, DacModel

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.inspection import plain_space, shown_ids, view_row, words_tokenizer
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.mixture_view import view_mixture
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.data.rows.timeline import sound_of_codec, write_timeline
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.prepare import prepare
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.model.codec.delays import delayed
from smoltolk.model.ids import IGNORE
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.kinds import load_unit_tokenizer

Q, RATE = 3, 50.0


@pytest.fixture(scope="module")
def codec_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    sizes = {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "codebook_size": 32, "codebook_dim": 4}
    model = DacModel(
        DacConfig(**sizes, n_codebooks=Q, downsampling_ratios=[2, 4, 5, 8], upsampling_ratios=[8, 5, 4, 2])
    )
    directory = tmp_path_factory.mktemp("codec") / "units"
    CodecUnitTokenizer(model).save(directory)
    return directory


@pytest.fixture(scope="module")
def frames(spoken_corpus: Path, codec_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> UnitCorpus:
    directory = tmp_path_factory.mktemp("frames") / "shards"
    prepare(spoken_corpus, codec_dir, directory, workers=0)
    return read_shards(directory)


def source(frames: UnitCorpus, *tasks: Task) -> RowSource:
    tokenizer = words_tokenizer(frames)
    aligned = AlignedCorpus(frames, tokenizer, RATE)
    space = plain_space(tokenizer, frames.metadata.num_units, frames.metadata.num_codebooks)
    form = RowSettings(length=1200, spans=SpanLengths((2, 4), (2, 4)), minimum=8)
    return RowSource([Stream(task, aligned) for task in tasks], space, seed=0, settings=form)


@pytest.mark.parametrize("task", list(Task))
def test_a_row_of_frames_is_taken_apart_without_remainder(frames: UnitCorpus, task: Task) -> None:
    rows, tokenizer = source(frames, task), words_tokenizer(frames)
    assert rows.space.delays == (0, 1, 2)
    for index in range(3):
        row, view = rows.row(index), view_row(rows, index, tokenizer, frames)
        ids = np.concatenate([run.ids for run in view.runs])
        assert np.array_equal(ids, row.input_ids[: len(row.input_ids) - row.num_padding])
        assert view.num_predicted == sum(run.num_predicted for run in view.runs) == (row.labels != IGNORE).sum()
        for run in view.runs:
            assert row.codes is not None
            if run.kind == "speech":
                assert np.array_equal(run.codes, row.codes[run.start : run.stop])
            else:
                assert run.codes is None and (row.codes[run.start : run.stop] == -1).all()


def test_runs_have_their_words_times_and_frames(frames: UnitCorpus) -> None:
    rows, tokenizer = source(frames, Task.INTERLEAVED), words_tokenizer(frames)
    space, num_runs = rows.space, 0
    for index in range(4):
        for document in view_row(rows, index, tokenizer, frames).documents[:-1]:  # the last may be cut off
            said = [run for run in document.runs if run.kind in ("text", "speech")]
            assert [word for run in said for word in run.words] == list(document.words)
            for run in said:
                if run.kind == "text":
                    assert run.text.split() == [word.text for word in run.words] and run.codes is None
                    continue
                assert run.text == " ".join(word.text for word in run.words)
                start, stop = (round(second * RATE) for second in run.seconds or (0, 0))
                grid = delayed(frames.units(document.utterance)[start:stop], space.delays)
                first = np.where(grid[:, 0] < 0, space.num_units + 1, grid[:, 0]) + space.speech_offset
                assert run.ids.tolist() == first.tolist() and np.array_equal(run.codes, grid[:, 1:])
                num_runs += 1
    assert num_runs > 8


def test_ids_are_written_with_the_units_beside_them(frames: UnitCorpus) -> None:
    rows = source(frames, Task.SPEECH)
    run = view_row(rows, 0, words_tokenizer(frames), frames).documents[0].runs[1]
    one = frames.units(view_row(rows, 0, words_tokenizer(frames), frames).documents[0].utterance).astype(int)
    offset, shown = rows.space.speech_offset, shown_ids(run)
    assert shown[0] == f"{offset + one[0, 0]}/-/-" and shown[1] == f"{offset + one[1, 0]}/{one[0, 1]}/-"
    assert shown[2] == f"{offset + one[2, 0]}/{one[1, 1]}/{one[0, 2]}" and len(shown) == len(one) + 2
    assert shown[-1] == f"{rows.space.pad_speech}/-/{one[-1, 2]}"


def test_a_mixture_counts_frames(frames: UnitCorpus) -> None:
    speech, both = view_mixture(source(frames, Task.SPEECH, Task.INTERLEAVED), frames)
    assert speech.num_codebooks == both.num_codebooks == Q
    assert speech.num_speech == both.num_speech == frames.num_units_each.sum()


def test_the_page_has_the_frames_and_the_sound_of_the_codec(
    frames: UnitCorpus, codec_dir: Path, phone_units_dir: Path, tmp_path: Path
) -> None:
    view = view_row(source(frames, Task.INTERLEAVED), 0, words_tokenizer(frames), frames)
    sound = sound_of_codec(load_unit_tokenizer(codec_dir), frames)
    page = write_timeline(view, tmp_path / "row.html", title="Frames", sound=sound).read_text()
    sounds = re.findall(r"data:audio/mpeg;base64,([^\"]+)", page)
    assert len(sounds) == len(view.documents)
    for document, encoded in zip(view.documents, sounds, strict=True):
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)))
        assert len(samples) / rate == pytest.approx(frames.seconds[document.utterance], abs=0.15)
    run = next(run for run in view.runs if run.kind == "speech")
    assert shown_ids(run)[1] in page and f"{len(run.ids)} positions" in page
    with pytest.raises(InputError, match="the codec that made them"):
        sound_of_codec(load_unit_tokenizer(phone_units_dir), frames)
