from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.model.ids import IGNORE, IdSpace

SPACE = IdSpace(speech_offset=10, num_units=5, begin_prompt=7, end_prompt=8, switch=9, eos_text=0)
EOS_SPEECH = 15


def test_the_five_forms():
    assert Document(SPACE).text([1, 2]).end().input_ids.tolist() == [0, 1, 2, 0]
    assert Document(SPACE).speech([3, 4]).end().input_ids.tolist() == [EOS_SPEECH, 13, 14, EOS_SPEECH]
    mixed = Document(SPACE).speech([3]).switch().text([1]).switch().speech([4]).end()
    assert mixed.input_ids.tolist() == [EOS_SPEECH, 13, 9, 1, 9, 14, EOS_SPEECH]
    heard = recognition_prompt(SPACE, [3, 4])
    assert heard.next_is_speech is False
    assert heard.text([1]).end().input_ids.tolist() == [0, 7, 9, 13, 14, 9, 8, 1, 0]
    spoken = synthesis_prompt(SPACE, [1])
    assert spoken.next_is_speech is True
    assert spoken.speech([3]).end().input_ids.tolist() == [0, 7, 1, 8, 9, 13, EOS_SPEECH]


def test_what_is_predicted():
    mixed = Document(SPACE).text([1]).switch().speech([4]).end()
    assert mixed.labels.tolist() == [IGNORE, 1, IGNORE, 14, EOS_SPEECH]
    asked = Document(SPACE, predict_switch=True).text([1]).switch().speech([4]).end()
    assert asked.labels.tolist() == [IGNORE, 1, 9, 14, EOS_SPEECH]
    both = recognition_prompt(SPACE, [3]).text([1]).end()
    assert both.labels.tolist() == [IGNORE, IGNORE, IGNORE, 13, IGNORE, IGNORE, 1, 0]
    one_side = synthesis_prompt(SPACE, [1], predict=False).speech([3]).end()
    assert one_side.labels.tolist() == [IGNORE] * 5 + [13, EOS_SPEECH]


def test_pieces_out_of_turn_are_refused():
    with pytest.raises(InputError, match="a change of modality needs a <switch>"):
        Document(SPACE).text([1]).speech([2])
    with pytest.raises(InputError, match="a change of modality needs a <switch>"):
        Document(SPACE).speech([1]).end_prompt()
    with pytest.raises(InputError, match="between two switches"):
        Document(SPACE).text([1]).switch().speech([]).switch()
    with pytest.raises(InputError, match="something before its end"):
        Document(SPACE).end()


def test_an_empty_document_has_no_ids():
    assert len(Document(SPACE)) == 0 and Document(SPACE).input_ids.dtype == np.int64
    assert Document(SPACE).switch().speech([1]).input_ids.tolist() == [0, 9, 11]


@st.composite
def built(draw: st.DrawFn) -> tuple[Document, list[bool]]:
    """A document of random runs, and the modality of each of its ids (a switch counts as text)."""
    speech = draw(st.booleans())
    document, modality = Document(SPACE, predict_switch=draw(st.booleans())), [speech]
    for number in range(draw(st.integers(1, 4))):
        if number:
            document.switch()
            modality.append(False)
        run = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
        (document.speech if speech else document.text)(run)
        modality += [speech] * len(run)
        speech = not speech
    return document, modality


@given(built())
@settings(max_examples=100, deadline=None)
def test_the_ids_announce_the_modality_of_what_follows(announced, case):
    document, modality = case
    ids = document.input_ids
    follows = announced(ids, SPACE)
    for here in range(len(ids) - 1):
        if ids[here + 1] != SPACE.switch:
            assert follows[here] == modality[here + 1]
    assert follows[-1] == document.next_is_speech


_runs_st = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 4), max_size=3)), max_size=8)


@given(_runs_st, st.booleans())
@settings(max_examples=200, deadline=None)
def test_runs_in_one_step_are_runs_one_by_one(runs, predict_switch):
    whole = Document(SPACE, predict_switch=predict_switch).runs([(s, np.array(ids, np.int32)) for s, ids in runs])
    parts = Document(SPACE, predict_switch=predict_switch)
    for is_speech, ids in runs:
        if ids and parts.next_is_speech not in (None, is_speech):
            parts.switch()
        if ids:
            (parts.speech if is_speech else parts.text)(ids)
    assert np.array_equal(whole.input_ids, parts.input_ids) and np.array_equal(whole.labels, parts.labels)
    assert whole.next_is_speech == parts.next_is_speech and len(whole) == len(parts)
