"""The page of all public names: the table of docs/model.md orders them, their docstrings describe them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def names_page() -> str:
    """Markdown that mkdocstrings fills: a heading for each row of the table."""
    table = (ROOT / "docs" / "model.md").read_text(encoding="utf-8").partition("## Public names")[2]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|$", table, re.MULTILINE)
    blocks = ["# Python", "`from smoltolk import ...`: a name is loaded when it is first asked for."]
    for names, linked in rows:
        description = re.sub(r"\[(.+?)\]\(.+?\)", r"\1", linked)  # a heading leads nowhere
        blocks.append(f"## {description[0].upper()}{description[1:]}")
        blocks += [f"::: smoltolk.{name}" for name in re.findall(r"`(\w+)`", names)]
    return "\n\n".join(blocks) + "\n"
