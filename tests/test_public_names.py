"""One list of public names, loaded when they are asked for."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import smoltolk

ROOT = Path(__file__).parents[1]
NAMES = sorted(set(smoltolk.__all__) - {"__version__"})
IMPORTING = """
import sys
before = set(sys.modules)
import smoltolk
assert dir(smoltolk) == smoltolk.__all__ and smoltolk.__version__
loaded = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
assert loaded == {"smoltolk"}, loaded
from smoltolk import SmolTolkConfig
assert "transformers" in sys.modules and smoltolk.SmolTolkConfig is SmolTolkConfig
print("done")
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_else() -> None:
    assert run(IMPORTING) == "done\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_what_type_checkers_take_it_for(name: str) -> None:
    tree = ast.parse(Path(smoltolk.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "typing"]
    (home,) = [(node.module, one.name) for node in imports for one in node.names if name in (one.asname or one.name,)]
    assert getattr(smoltolk, name) is getattr(import_module(home[0]), home[1])


def test_the_list_is_whole() -> None:
    assert sorted(smoltolk._HOMES) == NAMES
    everything: dict[str, object] = {}
    exec("from smoltolk import *", everything)
    assert set(smoltolk.__all__) <= set(everything)


def test_no_name_hides_a_room() -> None:
    rooms = {path.stem for path in (ROOT / "src" / "smoltolk").iterdir()}
    assert not rooms & set(smoltolk.__all__)


def test_an_unknown_name_is_unknown() -> None:
    assert not hasattr(smoltolk, "torch")
    with pytest.raises(AttributeError, match="module 'smoltolk' has no attribute 'scor'"):
        smoltolk.scor  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'scor'"):
        exec("from smoltolk import scor")


def test_every_public_name_is_told_of_in_the_docs() -> None:
    table = (ROOT / "docs" / "model.md").read_text(encoding="utf-8").partition("## Public names")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == NAMES
