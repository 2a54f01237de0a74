"""Checks of nested objects that name the key that is wrong, e.g. ``models.late.story.S->S.low``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from smoltolk.common.errors import InputError

# Called with a value and its path; raises an InputError that names the path.
Check = Callable[[Any, str], None]


def failure(path: str, rule: str, found: Any) -> InputError:
    """The error of a value that breaks a rule."""
    return InputError(f"results: {path} must be {rule}", f"{found!r}", "run the evaluation again, or correct the file")


def number(low: float = -math.inf, high: float = math.inf, whole: bool = False) -> Check:
    """A finite number from ``low`` to ``high``."""
    rule = "a whole number" if whole else "a finite number"
    if low > -math.inf or high < math.inf:
        rule += f" from {low:g}" + (f" to {high:g}" if high < math.inf else " up")

    def check(value: Any, path: str) -> None:
        kinds = int if whole else (int, float)
        # bool is an int to Python; the comparison is False for NaN.
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise failure(path, rule, value)
        if not math.isfinite(value):
            raise failure(path, rule, value)

    return check


def text(value: Any, path: str) -> None:
    """A string."""
    if not isinstance(value, str):
        raise failure(path, "a text", value)


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    """An object; returns it."""
    if not isinstance(value, Mapping):
        raise failure(path, "an object", value)
    return value


def numbers(value: Any, path: str) -> None:
    """An object of finite numbers."""
    for key, one in mapping(value, path).items():
        number()(one, f"{path}.{key}")


def keys(**checks: Check) -> Check:
    """An object with at least these keys."""

    def check(value: Any, path: str) -> None:
        mapping(value, path)
        missing = [key for key in checks if key not in value]
        if missing:
            raise InputError(
                f"results: {path or 'the file'} must have the keys {sorted(checks)}",
                f"without {missing}",
                "run the step of the quick start that writes them",
            )
        for key, inner in checks.items():
            inner(value[key], f"{path}.{key}" if path else key)

    return check


def inside(name: str, low: float, high: float) -> Check:
    """``{name, "low", "high", "n"}``: a value from ``low`` to ``high`` inside its interval."""
    one = number(low, high)
    parts = keys(**{name: one, "low": one, "high": one, "n": number(1, whole=True)})

    def check(value: Any, path: str) -> None:
        parts(value, path)
        if not value["low"] <= value[name] <= value["high"]:
            rule = f"{'an' if name[0] in 'aeiou' else 'a'} {name} inside its interval"
            raise failure(path, rule, {key: value[key] for key in (name, "low", "high")})

    return check


def with_pair(inner: Check) -> Check:
    """``inner``, and under ``pair`` the same of two mirrored questions together."""
    paired = keys(pair=inner)

    def check(value: Any, path: str) -> None:
        inner(value, path)
        paired(value, path)

    return check


def layers(inner: Check) -> Check:
    """An object from the names of layers, ``"0"`` to the last one's, to what ``inner`` accepts."""

    def check(value: Any, path: str) -> None:
        found = list(mapping(value, path))
        if not found or set(found) != {str(layer) for layer in range(len(found))}:
            raise failure(path, 'an object with a key for each layer, "0", "1" and so on', found)
        for layer in found:
            inner(value[layer], f"{path}.{layer}")

    return check
