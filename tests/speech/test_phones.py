import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech.phones import PHONES, phone_class


def test_the_inventory_is_41_different_names() -> None:
    assert len(PHONES) == len(set(PHONES)) == 41
    assert PHONES[0] == "sil"


@pytest.mark.parametrize(
    ("name", "accent", "phone"),
    [
        ("'oU", "en-us", "OW"),
        (",I2", "en-gb", "IH"),
        ("_:", "en-us", "sil"),
        ("_", "en-us", "sil"),
        ("3", "en-us", "ER"),
        ("3", "en-gb", "AX"),
        ("'V", "en-gb", "AH"),
        ("'V", "en-gb-x-gbclan", "UH"),
        ("@2", "en-us", "AX"),
        ("t#", "en-us", "D"),
        ("s:", "en-us", "S"),
    ],
)
def test_names_have_classes(name: str, accent: str, phone: str) -> None:
    assert phone_class(name, accent) == phone


def test_a_name_without_class_is_an_error() -> None:
    with pytest.raises(InputError, match="every phoneme"):
        phone_class("!x!", "en-us")
