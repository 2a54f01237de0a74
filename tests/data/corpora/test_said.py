"""Texts and the words of their recordings are laid on each other, or told apart."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.said import said_of, times_of_tokens
from smoltolk.speech.segments import Segment


def words(*rows: tuple[str, float, float]) -> tuple[Segment, ...]:
    return tuple(Segment(*row) for row in rows)


def evenly(text: str) -> tuple[Segment, ...]:
    return tuple(Segment(word, float(k), k + 1.0) for k, word in enumerate(text.split()))


@pytest.mark.parametrize(
    "text",
    [
        "A cat drinks milk near my house.",
        "garden. The dog eats bread in the",
        "The cat eats bread in the garden.",
        "The dog, eats bread. In the gardens!",
        "Die Katze trinkt Milch am Haus heute.",
    ],
)
def test_another_text_of_as_many_words_is_told(text: str) -> None:
    with pytest.raises(InputError, match="the same letters"):
        times_of_tokens(text.split(), evenly("the dog eats bread in the garden"), (), "a")


@given(st.permutations(["the", "dog", "eats", "bread", "in", "my", "house"]))
def test_no_other_order_of_the_words_passes(order: list[str]) -> None:
    timed = evenly("the dog eats bread in my house")
    try:
        found, _ = times_of_tokens(order, timed, (), "a")
    except InputError:
        assert order != [word.text for word in timed]
    else:
        assert order == [word.text for word in found] == [word.text for word in timed]


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("In 25 houses", "in twenty five houses"),
        ("Dr. Who & I", "doctor who and i"),
        ("In 25 Häusern", "in fünfundzwanzig häusern"),
        ("in twenty-five houses", "In 25 houses"),
        ("50 % von 3", "fünfzig prozent von drei"),
    ],
)
def test_numbers_and_symbols_may_be_spelled_out(text: str, heard: str) -> None:
    timed = evenly(heard)
    found, _ = times_of_tokens(text.split(), timed, (), "a")
    assert [one.text for one in found] == text.split()
    assert found[0].start == 0 and found[-1].end == len(timed)
    assert all(a.end <= b.start and a.start < a.end for a, b in itertools.pairwise(found))


def test_half_a_character_is_told() -> None:
    for text in ("The dog \ud83d", "caf\udce9"):
        with pytest.raises(InputError, match="whole characters"):
            said_of(text, (), (), "a")


def test_numbers_spelled_out_correspond_one_to_one() -> None:
    found, scores = times_of_tokens(
        ["In", "1984."], words(("in", 0, 1), ("nineteen-eighty-four", 1, 3)), (0.1, 0.2), "a"
    )
    assert found == words(("In", 0, 1), ("1984.", 1, 3)) and scores == (0.1, 0.2)


def test_tokens_share_a_word() -> None:
    found, scores = times_of_tokens(["ice", "cream", "!"], words(("ICECREAM", 0.0, 8.0)), (0.5,), "a")
    assert found == words(("ice", 0, 3), ("cream", 3, 8), ("!", 8, 8))
    assert scores[:2] == (0.5, 0.5) and math.isnan(scores[2])


token = st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=5)


@given(st.lists(token, min_size=1, max_size=8), st.data())
def test_times_stay_in_order_and_inside(tokens: list[str], data: st.DataObject) -> None:
    """However an aligner parts the letters, tokens tile the time of the words."""
    letters = "".join(tokens)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(letters) - 1)), max_size=5)) | {0, len(letters)})
    times = sorted(data.draw(st.lists(st.floats(0, 100), min_size=len(cuts), max_size=len(cuts))))
    parts = [letters[a:b] for a, b in itertools.pairwise(cuts)]
    spoken = [Segment(p, a, b) for p, a, b in zip(parts, times, times[1:], strict=False)]
    if "".join(part.casefold() for part in parts) != "".join(token.casefold() for token in tokens):
        return
    try:
        found, _ = times_of_tokens(tokens, spoken, (), "a")
    except InputError:  # letters that change when they are parted (ligatures)
        return
    assert [s.text for s in found] == tokens
    assert found[0].start == times[0] and found[-1].end == pytest.approx(times[-1])
    for a, b in itertools.pairwise(found):
        assert a.start <= a.end <= b.start + 1e-9
