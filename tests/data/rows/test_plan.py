from __future__ import annotations

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.rows import packing
from smoltolk.data.rows import plan as plan_module
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Task, build_document
from smoltolk.data.rows.plan import Plan, plan_rows

SPANS = SpanLengths(text=(2, 4), speech=(2, 4))


def planned(task, corpus, row_length=64, seed=0) -> Plan:
    return plan_rows(task, corpus, row_length=row_length, minimum=4, spans=SPANS, seed=seed)


@pytest.mark.parametrize("task", list(Task))
def test_pieces_tile_every_utterance(stories, task):
    plan = planned(task, stories)
    pieces = [plan.piece(number) for number in range(plan.num_pieces)]
    assert [piece.utterance for piece in pieces] == plan.utterance.tolist()
    for utterance in range(len(stories)):
        mine = sorted((piece.start, piece.stop) for piece in pieces if piece.utterance == utterance)
        if task in (Task.RECOGNITION, Task.SYNTHESIS) and len(mine) == 0:
            continue
        whole = stories.num_units[utterance] if task is Task.SPEECH else stories.num_words(utterance)
        assert mine[0][0] == 0 and mine[-1][1] == whole
        assert [stop for _, stop in mine[:-1]] == [start for start, _ in mine[1:]]
    assert plan.num_left_out == 0 and len(plan.cut) < plan.num_pieces
    assert len(plan.cut) or task is Task.TEXT  # some do not fit a row
    assert [piece for number in range(plan.num_rows) for piece in plan.row(number)] == pieces


def test_pieces_fit_and_end_with_sentences_where_there_are_any(stories):
    plan = planned(Task.RECOGNITION, stories)
    assert plan.lengths.max() <= 64
    for place in range(plan.num_pieces):
        piece = plan.piece(place)
        size = len(stories.units(piece.utterance, piece.start, piece.stop))
        size += len(stories.tokens(piece.utterance, piece.start, piece.stop))
        assert plan.lengths[place] == size + 6
        closes = stories.closes_sentence[stories.word_offsets[piece.utterance] :][piece.start : piece.stop]
        if piece.stop < stories.num_words(piece.utterance) and not closes[-1]:
            assert not closes.any()


@pytest.mark.parametrize("spans", [SPANS, SpanLengths((4, 8), (1, 3))])
def test_interleaved_documents_are_as_long_as_expected(stories, space, spans):
    """On average, to within two ids: a row that was full as planned is full as built."""
    plan = plan_rows(Task.INTERLEAVED, stories, row_length=500, minimum=4, spans=spans, seed=0)
    rng, pieces = np.random.default_rng(0), [plan.piece(number) for number in range(plan.num_pieces)] * 20
    built = [len(build_document(Task.INTERLEAVED, stories, piece, space, rng, spans=spans)) for piece in pieces]
    assert abs(np.mean(built) - plan.lengths.mean()) < 2


def test_speech_without_words_is_cut_anywhere(make_corpus):
    corpus = make_corpus([("", [], np.zeros(0), np.arange(100) % 20, np.full(100, 2))])
    plan = planned(Task.SPEECH, corpus, row_length=32)
    pieces = [plan.piece(number) for number in range(plan.num_pieces)]
    assert sorted((piece.start, piece.stop) for piece in pieces) == [
        (0, 30),
        (30, 60),
        (60, 90),
        (90, 100),
    ]


def test_what_a_task_cannot_use_is_counted(make_corpus):
    none = np.zeros(0)
    corpus = make_corpus(
        [
            ("a cat", ["a", "cat"], np.array([0.2, 0.4]), np.array([1, 2]), np.array([5, 5])),
            ("", [], none, np.array([3]), np.array([25])),
            ("a cat", [], none, np.arange(99) % 20, np.full(99, 2)),
        ]
    )
    assert planned(Task.SPEECH, corpus).num_left_out == 0
    assert planned(Task.TEXT, corpus).num_left_out == 1
    assert planned(Task.INTERLEAVED, corpus).num_left_out == 2
    assert planned(Task.RECOGNITION, corpus).num_left_out == 2  # the last is longer than a row
    assert planned(Task.RECOGNITION, corpus, row_length=128).num_left_out == 1


def test_a_corpus_with_nothing_for_the_task_is_refused(make_corpus):
    corpus = make_corpus([("", [], np.zeros(0), np.array([3]), np.array([25]))])
    with pytest.raises(InputError, match="the task recognition needs utterances with units and text"):
        planned(Task.RECOGNITION, corpus)
    with pytest.raises(InputError, match="needs utterances with words"):
        planned(Task.INTERLEAVED, make_corpus([]))


def test_the_order_is_that_of_the_seed(stories):
    same, again, other = (
        planned(Task.TEXT, stories),
        planned(Task.TEXT, stories),
        planned(Task.TEXT, stories, seed=1),
    )
    assert np.array_equal(same.utterance, again.utterance)
    assert not np.array_equal(same.utterance, other.utterance)


@pytest.mark.parametrize("task", [Task.SPEECH, Task.INTERLEAVED, Task.RECOGNITION])
def test_chunks_of_work_change_nothing(stories, task, monkeypatch):
    whole = planned(task, stories)
    monkeypatch.setattr(plan_module, "_CHUNK", 7)
    monkeypatch.setattr(packing, "_CHUNK", 3)
    chunked = planned(task, stories)
    for name in ("utterance", "cut", "cut_start", "cut_stop", "lengths", "rows"):
        assert np.array_equal(getattr(chunked, name), getattr(whole, name))
    assert chunked.num_left_out == whole.num_left_out and np.array_equal(chunked.used, whole.used)
