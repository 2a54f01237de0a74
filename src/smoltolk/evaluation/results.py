"""What ``results.json`` holds, and a check that says which key is wrong.

Fractions run from 0 to 1, likelihoods are nats. Keys beyond these are allowed; the page shows those it knows
(``differences``, ``curves``, ``selector``, ``samples``, ``settings``, ``notes``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from smoltolk.common.errors import InputError

BASELINES = ("early", "early_plus")
COMPARED = ("late", *BASELINES)  # of the systems that can be trained, those that the quick start holds side by side
KINDS = ("story", "fact_heard", "fact_read")
DIRECTIONS = ("S->S", "T->T", "S->T", "T->S")
LENS_DIRECTIONS = ("S->S", "T->S")  # while listening, and after reading
CHANCE = 0.5
# Named before any run: facts that were only ever read, where the answer has to be heard or spoken.
DECIDING = (("fact_read", "S->S"), ("fact_read", "T->S"))


def difference_key(baseline: str) -> str:
    """Key of ``results["differences"]`` for late fusion against one baseline."""
    return f"late - {baseline}"


Check = Callable[[Any, str], None]


def _fail(path: str, rule: str, found: Any) -> InputError:
    return InputError(f"results: {path} must be {rule}", f"{found!r}", "run the evaluation again, or correct the file")


def _number(low: float = -math.inf, high: float = math.inf, whole: bool = False) -> Check:
    rule = "a whole number" if whole else "a finite number"
    if low > -math.inf or high < math.inf:
        rule += f" from {low:g}" + (f" to {high:g}" if high < math.inf else " up")

    def check(value: Any, path: str) -> None:
        kinds = int if whole else (int, float)
        # bool is an int to Python; the comparison is False for NaN.
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise _fail(path, rule, value)
        if not math.isfinite(value):
            raise _fail(path, rule, value)

    return check


def _text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise _fail(path, "a text", value)


def _numbers(value: Any, path: str) -> None:
    for key, number in _mapping(value, path).items():
        _number()(number, f"{path}.{key}")


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _fail(path, "an object", value)
    return value


def _keys(**checks: Check) -> Check:
    """An object with at least these keys."""

    def check(value: Any, path: str) -> None:
        _mapping(value, path)
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


def _cell(value: Any, path: str) -> None:
    fraction = _number(0, 1)
    _keys(accuracy=fraction, low=fraction, high=fraction, n=_number(1, whole=True))(value, path)
    if not value["low"] <= value["accuracy"] <= value["high"]:
        raise _fail(path, "an accuracy inside its interval", dict(value))


def _difference(value: Any, path: str) -> None:
    number = _number(-1, 1)
    _keys(difference=number, low=number, high=number, n=_number(1, whole=True))(value, path)


def _cells(inner: Check) -> Check:
    return _keys(**{direction: inner for direction in DIRECTIONS})


_rate, _positive = _number(0), _number(0)
_MODEL = _keys(
    **{kind: _cells(_cell) for kind in KINDS},
    speech_nll=_positive,
    text_nll_before=_positive,
    text_nll_after=_positive,
    recognition_wer=_rate,
    synthesis_wer=_rate,
    parameters=_number(1, whole=True),
    train_tokens_per_second=_positive,
)
_RESULTS = _keys(
    seed=_number(whole=True),
    scale=_text,
    seconds=_numbers,
    tokens=_numbers,
    units=_keys(
        pnmi=_number(0, 1),
        purity=_number(0, 1),
        cross_voice_seen=_positive,
        cross_voice_unseen=_positive,
        units_per_second=_positive,
    ),
    vocoder=_keys(wer_natural=_rate, wer_copy=_rate, wer_units=_rate),
    models=_keys(**{system: _MODEL for system in COMPARED}),
)


def validate_results(results: Mapping[str, Any]) -> None:
    """Hold a results dictionary against the schema.

    Keys beyond the schema are allowed; of those that the page draws, ``curves`` and ``differences`` are
    checked too.

    Raises:
        InputError: a missing key, a wrong type, a number that is not finite or out of range, or an accuracy
            outside its own interval; the message names the key, e.g. ``models.late.story.S->S.low``.
    """
    _RESULTS(results, "")
    for system, points in _mapping(results.get("curves", {}), "curves").items():
        for index, point in enumerate(points):
            _keys(step=_number(0))(point, f"curves.{system}[{index}]")
    differences = results.get("differences", {})
    for key in _mapping(differences, "differences"):
        _keys(**{kind: _cells(_difference) for kind in KINDS})(differences[key], f"differences.{key}")
