import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech.spelling.characters import check_english


@pytest.mark.parametrize(
    "text", ["caf\u00e9 na\u00efve", "1\u00bd 10\u00b2 \uff46\uff4f\uff58 \u02bcn 5\u00aa", "\u2014 \u20ac5 \x7f"]
)
def test_english_parts_take_latin_letters(text: str) -> None:
    check_english(text)


@pytest.mark.parametrize(
    "text", ["\u041f\u0440\u0438\u0432\u0435\u0442", "a \u03b2 c", "\u4f60\u597d " * 100, "\u00b5m"]
)
def test_other_letters_are_refused_with_a_short_text(text: str) -> None:
    with pytest.raises(InputError, match="Latin letters") as error:
        check_english(text)
    assert len(str(error.value)) < 400
