"""The commands of the documentation exist, with these options."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from smoltolk.cli.app import app

ROOT = Path(__file__).parents[2]
COMMANDS = [
    (path.name, line)
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for line in re.findall(r"^(?:\$ )?(?:torchrun .* )?(smoltolk .*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_of_the_documentation_parse(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    if "..." in words:
        return
    context = command.make_context(command.name, words)  # raises on unknown options and missing arguments
    assert context.params


def test_the_documentation_has_commands() -> None:
    assert {"README.md", "own-data.md"} <= {page for page, _ in COMMANDS}
