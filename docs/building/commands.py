"""The page of all commands, as the command line itself describes them."""

from collections.abc import Iterator
from typing import Any

import typer

from smoltolk.cli.app import app


def commands_page() -> str:
    """Markdown with a heading for every verb."""
    blocks = [
        "# Commands",
        "What `smoltolk VERB --help` prints. A verb that is called again keeps what is whole already. "
        "`smoltolk --version` prints the version.",
    ]
    for name, command in verbs(typer.main.get_command(app)):
        blocks += list(described(name, command))
    return "\n\n".join(blocks) + "\n"


def verbs(group: Any, before: str = "smoltolk") -> Iterator[tuple[str, Any]]:
    """Name and command of every verb, as it is called."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from verbs(command, f"{before} {name}")
        elif not command.hidden:
            yield f"{before} {name}", command


def described(name: str, command: Any) -> Iterator[str]:
    """The blocks of one verb: its call, what it does, what it takes."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    yield f"## {name.removeprefix('smoltolk ')}"
    call = " ".join([name, *(_argument(one) for one in arguments), "[OPTIONS]" if options else ""]).strip()
    yield f"```text\n{call}\n```"
    yield from _paragraphs(command.help or "")
    rows = [(_argument(one), one.help or "", "") for one in arguments]
    rows += [(", ".join([*one.opts, *one.secondary_opts]), one.help or "", _default(one)) for one in options]
    if rows:
        table = [f"| `{left}` | {_cell(middle)} | {right} |" for left, middle, right in rows]
        yield "\n".join(["| | | default |", "|---|---|---|", *table])


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.replace("\b", "").split("\n\n"):
        line = " ".join(paragraph.split())
        head, colon, example = line.partition(": smoltolk ")
        if line.startswith("smoltolk "):
            yield f"```sh\n{line}\n```"
        elif colon and head in ("Example", "Examples"):
            yield f"{head}:\n\n```sh\nsmoltolk {example}\n```"
        elif line:
            yield _cell(line)


def _argument(one: Any) -> str:
    name = one.metavar or one.name.upper()
    name = name.removesuffix("...") + "..." if one.nargs != 1 else name
    return name if one.required else f"[{name}]"


def _default(option: Any) -> str:
    found = option.default
    if option.required:
        return "needed"
    if found is None or found is False or found == () or callable(found):
        return ""
    return "on" if found is True else f"`{found}`"


def _cell(text: str) -> str:
    """Prose of a terminal in Markdown: no markup is meant, and bars part cells."""
    return " ".join(text.split()).translate({ord(sign): f"\\{sign}" for sign in "|<>*_`[]"})
