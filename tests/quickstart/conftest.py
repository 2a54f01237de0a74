"""One finished quick start at the smallest scale, shared by all tests here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("espeakng_loader", reason="the synthesizer is an extra: pip install 'smoltolk[tts]'")
pytest.importorskip("pocketsphinx", reason="the judge is an extra: pip install 'smoltolk[judge]'")


@pytest.fixture(scope="session")
def command() -> list[str]:
    """The command line, to be started as a process of its own."""
    return [sys.executable, "-c", "from smoltolk.cli import main; main()"]


@pytest.fixture(scope="session")
def smoltolk(command: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line to its end."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=900)

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, smoltolk: Callable) -> Path:
    """The directory of a finished run."""
    out = tmp_path_factory.mktemp("quickstart") / "run"
    done = smoltolk("quickstart", "--out", out, "--scale", "tiny")
    assert done.returncode == 0, done.stderr
    return out
