"""Changes of a recipe as words of a command line: ``stages.1.learning_rate=1e-4``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smoltolk.common.errors import InputError, first_line
from smoltolk.training.recipes.binding import Further, changed
from smoltolk.training.recipes.tree import RunRecipe

_FORM = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)=(.*)", re.DOTALL)


def is_override(word: str) -> bool:
    """Whether a word of a command line says ``name=value``."""
    return _FORM.fullmatch(word) is not None


def with_overrides(recipe: RunRecipe, words: Iterable[str]) -> RunRecipe:
    """A recipe as a command line changes it.

    Args:
        recipe: left as it is.
        words: ``name=value``: the name dotted, of a stage by its number or its own name; the value as YAML writes it:
            ``1e-4``, ``static``, ``null``, ``[1, 4]``, ``{speech: 1, text: 1}``.

    Raises:
        InputError: a word of another form, a setting twice, or what :func:`changed` finds.
    """
    return changed(recipe, changes_of_words(words))


def changes_of_words(words: Iterable[str]) -> Further:
    """What words say, as :func:`~smoltolk.training.recipes.binding.changed` takes it.

    Raises:
        InputError: a word of another form, or a setting twice.
    """
    changes = Further()
    for word in words:
        found = _FORM.fullmatch(word)
        if found is None:
            raise InputError("a setting is changed by name=value", repr(word), "write e.g. stages.1.learning_rate=1e-4")
        add_change(changes, found[1], parse_value(found[2]))
    return changes


def add_change(changes: Further, name: str, value: Any) -> None:
    """Add one change.

    Args:
        changes: so far; gets one more.
        name: dotted.
        value: of the setting.

    Raises:
        InputError: it is among them already.
    """
    *path, last = name.split(".")
    node: Any = changes
    for part in path:
        node = node.setdefault(part, Further()) if isinstance(node, Further) else None
    if not isinstance(node, Further) or last in node:
        raise InputError("a setting is given once", f"{name} again", "leave one of them out")
    node[last] = value


def parse_value(text: str) -> Any:
    """What a value is, written as YAML.

    Raises:
        InputError: YAML cannot read it.
    """
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[index,call-overload]
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise InputError(
            "a value is written as in YAML", f"{text!r}: {first_line(error)}", "put it in quotes"
        ) from error
