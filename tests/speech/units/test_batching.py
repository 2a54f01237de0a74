"""Windows and batches: which stretches are computed, and with what."""

import threading

import torch
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.speech.units.batching import ROWS, batches, on_threads, plan_windows, rung_of


@given(st.integers(1, 3000), st.integers(20, 200), st.integers(0, 19))
def test_windows_keep_every_frame_once(frames: int, window: int, overlap: int) -> None:
    planned = plan_windows(frames, window, overlap)
    assert [k for one in planned for k in range(one.start, one.stop)] == list(range(frames))
    assert all(one.first <= one.start < one.stop <= one.last for one in planned)
    if frames > window:
        assert {one.last - one.first for one in planned} == {window}
        # What is kept lies half an overlap inside, but at the ends of the recording.
        assert all(one.start - one.first >= overlap // 2 for one in planned[1:])
        assert all(one.last - one.stop >= overlap // 2 for one in planned[:-1])


@given(st.lists(st.integers(1, 1500), max_size=40))
def test_batches_are_of_one_rung_and_leave_room_for_padding(lengths: list[int]) -> None:
    seen = []
    for rung, indices in batches(lengths, 1500):
        assert 1 <= len(indices) <= ROWS
        assert all(rung == rung_of(lengths[index], 1500) > lengths[index] for index in indices)
        seen += indices
    assert sorted(seen) == list(range(len(lengths)))


def test_threads_return_results_in_order_and_restore_their_number() -> None:
    torch.set_num_threads(3)
    try:
        met = threading.Barrier(3, timeout=20)

        def work(item: int) -> tuple[int, bool, int]:
            met.wait()  # passes only if three run at a time
            return item * 10, torch.is_inference_mode_enabled(), torch.get_num_threads()

        results = on_threads(work, [1, 2, 3, 4, 5, 6], [1, 9, 2, 8, 3, 7])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert results == [(10 * k, True, 1) for k in range(1, 7)]
    assert on_threads(lambda one: one, [], []) == []
