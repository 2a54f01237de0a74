"""What the tests of every architecture share with the script that writes their table."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks/architectures.py"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``any_architecture`` runs for each one that AutoModelForCausalLM knows."""
    if "any_architecture" in metafunc.fixturenames:
        metafunc.parametrize("any_architecture", _load().tiny().causal_architectures())


@pytest.fixture(scope="session")
def table() -> ModuleType:
    """The script."""
    return _load()


@pytest.fixture(scope="session")
def tiny(table: ModuleType) -> ModuleType:
    """``tiny.tiny_text_model("qwen3")``: an architecture shrunk, without a list of names."""
    return table.tiny()


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("architectures", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
