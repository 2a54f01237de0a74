from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Piece, Stream, Task, TextSource
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.model.ids import IGNORE

SPANS = SpanLengths(text=(2, 4), speech=(2, 4))
SETTINGS = RowSettings(length=64, spans=SPANS, minimum=8)


@pytest.fixture(scope="module")
def written(tokenizer):
    return TextSource(lambda number: f"Mia owns {number} cats in Oslo, today.", tokenizer)


@pytest.fixture(scope="module")
def mixed(stories, written, space):
    streams = [Stream(task, stories) for task in Task] + [Stream(Task.TEXT, written, 2.0)]
    return RowSource(streams, space, seed=3, settings=SETTINGS)


def test_a_row_is_a_function_of_its_number(mixed, stories, written, space):
    streams = [Stream(task, stories) for task in Task] + [Stream(Task.TEXT, written, 2.0)]
    fresh = RowSource(streams, space, seed=3, settings=SETTINGS)
    forward = [mixed.row(index) for index in range(40)]
    for index in reversed(range(40)):
        row = fresh.row(index)
        assert np.array_equal(row.input_ids, forward[index].input_ids)
        assert np.array_equal(row.labels, forward[index].labels)
        assert np.array_equal(row.document_ids, forward[index].document_ids)
    other = RowSource(streams, space, seed=4, settings=SETTINGS)
    assert any(not np.array_equal(other.row(i).input_ids, forward[i].input_ids) for i in range(5))


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("length", [48, 200])
def test_an_epoch_begins_every_piece_once(stories, space, task, length):
    settings_ = RowSettings(length=length, spans=SPANS, minimum=8)
    source = RowSource([Stream(task, stories)], space, seed=0, settings=settings_)
    plan = source.plans[0]
    orders = []
    for epoch in range(2):
        rows = [source.row(epoch * plan.num_rows + number) for number in range(plan.num_rows)]
        owned = [piece for row in rows for piece in row.pieces[: row.num_owned]]
        expected = [plan.piece(number) for number in range(plan.num_pieces)]
        by_place = [sorted((p.utterance, p.start, p.stop) for p in pieces) for pieces in (owned, expected)]
        assert by_place[0] == by_place[1]
        orders.append(owned)
    assert orders[0] != orders[1]
    if task not in (Task.RECOGNITION, Task.SYNTHESIS):
        assert {piece.utterance for piece in orders[0]} == set(range(len(stories)))


def test_an_earlier_pass_after_a_later_one(stories, space):
    """Its order is that of its own number, whichever pass was asked for last."""
    source = RowSource([Stream(Task.SPEECH, stories)], space, seed=3, settings=SETTINGS)
    per_pass = source.plans[0].num_rows
    first = [source.row(index).input_ids for index in range(per_pass)]
    for index in (3 * per_pass, 0, per_pass + 2, 1):
        found = source.row(index).input_ids
        fresh = RowSource([Stream(Task.SPEECH, stories)], space, seed=3, settings=SETTINGS).row(index)
        assert np.array_equal(found, fresh.input_ids)
        assert index >= per_pass or np.array_equal(found, first[index])


def test_every_piece_is_begun_however_long_documents_come_out(make_corpus, space):
    """Words of many units and one token: spoken they are far longer than expected, and leave some one id alone."""
    corpus = make_corpus([("cat", ["cat"], np.array([1.6]), np.arange(40) % 20, np.ones(40, int))] * 40)
    settings_ = RowSettings(length=64, spans=SpanLengths(text=(8, 9), speech=(1, 1)), minimum=16)
    source = RowSource([Stream(Task.INTERLEAVED, corpus)], space, seed=0, settings=settings_)
    rows = [source.row(index) for index in range(source.plans[0].num_rows)]
    sizes = [np.bincount(row.document_ids).tolist() for row in rows]
    assert sorted(piece.utterance for row in rows for piece in row.pieces[: row.num_owned]) == list(range(40))
    for row, counts in zip(rows, sizes, strict=True):
        assert len(counts) == len(row.pieces) + (row.num_padding > 0) and min(counts) >= 1
    assert any(counts.count(1) > 1 for counts in sizes)


