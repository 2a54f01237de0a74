from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smoltolk.model.generation.runs import split_runs
from smoltolk.model.ids import IdSpace

SPACE = IdSpace(speech_offset=20, num_units=8, begin_prompt=17, end_prompt=18, switch=19, eos_text=16)


def test_runs() -> None:
    ids = [16, 17, 3, 4, 18, 19, 20, 27, 19, 5, 19, 21, 28, 29, 22, 16]
    found = [(run.is_speech, run.ids) for run in split_runs(ids, SPACE)]
    assert found == [(False, [3, 4]), (True, [0, 7]), (False, [5]), (True, [1]), (True, [2])]
    assert split_runs([], SPACE) == [] and split_runs([16, 19], SPACE) == []


@given(st.lists(st.integers(0, SPACE.size - 1)))
def test_nothing_is_lost_and_no_run_is_empty(ids: list[int]) -> None:
    runs = split_runs(ids, SPACE)
    assert all(run.ids for run in runs)
    steering = {16, 17, 18, 19, SPACE.eos_speech, SPACE.pad_speech}
    kept = [i for i in ids if i not in steering]
    assert [i + SPACE.speech_offset * run.is_speech for run in runs for i in run.ids] == kept


def test_spare_rows_are_no_text() -> None:
    space = IdSpace(
        speech_offset=67, num_units=8, begin_prompt=64, end_prompt=65, switch=66, eos_text=1, num_text_ids=61
    )
    found = [(run.is_speech, run.ids) for run in split_runs([2, 60, 61, 63, 3, 64, 67, 75], space)]
    assert found == [(False, [2, 60]), (False, [3]), (True, [0])]
