"""Long recordings are cut at pauses: every word once, no piece too long, cuts where one would breathe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.cutting import cut_at_pauses, shifted
from smoltolk.speech.segments import Segment


def speech(lengths_and_pauses: list[tuple[float, float]], text: str = "word") -> list[Segment]:
    """Words of these lengths, each after its pause."""
    words, time = [], 0.0
    for number, (length, pause) in enumerate(lengths_and_pauses):
        time += pause
        words.append(Segment(f"{text}{number}", time, time + length))
        time += length
    return words


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 2)), min_size=1, max_size=60), st.floats(3.7, 20), st.floats(0, 5)
)
def test_pieces_hold_every_word_once_and_fit(rows: list[tuple[float, float]], longest: float, silence: float) -> None:
    words = speech(rows)
    seconds = words[-1].end + silence
    pieces = cut_at_pauses(words, seconds, longest)
    assert [k for piece in pieces for k in range(piece.first, piece.stop)] == list(range(len(words)))
    last = 0.0
    for piece in pieces:
        assert last - 1e-9 <= piece.start <= words[piece.first].start + 1e-9
        assert words[piece.stop - 1].end - 1e-9 <= piece.end <= seconds + 1e-9
        assert piece.end - piece.start <= longest + 1e-9  # 3 s of a word and two margins fit
        last = piece.end


def test_cuts_lie_in_the_longest_pauses_and_behind_sentences() -> None:
    # Ten words, half a second each; the long pause is behind the fourth, though the fifth would still fit.
    words = speech([(0.5, 0.05)] * 4 + [(0.5, 1.0)] + [(0.5, 0.05)] * 5)
    pieces = cut_at_pauses(words, words[-1].end, 5.0)
    assert [piece.stop for piece in pieces] == [4, 10]
    assert pieces[0].end == pytest.approx(words[3].end + 0.3) and pieces[1].start == pytest.approx(words[4].start - 0.3)
    even = speech([(0.5, 0.1)] * 10)
    even[5] = Segment("end.", even[5].start, even[5].end)
    assert cut_at_pauses(even, even[-1].end, 5.0)[0].stop == 6


def test_a_recording_that_fits_stays_whole() -> None:
    words = speech([(0.5, 2.0)] * 3)
    (piece,) = cut_at_pauses(words, 30.0, 30.0)
    assert (piece.first, piece.stop) == (0, 3)
    assert (piece.start, piece.end) == pytest.approx((1.7, words[-1].end + 0.3))


def test_half_an_hour_is_quick_and_even() -> None:
    words = speech([(0.3, 0.1 if k % 12 else 0.6) for k in range(4_500)])
    pieces = cut_at_pauses(words, 1_900.0, 20.0)
    lengths = [piece.end - piece.start for piece in pieces]
    assert max(lengths) <= 20 and len(pieces) < 1.3 * words[-1].end / 20
    assert all(piece.first % 12 == 0 for piece in pieces)  # only at the pauses


def test_a_word_that_is_too_long_is_alone() -> None:
    words = speech([(1, 0.1), (50, 0.1), (1, 0.1)])
    assert [(p.first, p.stop) for p in cut_at_pauses(words, 60, 10)] == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(("words", "longest"), [([], 10.0), (speech([(1, 0)]), 0.0), (speech([(1, 0)]), float("nan"))])
def test_nothing_to_cut(words: list[Segment], longest: float) -> None:
    with pytest.raises(InputError, match="between its words"):
        cut_at_pauses(words, 10.0, longest)


def test_segments_of_a_piece_are_clipped_and_moved() -> None:
    phones = [Segment("A", 0.0, 1.0), Segment("B", 1.0, 3.0), Segment("C", 3.0, 4.0)]
    assert shifted(phones, 0.5, 3.0) == (Segment("A", 0.0, 0.5), Segment("B", 0.5, 2.5))