@given(st.integers(0, 10**9), st.integers(8, 300), st.integers(0, 5), st.booleans())
@settings(max_examples=80, deadline=None)
def test_rows_of_any_length_keep_the_rules(stories, written, space, announced, index, length, stream, separate):
    tasks = [Task.SPEECH, Task.TEXT, Task.INTERLEAVED, Task.RECOGNITION, Task.SYNTHESIS, Task.TEXT]
    task = tasks[stream]
    if task in (Task.RECOGNITION, Task.SYNTHESIS) and length < 150:
        length += 150
    settings_ = RowSettings(length=length, spans=SPANS, minimum=min(8, length), separate=separate)
    source = RowSource([Stream(task, written if stream == 5 else stories)], space, seed=1, settings=settings_)
    row = source.row(index)
    assert row.input_ids.shape == row.labels.shape == row.document_ids.shape == (length,)
    assert row.input_ids.dtype == row.labels.dtype == row.document_ids.dtype == np.int64
    assert row.num_padding < settings_.minimum
    controls = [space.switch, space.begin_prompt, space.end_prompt, space.pad_speech]
    assert not np.isin(row.labels, controls).any()
    predicted = np.flatnonzero(row.labels != IGNORE)
    assert np.array_equal(row.labels[predicted], row.input_ids[predicted])
    assert row.labels[0] == IGNORE
    follows = announced(row.input_ids, space, row.document_ids)[predicted - 1]
    assert np.array_equal(follows, row.labels[predicted] >= space.speech_offset)
    if separate:
        steps = np.diff(row.document_ids)
        assert row.document_ids[0] == 0 and np.isin(steps, [0, 1]).all()
        assert (row.labels[1:][steps == 1] == IGNORE).all()
        assert row.document_ids[-1] + 1 == len(row.pieces) + (row.num_padding > 0)
    else:
        assert not row.document_ids.any()


def test_documents_of_a_row_are_those_of_its_pieces(stories, space):
    source = RowSource([Stream(Task.SPEECH, stories)], space, seed=0, settings=SETTINGS)
    for index in range(10):
        row = source.row(index)
        for number, piece in enumerate(row.pieces):
            ids = row.input_ids[row.document_ids == number]
            units = stories.units(piece.utterance)[piece.start : piece.stop].astype(np.int64)
            whole = [space.eos_speech, *(units + space.speech_offset), space.eos_speech]
            assert ids.tolist() == whole[: len(ids)]
            assert len(ids) == len(whole) or number == len(row.pieces) - 1


def test_text_without_end_never_repeats(written, space, tokenizer):
    source = RowSource([Stream(Task.TEXT, written)], space, seed=0, settings=SETTINGS)
    numbers = [piece.utterance for index in range(50) for piece in source.row(index).pieces]
    assert len(numbers) == len(set(numbers))
    row = source.row(7)
    assert row.pieces == tuple(Piece(piece.utterance, 0, 0) for piece in row.pieces)
    first = row.input_ids[row.document_ids == 0]
    assert first[0] == first[-1] == space.eos_text
    assert tokenizer.decode(first[1:-1]) == f"Mia owns {row.pieces[0].utterance} cats in Oslo, today."


def test_settings_that_cannot_be_are_refused(mixed):
    for bad in ({"length": 7, "minimum": 1}, {"length": 20, "minimum": 21}, {"minimum": 0}):
        with pytest.raises(InputError, match="1 <= minimum <= length"):
            RowSettings(**bad)
    with pytest.raises(InputError, match="counted from 0"):
        mixed.row(-1)


def test_a_stream_has_the_same_ids_without_borders(stories, space):
    """``separate=False``: the documents lie end to end in one stream, as in the published code."""
    form = {"length": 64, "spans": SPANS, "minimum": 8}
    apart = RowSource([Stream(Task.INTERLEAVED, stories)], space, seed=5, settings=RowSettings(**form))
    stream = RowSource([Stream(Task.INTERLEAVED, stories)], space, seed=5, settings=RowSettings(**form, separate=False))
    borders = 0
    for index in range(20):
        one, other = apart.row(index), stream.row(index)
        assert np.array_equal(one.input_ids, other.input_ids) and np.array_equal(one.labels, other.labels)
        assert not other.document_ids.any()
        borders += int(one.document_ids.max())
    assert borders > 20
