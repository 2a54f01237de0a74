from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import BLOCK, Piece, Schedule, Stream, Task, TextSource, build_document
from smoltolk.model.ids import IGNORE


def pieces_of(corpus, task, utterance):
    stop = corpus.num_units[utterance] if task is Task.SPEECH else corpus.num_words(utterance)
    return Piece(utterance, 0, int(stop))


@given(st.integers(1, 30), st.integers(0, 999), st.integers(1, 5), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_interleaving_says_every_word_once_and_in_order(make_corpus, space, num_words, seed, low, more):
    rng = np.random.default_rng(seed)
    # A frame a unit, each word at least three: every word has both units and tokens, so places tell words.
    words, ends = ["cat"] * num_words, np.cumsum(rng.uniform(0.12, 0.5, num_words))
    units = np.arange(int(ends[-1] * 25) + 2) % space.num_units
    corpus = make_corpus([(" ".join(words), words, ends, units, np.ones_like(units))])
    spans = SpanLengths(text=(low, low + more), speech=(low, low + more))
    ids = build_document(Task.INTERLEAVED, corpus, Piece(0, 0, num_words), space, rng, spans=spans).input_ids
    runs = np.split(ids[1:-1], np.flatnonzero(ids[1:-1] == space.switch))
    word, speech = 0, bool(ids[0] == space.eos_speech)
    for number, run in enumerate(runs):
        run = run[1:] if number else run
        stops = corpus.unit_stops if speech else corpus.token_stops
        stop = int(np.searchsorted(stops, (stops[word - 1] if word else 0) + len(run))) + 1
        own = corpus.units(0, word, stop) + space.speech_offset if speech else corpus.tokens(0, word, stop)
        assert run.tolist() == own.tolist()
        assert low <= stop - word <= low + more or stop == num_words
        word, speech = stop, not speech
    assert word == num_words
    assert ids[-1] == (space.eos_text if speech else space.eos_speech)


@pytest.mark.parametrize("predict", [False, True])
def test_switches_are_predicted_only_if_asked(stories, space, predict):
    document = build_document(
        Task.INTERLEAVED,
        stories,
        pieces_of(stories, Task.INTERLEAVED, 0),
        space,
        np.random.default_rng(0),
        spans=SpanLengths((1, 1), (1, 1)),
        predict_switch=predict,
    )
    at = document.input_ids == space.switch
    assert at.any() and set(document.labels[at].tolist()) == {space.switch if predict else IGNORE}
    assert np.array_equal(document.labels[~at][1:], document.input_ids[~at][1:])


def test_words_without_units_are_written_instead(make_corpus, space, tokenizer):
    # Every unit ends up with the last word: spoken, the others would be lost.
    words = ["a", "cat", "in", "Oslo,", "today."]
    corpus = make_corpus(
        [(" ".join(words), words, np.array([0.01, 0.02, 0.03, 0.04, 2.0]), np.arange(10), np.full(10, 5))]
    )
    for seed in range(8):
        document = build_document(
            Task.INTERLEAVED,
            corpus,
            Piece(0, 0, 5),
            space,
            np.random.default_rng(seed),
            spans=SpanLengths((1, 1), (1, 1)),
        )
        ids = document.input_ids
        text = ids[(ids < space.speech_offset) & (ids != space.switch) & (ids != space.eos_text)]
        spoken = ids[(ids >= space.speech_offset) & (ids < space.eos_speech)]
        assert tokenizer.decode(text) in ("a cat in Oslo,", "a cat in Oslo, today.")
        assert len(spoken) in (0, 10) and (len(spoken) > 0) != ("today" in tokenizer.decode(text))
        assert (ids == space.switch).sum() <= 1


@pytest.mark.parametrize("task", list(Task))
def test_labels_have_the_modality_that_the_ids_announce(stories, space, announced, task):
    for utterance in range(10):
        document = build_document(
            task,
            stories,
            pieces_of(stories, task, utterance),
            space,
            np.random.default_rng(utterance),
            spans=SpanLengths((1, 3), (1, 3)),
        )
        ids, labels = document.input_ids, document.labels
        predicted = np.flatnonzero(labels != IGNORE)
        assert predicted[0] > 0
        follows = announced(ids, space)[predicted - 1]
        assert np.array_equal(follows, labels[predicted] >= space.speech_offset)
        assert np.array_equal(labels[predicted], ids[predicted])
        assert not np.isin(labels, [space.switch, space.begin_prompt, space.end_prompt]).any()


def test_a_given_prompt_can_stay_unpredicted(stories, space):
    where, rng = pieces_of(stories, Task.RECOGNITION, 0), np.random.default_rng(0)
    document = build_document(Task.RECOGNITION, stories, where, space, rng, spans=SpanLengths(), predict_prompt=False)
    assert not (document.labels >= space.speech_offset).any()


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=8), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_rows_are_shared_by_weight_and_counted_without_gaps(weights, seed):
    schedule = Schedule(weights, seed)
    seen = [schedule(row) for row in range(2 * BLOCK)]
    share = np.array(weights) / sum(weights) * BLOCK
    for stream in range(len(weights)):
        numbers = [number for which, number in seen if which == stream]
        assert numbers == list(range(len(numbers)))
        assert abs(len(numbers) / 2 - share[stream]) < len(weights) + 1 and numbers
    assert [schedule(row) for row in (BLOCK + 3, 5, BLOCK)] == [seen[BLOCK + 3], seen[5], seen[BLOCK]]


def test_exact_shares_when_they_are_whole():
    assert Schedule([0.37, 0.53, 0.10], 0).counts.tolist() == [370, 530, 100]
    assert Schedule([1, 1e-9], 0).counts.tolist() == [999, 1]


def test_streams_that_cannot_be_are_refused(stories, tokenizer):
    with pytest.raises(InputError, match="needs speech"):
        Stream(Task.SPEECH, TextSource(str, tokenizer))
    with pytest.raises(InputError, match="above 0"):
        Stream(Task.SPEECH, stories, weight=0)
    with pytest.raises(InputError, match="1 to 1000 streams"):
        Schedule([], 0)
    with pytest.raises(InputError, match="1 to 1000 streams"):
        Schedule([1.0] * 1001, 0)
    assert Schedule(range(1, 1001), 0).counts.tolist() == [1] * 1000
    assert Stream("text", stories).task is Task.TEXT
