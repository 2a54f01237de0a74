"""Errors name the rule, what was found and the fix, and survive the way back from a worker."""

from __future__ import annotations

import pickle

import pytest

from smoltolk.common.errors import (
    InputError,
    MissingExtraError,
    NotFoundError,
    SmolTolkError,
    WorkerError,
    first_line,
    require,
)


@pytest.mark.parametrize("kind", [InputError, NotFoundError, MissingExtraError, WorkerError])
def test_every_error_tells_all_three_and_can_be_pickled(kind):
    error = kind("a rule", "what was there", "what to do")
    for copy in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert isinstance(copy, SmolTolkError)
        assert str(copy) == "a rule\n  found: what was there\n  fix:   what to do"
        assert (copy.rule, copy.found, copy.fix) == ("a rule", "what was there", "what to do")


def test_errors_are_also_the_usual_ones():
    assert issubclass(InputError, ValueError) and issubclass(NotFoundError, FileNotFoundError)
    assert issubclass(MissingExtraError, ImportError) and issubclass(WorkerError, RuntimeError)


def test_a_missing_extra_names_its_pip_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pocketsphinx", None)
    monkeypatch.setattr("importlib.import_module", lambda name: _missing(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'smoltolk\[judge\]'"):
        require("pocketsphinx", "the offline judge")


def _missing(name: str):
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_what_is_installed_is_imported():
    assert require("json", "a test").dumps([1]) == "[1]"


def test_the_first_line_of_what_others_say() -> None:
    assert first_line(ValueError("no such thing\nand so on")) == "no such thing"
    assert first_line(KeyError()) == "KeyError"
