"""Dialogues as documents: the tasks that are known are dialogues of one turn, and nothing but answers is learned."""

from __future__ import annotations

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.data.rows.turns import Turn, answer_prompt, turn_document
from smoltolk.model.ids import IGNORE, IdSpace

SPACE = IdSpace(speech_offset=103, num_units=20, begin_prompt=100, end_prompt=101, switch=102, eos_text=0)
TEXT, UNITS = (False, np.array([5, 6, 7])), (True, np.array([3, 1]))


def ask(*segments: tuple[bool, np.ndarray]) -> Turn:
    return Turn(False, segments)


def say(*segments: tuple[bool, np.ndarray], learned: bool = True) -> Turn:
    return Turn(True, segments, learned)


@pytest.mark.parametrize("predict_switch", [False, True])
def test_known_tasks_are_dialogues_of_one_turn(predict_switch: bool) -> None:
    recognition = recognition_prompt(SPACE, UNITS[1]).text(TEXT[1]).end()
    found = turn_document(SPACE, [ask(UNITS), say(TEXT)], predict_switch=predict_switch)
    assert np.array_equal(found.input_ids, recognition.input_ids)
    synthesis = synthesis_prompt(SPACE, TEXT[1]).speech(UNITS[1]).end()
    found = turn_document(SPACE, [ask(TEXT), say(UNITS)], predict_switch=predict_switch)
    assert np.array_equal(found.input_ids, synthesis.input_ids)
    for segments in ([TEXT], [UNITS], [TEXT, UNITS, TEXT], [UNITS, TEXT]):
        plain = Document(SPACE, predict_switch=predict_switch).runs(segments).end()
        found = turn_document(SPACE, [say(*segments)], predict_switch=predict_switch)
        assert np.array_equal(found.input_ids, plain.input_ids)
        # The first id is given; everything else is the answer.
        assert np.array_equal(found.labels[1:], plain.labels[1:]) and found.labels[0] == IGNORE


def test_nothing_but_answers_is_learned() -> None:
    turns = [ask(TEXT), ask(UNITS), say(UNITS, TEXT), ask(UNITS), say(UNITS, learned=False), ask(TEXT), say(UNITS)]
    found = turn_document(SPACE, turns, predict_switch=True)
    s, b, e, w, end = 103, 100, 101, 102, 123
    ids = [0, b, 5, 6, 7, w, s + 3, s + 1, w, e, w, s + 3, s + 1, w, 5, 6, 7, 0]
    ids += [b, w, s + 3, s + 1, w, e, w, s + 3, s + 1, end]
    ids += [w, b, 5, 6, 7, e, w, s + 3, s + 1, end]
    assert found.input_ids.tolist() == ids
    learned = {*range(10, 18), *range(34, 38)}
    assert found.asked == 34
    assert found.labels.tolist() == [one if place in learned else IGNORE for place, one in enumerate(ids)]
    without = turn_document(SPACE, turns)
    assert (without.labels == np.where(found.labels == w, IGNORE, found.labels)).all()


def test_a_prompt_is_what_stands_before_the_answer() -> None:
    for answer in (UNITS, TEXT):
        turns = [ask(UNITS), say(UNITS), ask(TEXT, UNITS)]
        whole = turn_document(SPACE, [*turns, say(answer)])
        prompt = answer_prompt(SPACE, turns, in_speech=answer[0])
        assert np.array_equal(prompt.input_ids, whole.input_ids[: len(prompt)])
        assert len(prompt) == whole.asked + answer[0] and prompt.next_is_speech == answer[0]
    assert not answer_prompt(SPACE, [ask(UNITS)], in_speech=None).next_is_speech


def test_frames_of_several_codebooks() -> None:
    space = IdSpace(103, 20, 100, 101, 102, 0, delays=(0, 1))
    frames = (True, np.array([[3, 4], [1, 2]]))
    found = turn_document(space, [ask(frames), say(frames)])
    said = [106, 104, space.pad_speech]
    assert found.input_ids.tolist() == [0, 100, 102, *said, 102, 101, 102, *said, space.eos_speech]
    assert found.labels.tolist() == [IGNORE] * 9 + [*said, space.eos_speech]
    assert found.codes[9:12, 0].tolist() == [-1, 4, 2]


@pytest.mark.parametrize("turns", [[], [ask(TEXT)], [ask(TEXT), say()], [ask((False, np.zeros(0))), say(TEXT)]])
def test_what_is_no_dialogue(turns: list[Turn]) -> None:
    with pytest.raises(InputError):
        turn_document(SPACE, turns)


def test_no_answer_without_a_question() -> None:
    for turns in ([], [ask(TEXT), say(TEXT)]):
        with pytest.raises(InputError, match="follows a question"):
            answer_prompt(SPACE, turns, in_speech=True)
