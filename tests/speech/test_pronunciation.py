import pytest

from smoltolk.speech.phones import PHONES
from smoltolk.speech.pronunciation import by_letters, pronounce
from smoltolk.speech.synthesis.espeak_synthesis import espeak_available

CMU = set(PHONES) - {"sil", "AX"}


@pytest.mark.skipif(not espeak_available(), reason="needs the extra 'tts'")
def test_espeak_pronounces_words_with_and_without_r() -> None:
    words = ["star", "bob", "blorptown", "the", "naïve"] + [f"w{'o' * n}l" for n in range(60)]
    american, british = pronounce(words, "en-us"), pronounce(words, "en-gb")
    assert set(american) == set(words)
    assert (american["star"], british["star"]) == ("S T AA R", "S T AA")
    assert american["bob"] == "B AA B"
    assert {phone for phones in (american | british).values() for phone in phones.split()} <= CMU


@pytest.mark.parametrize(
    ("word", "phones"), [("fish", "F IH SH"), ("quick", "K W IH K"), ("né", "N EH"), ("мир", "AH AH AH")]
)
def test_letters_decide_at_last(word: str, phones: str) -> None:
    assert by_letters(word) == phones


def test_anything_has_a_pronunciation() -> None:
    assert by_letters("'") == "AH"
