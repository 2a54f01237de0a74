"""Words that were hardly found belong to their neighbours."""

import math

from hypothesis import given
from hypothesis import strategies as st

from smoltolk.data.shards.doubtful_words import join_doubtful
from smoltolk.speech.segments import Segment


def words(count: int) -> list[Segment]:
    return [Segment(f"w{k}", float(k), k + 0.8) for k in range(count)]


def test_a_doubtful_word_takes_both_neighbours_with_it() -> None:
    found = join_doubtful(words(5), [0.9, 0.9, 0.0, 0.9, 0.9], 0.1)
    assert found == (Segment("w0", 0.0, 0.8), Segment("w1 w2 w3", 1.0, 3.8), Segment("w4", 4.0, 4.8))
    assert join_doubtful(words(2), [0.05, 0.9], 0.1) == (Segment("w0 w1", 0.0, 1.8),)


def test_without_doubt_nothing_is_joined() -> None:
    five = tuple(words(5))
    assert join_doubtful(five, [0.1, math.nan, 0.5, 1.0, 0.2], 0.1) == five
    assert join_doubtful(five, [], 0.9) == five
    assert join_doubtful(five, [0.0] * 5, 0.0) == five


@given(st.lists(st.floats(0, 1)), st.floats(0, 1))
def test_no_border_is_doubtful_and_no_word_is_lost(confidences: list[float], lowest: float) -> None:
    own = words(len(confidences))
    found = join_doubtful(own, confidences, lowest)
    assert " ".join(word.text for word in found) == " ".join(word.text for word in own)
    inner = {word.start for word in found[1:]}
    for place in range(1, len(own)):
        sure = min(confidences[place - 1 : place + 1]) >= lowest
        assert (own[place].start in inner) == sure
