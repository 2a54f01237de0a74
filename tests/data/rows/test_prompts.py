from __future__ import annotations

import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.prompts import mixed_prompt, pad_left
from smoltolk.model.ids import IdSpace

SPACE = IdSpace(speech_offset=20, num_units=8, begin_prompt=17, end_prompt=18, switch=19, eos_text=16)


def test_switches_stand_where_the_modality_changes() -> None:
    segments = [(False, [3, 4]), (False, [5]), (True, [0, 7]), (False, [6])]
    assert mixed_prompt(SPACE, segments).input_ids.tolist() == [16, 3, 4, 5, 19, 20, 27, 19, 6]
    assert mixed_prompt(SPACE, [(True, [0])]).input_ids.tolist() == [28, 20]


@pytest.mark.parametrize("is_speech", [False, True])
@pytest.mark.parametrize("in_speech", [None, False, True])
def test_what_is_to_come(in_speech: bool | None, is_speech: bool) -> None:
    document = mixed_prompt(SPACE, [(is_speech, [1])], continue_in_speech=in_speech)
    assert isinstance(document, Document)
    assert document.next_is_speech == (is_speech if in_speech is None else in_speech)
    assert (document.input_ids[-1] == SPACE.switch) == (in_speech is not None and in_speech != is_speech)


@pytest.mark.parametrize("segments", [[], [(False, [])], [(False, [3]), (True, [])]])
def test_nothing_is_no_prompt(segments: list) -> None:
    with pytest.raises(InputError, match="something in it"):
        mixed_prompt(SPACE, segments)


def test_left_padding() -> None:
    ids, mask = pad_left([[1, 2, 3], [4]], 0, torch.device("cpu"))
    assert ids.tolist() == [[1, 2, 3], [0, 0, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
