"""The command line as a user calls it, but without a new process for every call."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from smoltolk.cli import main


class Result(NamedTuple):
    """What a call left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def smoltolk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """``smoltolk("units", "fit", corpus, out)``; whatever is not a clean exit fails the test."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["smoltolk", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main(last=False)
        out, err = capsys.readouterr()
        code = stopped.value.code
        return Result(code if isinstance(code, int) else int(code is not None), out, err)

    return call
