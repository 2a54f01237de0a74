import pytest

from smoltolk.speech.spelling import ends_sentence, spoken_words


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("Fox,", "Fox"),
        ("twenty-one", "twenty one"),
        ("21", "twenty one"),
        ("3,000", "three thousand"),
        ("1984", "nineteen eighty four"),
        ("3.14", "three point one four"),
        ("22nd", "twenty second"),
        ("$2.50", "two point five zero dollars"),
        ("£1", "one pound"),
        ("50%", "fifty percent"),
        ("3:05.", "three oh five"),
        ("7:00", "seven o'clock"),
        ("R2D2", "R two D two"),
        ("Mr.", "mister"),
        ("don\u2019t", "don't"),
        ("\u201cWhy?\u201d", "Why"),
        ("'quoted'", "quoted"),
        ("salt&pepper", "salt and pepper"),
        ("naïve", "naïve"),
        ("\u2014", ""),
        ("...", ""),
    ],
)
def test_what_is_said_for_a_token(token: str, words: str) -> None:
    assert " ".join(spoken_words(token)) == words


def test_long_numbers_are_codes() -> None:
    assert spoken_words("12345678901234567890")[:3] == ("one", "two", "three")


@pytest.mark.parametrize(
    "token", ["end.", "end!", "end?", "end.\u201d", 'end."', "end?!", "end…", '"Why?"', "no!)", "完。"]
)
def test_a_sentence_ends(token: str) -> None:
    assert ends_sentence(token)


@pytest.mark.parametrize("token", ["end", "end,", "Mr.", "Dr.", "U.S.", "e.g.", "3.5", "Oslo,"])
def test_a_sentence_goes_on(token: str) -> None:
    assert not ends_sentence(token)
