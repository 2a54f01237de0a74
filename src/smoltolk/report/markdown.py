"""The little markdown that tables of runs are written in, and that markdown as part of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

# Without links, images and HTML: what a run is called cannot load anything.
_READER = MarkdownIt("zero", {"html": False}).enable(
    ["table", "heading", "list", "backticks", "escape", "emphasis"]
)  # fmt: skip
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!&])")
_IN_CELL = re.compile(r"([\\`*|])")
_INTERVAL = re.compile(r"(.*\S) \[([^\[\],]+), ([^\[\],]+)\]")


def escaped(text: str) -> str:
    """A name as it stands in a line or cell of markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def in_cell(text: str) -> str:
    """A name as it stands in a cell of a table: what would end the cell or change letters, and nothing else."""
    return _IN_CELL.sub(r"\\\1", " ".join(text.split()))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells of rows are markdown already, heads are names."""
    lines = [list(map(escaped, heads)), ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def deeper(text: str) -> str:
    """Markdown that stands under a heading of the second level: without its own title, other headings one deeper."""
    lines = text.strip().splitlines()
    if lines and lines[0].startswith("# "):
        lines = lines[1:]
    return "\n".join(f"#{line}" if re.match(r"#+ ", line) else line for line in lines).strip()


def as_html(text: str) -> str:
    """Markdown of this package as HTML: tables in cards, with heads of rows and columns, intervals small.

    Whatever else it holds is shown as text.
    """
    tokens: list[Token] = []
    in_head, column = False, 0
    for token in _READER.parse(text):
        if token.type in ("thead_open", "thead_close"):
            in_head = token.type == "thead_open"
        elif token.type == "tr_open":
            column = 0
        elif token.type in ("th_open", "td_open"):
            token.attrs.pop("style", None)
            column += 1
            if in_head or column == 1:
                token.tag = "th"
                token.attrSet("scope", "col" if in_head else "row")
        elif token.type == "td_close" and column == 1:
            token.tag = "th"
        elif token.type == "table_close":
            column = 0
        elif token.type == "inline" and token.children is not None and column > 1 and not in_head:
            token.children = _with_interval(token.content, token.children)
        if token.type == "table_open":
            tokens.append(_raw('<div class="card scroll">\n'))
        tokens.append(token)
        if token.type == "table_close":
            tokens.append(_raw("</div>\n"))
    return _READER.renderer.render(tokens, _READER.options, {})


def _with_interval(content: str, children: list[Token]) -> list[Token]:
    found = _INTERVAL.fullmatch(content)
    if found is None or any(child.type != "text" for child in children):
        return children
    value, low, high = found.groups()
    bounds = _text(f"{low} to {high}")
    return [_text(f"{value} "), _raw('<span class="interval">'), bounds, _raw("</span>")]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _raw(content: str) -> Token:
    return Token("html_inline", "", 0, content=content)
