import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech.recognition.error_rate import error_rate, normalise


def test_normalising_is_the_same_for_both_sides() -> None:
    assert normalise("Anna\u2019s 21 RED lamps \u2014 don't!") == "anna's twenty one red lamps don't"
    assert error_rate(["Twenty-one lamps."], ["21 lamps"]).wer == 0


def test_error_rates_count_words_and_characters() -> None:
    rate = error_rate(["a b c d", "e f g h"], ["a x c", "e f g h i"])
    assert (rate.wer, rate.num_words, rate.num_utterances) == (3 / 8, 8, 2)
    assert rate.cer == pytest.approx(5 / 14)
    assert rate.low <= rate.wer <= rate.high


def test_the_interval_is_a_function_of_the_seed() -> None:
    references = ["a b c d"] * 30
    hypotheses = ["a b c d", "a b c x", "x y c d"] * 10
    rate = error_rate(references, hypotheses)
    assert rate == error_rate(references, hypotheses)
    assert 0.15 < rate.low < rate.wer == 0.25 < rate.high < 0.35


def test_error_rates_need_pairs() -> None:
    for references, hypotheses in (([], []), (["a"], []), (["..."], ["a"])):
        with pytest.raises(InputError):
            error_rate(references, hypotheses)
