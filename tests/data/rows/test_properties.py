"""What holds of every row: any utterances, any span settings, any length, any number of codebooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Piece, Stream, Task, interleaved
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.model.codec.codebooks import check_layout, frames_of
from smoltolk.model.codec.delays import undelayed
from smoltolk.model.ids import IGNORE, IdSpace

RATE = 25.0
DELAYS = ((0,), (0, 1, 2), (0, 3, 0, 1))
WORDS = ["a", "cat.", "dog's", "café", "21", "\U0001f600!", "Why?", "river"]


@dataclass(frozen=True)
class Made:
    """An utterance before its units are drawn: words, where they end (seconds), frames of each unit."""

    words: tuple[str, ...]
    ends: tuple[float, ...]
    durations: tuple[int, ...]
    text: str


@st.composite
def utterances(draw: Any) -> Made:
    """Of many words, of one, of none; words of no length; silence; a text that is not its words."""
    words = draw(st.lists(st.sampled_from(WORDS), max_size=draw(st.sampled_from([0, 1, 30]))))
    ends = sorted(draw(st.lists(st.floats(0, 8), min_size=len(words), max_size=len(words))))
    durations = draw(st.lists(st.integers(1, 40), min_size=1, max_size=60))
    text = draw(st.sampled_from([" ", "  ", "\n"])).join(words)
    if draw(st.integers(0, 5)) == 0:
        text = "something else that was written"  # an aligner left words out, or knows none
    return Made(tuple(words), tuple(ends), tuple(durations), text)


spans_st = st.tuples(st.integers(1, 12), st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)).map(
    lambda n: SpanLengths((n[0], n[0] + n[1]), (n[2], n[2] + n[3]))
)


def corpus_of(made: list[Made], space: IdSpace, make_corpus: Callable[..., AlignedCorpus]) -> AlignedCorpus:
    """Of several codebooks a frame is a unit."""
    rng, items = np.random.default_rng(0), []
    for one in made:
        durations = np.array(one.durations)
        if space.num_codebooks > 1:
            durations = np.ones(durations.sum(), int)
        shape = (len(durations), space.num_codebooks) if space.num_codebooks > 1 else len(durations)
        units = rng.integers(0, 20, shape).astype(np.uint16)
        items.append((one.text, list(one.words), np.array(one.ends), units, durations))
    return make_corpus(items)


def said(document: Document, space: IdSpace) -> list[tuple[bool, np.ndarray]]:
    """The runs of a whole document: (is speech, tokens or units as the corpus has them)."""
    ids, codes = document.input_ids, document.codes
    assert ids[0] in (space.eos_text, space.eos_speech) and ids[-1] in (space.eos_text, space.eos_speech)
    runs = []
    inside = np.arange(1, len(ids) - 1)
    for place in np.split(inside, np.flatnonzero(ids[1:-1] == space.switch)):
        place = place[ids[place] != space.switch]
        if len(place) == 0:
            continue
        speech = ids[place] >= space.speech_offset
        assert speech.all() or not speech.any()
        if not speech[0]:
            runs.append((False, ids[place]))
            continue
        first = np.where(ids[place] == space.pad_speech, -1, ids[place] - space.speech_offset)
        grid = np.concatenate([first[:, None], codes[place]], axis=1)
        units = undelayed(grid, space.delays)
        assert (units >= 0).all() and len(grid) == len(units) + space.tail
        runs.append((True, units if space.num_codebooks > 1 else units[:, 0]))
    return runs


@given(utterances(), spans_st, st.sampled_from(DELAYS), st.booleans(), st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_an_interleaved_document_says_every_word_once_in_order(
    make_corpus, tokenizer, space, made, spans, delays, predict_switch, seed
):
    several = replace(space, delays=delays)
    corpus = corpus_of([made], several, make_corpus)
    num_words = corpus.num_words(0)
    # Units and tokens are tiled by the words, without a gap and without an overlap.
    each = [(corpus.units(0, k, k + 1), corpus.tokens(0, k, k + 1)) for k in range(num_words)]
    assert np.array_equal(np.concatenate([units for units, _ in each]), corpus.units(0))
    whole = tokenizer(corpus._locate(0)[0], add_special_tokens=False)["input_ids"]
    assert np.concatenate([tokens for _, tokens in each]).tolist() == whole
    document = interleaved(
        corpus, Piece(0, 0, num_words), several, np.random.default_rng(seed), spans=spans, predict_switch=predict_switch
    )
    runs = said(document, several)
    # Words without units or without tokens may be reached on either side of a border: all that is possible is kept.
    reached = {0}
    for is_speech, content in runs:
        side = corpus.units if is_speech else corpus.tokens
        reached = {
            stop
            for start in reached
            for stop in range(start, num_words + 1)
            if np.array_equal(side(0, start, stop), content)
        }
    assert num_words in reached
    assert all(one[0] != other[0] for one, other in pairwise(runs))
    switches = document.input_ids == several.switch
    assert (document.labels[switches] == (several.switch if predict_switch else IGNORE)).all()
    assert document.labels[0] == IGNORE
    assert np.array_equal(document.labels[1:][~switches[1:]], document.input_ids[1:][~switches[1:]])


@given(
    st.lists(utterances(), min_size=1, max_size=4),
    spans_st,
    st.sampled_from(DELAYS),
    st.sampled_from(list(Task)),
    st.integers(8, 300),
    st.tuples(st.booleans(), st.booleans(), st.integers(0, 10**9)),
)
@settings(max_examples=150, deadline=None)
def test_every_row_keeps_the_rules_and_an_epoch_begins_each_piece_once(
    make_corpus, space, made, spans, delays, task, length, more
):
    separate, predict_switch, far = more
    several = replace(space, delays=delays)
    corpus = corpus_of(made, several, make_corpus)
    form = RowSettings(
        length=length, spans=spans, separate=separate, predict_switch=predict_switch, minimum=min(8, length)
    )
    try:
        source = RowSource([Stream(task, corpus)], several, seed=1, settings=form)
    except InputError as error:
        assert f"the task {task} needs utterances" in str(error)
        return
    plan = source.plans[0]
    begun = []
    for index in [*range(plan.num_rows), far]:
        row = source.row(index)
        ids, labels = row.input_ids, row.labels
        assert ids.shape == labels.shape == row.document_ids.shape == (length,)
        assert row.num_padding < form.minimum and (labels[length - row.num_padding :] == IGNORE).all()
        predicted = labels != IGNORE
        assert np.array_equal(labels[predicted], ids[predicted]) and not predicted[0]
        assert not np.isin(labels, [several.begin_prompt, several.end_prompt]).any()
        assert predict_switch or not (labels == several.switch).any()
        if several.num_codebooks == 1:
            assert row.codes is None and not (ids == several.pad_speech).any()
        else:
            assert row.codes.shape == (length, several.num_codebooks - 1)
            if separate:
                borders = torch.from_numpy(row.document_ids)[None]
                both = torch.from_numpy(ids)[None], torch.from_numpy(row.codes)[None]
                check_layout(*both, several, document_ids=borders, ends=False)
        if not separate:
            assert not row.document_ids.any()
        begun += [] if index == far else [(p.utterance, p.start, p.stop) for p in row.pieces[: row.num_owned]]
    pieces = sorted((p.utterance, p.start, p.stop) for p in map(plan.piece, range(plan.num_pieces)))
    assert sorted(begun) == pieces or far < plan.num_rows
    if task is Task.SPEECH:  # its pieces tile the units of every utterance
        for utterance in range(len(corpus)):
            mine = [(start, stop) for one, start, stop in pieces if one == utterance]
            borders = [0, *(stop for _, stop in mine)]
            assert [start for start, _ in mine] == borders[:-1] and borders[-1] == corpus.num_units[utterance]


@given(st.lists(utterances(), min_size=1, max_size=3), st.sampled_from(DELAYS), st.integers(12, 200))
@settings(max_examples=60, deadline=None)
def test_rows_of_speech_give_the_units_back(make_corpus, space, made, delays, length):
    several = replace(space, delays=delays)
    corpus = corpus_of(made, several, make_corpus)
    form = RowSettings(length=length, minimum=8)
    source = RowSource([Stream(Task.SPEECH, corpus)], several, seed=1, settings=form)
    for index in range(source.plans[0].num_rows):
        row = source.row(index)
        for number, piece in enumerate(row.pieces):
            place = row.document_ids == number
            ids, wanted = row.input_ids[place], corpus.units(piece.utterance)[piece.start : piece.stop]
            if several.num_codebooks == 1:
                found = ids[1:][ids[1:] != several.eos_speech] - several.speech_offset
            else:
                (found,) = frames_of(torch.from_numpy(ids), torch.from_numpy(row.codes[place]), several) or [wanted[:0]]
                found = np.asarray(found)
            whole = len(ids) == len(wanted) + 2 + several.tail
            assert len(found) == len(wanted) or not whole
            known = found >= 0  # of a document that the row cut off the last units are not known
            assert known.all() or not whole
            assert np.array_equal(found[known], wanted[: len(found)][known])
