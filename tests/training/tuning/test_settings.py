"""What is written on a command line is what is meant, or refused by name."""

from __future__ import annotations

import pytest

from smoltolk.common.errors import InputError
from smoltolk.training.tuning.settings import LoraSettings, Preference, Tuning, parse_lora


def test_parts_of_a_lora() -> None:
    assert parse_lora("r=8") == LoraSettings(r=8)
    found = parse_lora("r=4, alpha=2, dropout=0.1, targets=backbone+q_proj, whole=units")
    assert found == LoraSettings(r=4, alpha=2.0, dropout=0.1, targets=("backbone", "q_proj"), whole=("units",))
    assert (found.scale, LoraSettings().scale) == (0.5, 2.0)


@pytest.mark.parametrize(
    "text", ["", "16", "r=x", "rank=3", "r=0", "r=4,dropout=1", "alpha=0", "targets=", "targets=a++b", "whole=a b,"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InputError):
        parse_lora(text)


def test_a_lora_stands_somewhere() -> None:
    with pytest.raises(InputError, match="stands somewhere"):
        LoraSettings(targets=())


def test_nothing_is_tuned_unless_it_is_said() -> None:
    assert Tuning() == Tuning(start=None, lora=None)


def test_what_cannot_be_preferred() -> None:
    for changes, told in (({"beta": 0}, "beta"), ({"hold_out": 1}, "hold_out"), ({"loss": "none"}, "sigmoid")):
        with pytest.raises(InputError, match=told):
            Preference(**changes)
