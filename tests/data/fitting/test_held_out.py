"""Which utterances are kept from learning, and what a judge may know of them."""

import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.data.fitting.speech_models import split_held_out, texts_for_judge


def utterance(number: int, text: str = "a word") -> Utterance:
    return Utterance(f"u{number}", text, None, 1.0, (), (), "anna", "en", "own")


ALL = [utterance(k) for k in range(50)]


def test_those_named_are_held_out_and_nothing_else() -> None:
    held, training = split_held_out(ALL, 100, 0, ("u7", "u3", "elsewhere"))
    assert {one.id for one in held} == {"u3", "u7"}
    assert {one.id for one in training} == {one.id for one in ALL} - {"u3", "u7"}
    few = split_held_out(ALL, 10, 0, ("u7",))[1]
    assert len(few) == 10 and few == training_of("u7")[:10]
    assert split_held_out(ALL, 10, 1, ("u7",))[1] != few


def training_of(*chosen: str) -> list[Utterance]:
    return split_held_out(ALL, 100, 0, chosen)[1]


@pytest.mark.parametrize("chosen", [("nobody",), tuple(one.id for one in ALL)])
def test_none_or_all_cannot_be_held_out(chosen: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="held out"):
        split_held_out(ALL, 100, 0, chosen)


def test_a_judge_knows_the_words_of_those_judged_but_not_their_order() -> None:
    spoken = [utterance(0, "Press one."), utterance(1, "Dial the number 5!"), utterance(2, "...")]
    texts = texts_for_judge(spoken, spoken[1:2])
    assert texts[0] == "press one" and sorted(texts[1:]) == ["dial", "five", "number", "the"]
