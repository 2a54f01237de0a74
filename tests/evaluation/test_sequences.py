from __future__ import annotations

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.ids import IdSpace


@pytest.mark.parametrize("start", [0, 2, -1])
def test_something_before_and_something_in_it(start: int) -> None:
    with pytest.raises(InputError, match="1 <= start < length"):
        Scored([16, 1], start)


def test_of_a_document(ids: IdSpace) -> None:
    one = Scored.of(Document(ids).text([1, 2]), 1, ids)
    assert one.ids.tolist() == [ids.eos_text, 1, 2] and one.codes is None
    assert one.codes_of(2).tolist() == [[-1, -1]] * 3


def test_frames_that_are_still_being_said_are_said_to_their_end() -> None:
    space = IdSpace(20, 8, begin_prompt=17, end_prompt=18, switch=19, eos_text=16, delays=(0, 1, 2))
    one = Scored.of(Document(space).speech(np.array([[1, 2, 3], [4, 5, 6]])), 2, space)
    assert one.ids.tolist() == [space.eos_speech, 21, 24, space.pad_speech, space.pad_speech]
    assert one.codes.tolist() == [[-1, -1], [-1, -1], [2, -1], [5, 3], [-1, 6]]
    assert one.codes_of(2) is one.codes
