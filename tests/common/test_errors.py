"""Errors name the rule, what was found and the fix, and survive the way back from a worker."""

from __future__ import annotations

import pickle
import re
import sys
import tomllib
from pathlib import Path

import pytest

from smoltolk.common.errors import (
    _EXTRAS,
    InputError,
    MissingExtraError,
    NotFoundError,
    SmolTolkError,
    WorkerError,
    first_line,
    require,
)

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


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


@pytest.mark.parametrize("module", ["peft", "peft.utils"])
def test_a_missing_extra_names_its_pip_line(module, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "peft"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(MissingExtraError, match=r"package 'peft'\n.*not installed\n.*pip install 'smoltolk\[lora\]'"):
        require(module, "LoRA")


def test_a_package_without_one_that_it_needs_names_both(monkeypatch, tmp_path):
    (tmp_path / "lhotse.py").write_text("import urllib_that_is_not_there")
    monkeypatch.delitem(sys.modules, "lhotse", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"'lhotse'\n.*'urllib_that_is_not_there'.*\n.*smoltolk\[corpora\]"):
        require("lhotse", "recipes")


def test_a_part_that_another_version_lacks_is_no_missing_extra():
    with pytest.raises(ModuleNotFoundError) as told:
        require("json.nothing", "a test")
    assert not isinstance(told.value, MissingExtraError)


@pytest.mark.parametrize("module", _EXTRAS)
def test_every_pip_line_names_an_extra_of_the_package(module):
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    brought = [re.split(r"[\[<>=]", one)[0].replace("-", "_") for one in extras[_EXTRAS[module]]]
    assert module in brought or f"{module}_cpu" in brought


def test_what_is_installed_is_imported():
    assert require("json", "a test").dumps([1]) == "[1]"


def test_the_first_line_of_what_others_say() -> None:
    assert first_line(ValueError("no such thing\nand so on")) == "no such thing"
    assert first_line(KeyError()) == "KeyError"
