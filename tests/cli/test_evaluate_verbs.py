"""What the words behind --data and --directions mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoltolk.cli.evaluate_verbs import _directions, _places
from smoltolk.common.errors import InputError


def test_places_of_tasks_and_of_all(tmp_path: Path) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert _places([str(odd), f"tsc={odd}", "text=c=d"]) == {"": odd, "tsc": odd, "text": Path("c=d")}
    with pytest.raises(InputError, match="tcs=sets"):
        _places(["tcs=sets"])


def test_directions_are_named_once() -> None:
    assert _directions("S->T, T->T,S->T") == ("S->T", "T->T")
    with pytest.raises(InputError, match="X->S"):
        _directions("S->S,X->S")
