"""Plain values become a tree of dataclasses, by their types alone; what does not fit is told with its place."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from difflib import SequenceMatcher, get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from smoltolk.common.errors import InputError

_Tree = TypeVar("_Tree")
_NEAR = 0.6  # share of equal letters from which a name is taken for another one's misspelling


class Further(dict[str, Any]):
    """Changes inside of a value, where a plain mapping would take its place."""


def changed(tree: _Tree, changes: Mapping[str, Any], root: type | None = None, where: str = "") -> _Tree:
    """A tree with some of its settings changed, all at once.

    Args:
        tree: a frozen dataclass.
        changes: values by name, those of a part as a mapping; those of a tuple of dataclasses by number or ``name``. A
            setting that is a mapping itself is replaced, by :class:`Further` extended.
        root: type of the whole tree, whose names are offered for one that there is not.
        where: its place in the whole tree, dotted.

    Raises:
        InputError: an unknown name, or a value of another type than the setting's.
    """
    root = root or type(tree)
    hints = get_type_hints(type(tree))
    new = {}
    for name, value in changes.items():
        place = _join(where, name)
        if name not in hints:
            raise _unknown(place, type(tree), root)
        new[name] = _one(hints[name], getattr(tree, name), value, root, place)
    return replace(tree, **new)  # type: ignore[type-var]


def check_names(kind: type, changes: Mapping[str, Any], root: type | None = None, where: str = "") -> None:
    """Refuse changes of settings that there are not, whatever the tree and the values.

    Args:
        kind: a dataclass, of the tree or of a part of it.
        changes, root, where: as for :func:`changed`; members of a tuple may have any number or name.

    Raises:
        InputError: an unknown name.
    """
    root, hints = root or kind, get_type_hints(kind)
    for name, value in changes.items():
        place = _join(where, name)
        if name not in hints:
            raise _unknown(place, kind, root)
        part = _plain(hints[name])
        if isinstance(value, Mapping) and is_dataclass(part):
            check_names(part, value, root, place)  # type: ignore[arg-type]
        elif isinstance(value, Mapping) and get_origin(part) is tuple and is_dataclass(get_args(part)[0]):
            for member, inside in value.items():
                if isinstance(inside, Mapping):
                    check_names(get_args(part)[0], inside, root, _join(place, member))


def _one(kind: Any, current: Any, value: Any, root: type, where: str) -> Any:
    if isinstance(value, Mapping) and is_dataclass(current) and not isinstance(current, type):
        return changed(current, value, root, where)
    if isinstance(value, Mapping) and isinstance(current, tuple) and any(map(is_dataclass, current)):
        return _members(kind, current, value, root, where)
    if isinstance(value, Further) and isinstance(current, dict):
        return bind(kind, {**current, **value}, root, where)
    if isinstance(value, Further) and isinstance(current, tuple):
        listed = list(current)
        for name, one in value.items():
            listed[_number(name, len(listed), where)] = one
        return bind(kind, listed, root, where)
    return bind(kind, value, root, where)


def _members(kind: Any, current: tuple, changes: Mapping[str, Any], root: type, where: str) -> tuple:
    members, names = list(current), [getattr(one, "name", None) for one in current]
    for name, value in changes.items():
        number = names.index(name) if name in names else _number(name, len(members), where, names)
        members[number] = _one(get_args(kind)[0], members[number], value, root, _join(where, str(number)))
    return tuple(members)


def _number(name: str, count: int, where: str, names: list | None = None) -> int:
    if re.fullmatch(r"\d+", str(name)) and int(name) < count:
        return int(name)
    known = f"{', '.join(map(str, range(count)))}" + (f", or by name {', '.join(map(str, names))}" if names else "")
    raise InputError(f"{where} are {known}", f"{where}.{name}", "choose one of them")


def bind(kind: Any, value: Any, root: type | None = None, where: str = "") -> Any:
    """A value of the type that is asked for.

    Args:
        kind: a dataclass, or a type of one of its fields.
        value: as YAML or JSON gives it; a dataclass of that kind is left as it is.
        root, where: as for :func:`changed`.

    Raises:
        InputError: as :func:`changed`, or a part without a default is missing.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [one for one in arguments if one is not type(None)]
        return bind(next((one for one in kinds if _is(one, value)), kinds[0]), value, root, where)
    if is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else _bind_tree(kind, value, root or kind, where)
    if kind is Any:
        return value
    if origin is Literal and value in arguments and isinstance(value, type(arguments[0])):
        return value
    if origin is tuple and isinstance(value, list | tuple):
        each = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(each) == len(value):
            return tuple(bind(one, v, root, f"{where}.{i}") for i, (one, v) in enumerate(zip(each, value, strict=True)))
    if origin is dict and isinstance(value, Mapping):
        return {
            bind(arguments[0], k, root, where): bind(arguments[1], v, root, _join(where, k)) for k, v in value.items()
        }
    if kind is float and type(value) is int:
        return float(value)
    if kind in (bool, int, float, str) and type(value) is kind:
        return value
    fix = f"write e.g. {where}='\"{value}\"' (quotes make text of it)" if kind is str else "correct it"
    raise InputError(f"{where or 'a recipe'} is {_words(kind)}", repr(value), fix)


def _bind_tree(kind: Any, value: Any, root: type, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"{where or 'a recipe'} has settings by name", repr(value), f"give {_words(kind)}")
    hints = get_type_hints(kind)
    for name in value:
        if name not in hints:
            raise _unknown(_join(where, str(name)), kind, root)
    missing = [
        one.name
        for one in fields(kind)
        if one.name not in value and one.default is MISSING and one.default_factory is MISSING
    ]
    if missing:
        raise InputError(
            f"{where or 'a recipe'} needs {', '.join(missing)}", f"only {', '.join(map(str, value)) or 'nothing'}",
            "add what is missing",
        )  # fmt: skip
    return kind(**{name: bind(hints[name], one, root, _join(where, name)) for name, one in value.items()})


def _unknown(place: str, kind: Any, root: type) -> InputError:
    head, _, name = place.rpartition(".")
    beside = get_close_matches(name, [one.name for one in fields(kind)], 1, _NEAR)
    near = _join(head, beside[0]) if beside else nearest(place, names_in(root))
    return InputError(
        f"{head or 'a recipe'} has the settings {', '.join(one.name for one in fields(kind))}",
        place,
        f"did you mean {near}?" if near else "choose one of them",
    )


def names_in(kind: Any, where: str = "") -> list[str]:
    """Dotted names of all settings of a tree, ``*`` for the number of a member."""
    kind = _plain(kind)
    if get_origin(kind) is tuple and is_dataclass(get_args(kind)[0]):
        return names_in(get_args(kind)[0], _join(where, "*"))
    if not is_dataclass(kind):
        return [where]
    return [name for key, hint in get_type_hints(kind).items() for name in names_in(hint, _join(where, key))]


def _plain(kind: Any) -> Any:
    """A type without what stands beside it in a union: of ``X | None`` X."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(one for one in get_args(kind) if one is not type(None))
    return kind


def nearest(place: str, names: list[str]) -> str | None:
    """The setting whose name is most like one that there is not; None: none is.

    Args:
        place: dotted, with numbers of members.
        names: as :func:`names_in` gives them; the place's numbers stand for their ``*``, or 0.
    """
    number = next((part for part in place.split(".") if part.isdigit()), "0")
    likeness = {}
    for name in names:
        whole = name.replace("*", number)
        last = SequenceMatcher(None, place.rpartition(".")[2], whole.rpartition(".")[2]).ratio()
        likeness[whole] = (last if last >= _NEAR else 0.0, SequenceMatcher(None, place, whole).ratio())
    best = max(likeness, key=lambda name: likeness[name])
    return best if likeness[best][0] else None


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else str(name)


def _is(kind: Any, value: Any) -> bool:
    """Whether a value is of one of several plain types."""
    return value in get_args(kind) if get_origin(kind) is Literal else type(value) is kind


def _words(kind: Any) -> str:
    """A type as one says it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        many = arguments[-1] is Ellipsis
        return (
            f"a list, each {_words(arguments[0])}"
            if many
            else f"a list of {len(arguments)}, each {_words(arguments[0])}"
        )
    if origin is dict:
        return f"{_words(arguments[1])} for each name, e.g. {{name: 1}}"
    if is_dataclass(kind):
        return f"a mapping of {', '.join(one.name for one in fields(kind))}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(kind, str(kind))
