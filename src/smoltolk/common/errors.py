"""Errors for people: each names the rule, what was found, and the fix."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TypeVar

_Thing = TypeVar("_Thing")

# One line per extra: the module whose absence is noticed -> the extra that brings it.
_EXTRAS = {
    "espeakng_loader": "tts",
    "pocketsphinx": "judge",
    "lhotse": "corpora",
    "av": "media",
    "datasets": "text",
    "ray": "ray",
    "faiss": "faiss",
    "trl": "trl",
    "peft": "lora",
    "lm_eval": "eval",
    "fastapi": "serve",
    "uvicorn": "serve",
    "python_multipart": "serve",
    "prometheus_client": "serve",
    "torchao": "int8",
    "sounddevice": "microphone",
    "tensorboard": "log",
    "trackio": "trackio",
    "wandb": "wandb",
    "s3fs": "s3",
    "gradio": "demo",
}


class SmolTolkError(Exception):
    """Base of every error that a user can mend.

    Args:
        rule: what must hold, as a sentence.
        found: what was there instead.
        fix: what the user can do.
    """

    def __init__(self, rule: str, found: str, fix: str):
        self.rule, self.found, self.fix = rule, found, fix
        super().__init__(f"{rule}\n  found: {found}\n  fix:   {fix}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # The default pickles `args`, one joined string: errors must survive the way back from a worker.
        return type(self), (self.rule, self.found, self.fix)


class InputError(SmolTolkError, ValueError):
    """A value, a file's content or a combination of options breaks a rule."""


class NotFoundError(SmolTolkError, FileNotFoundError):
    """Something that was named does not exist."""

    __str__ = Exception.__str__  # OSError would print only the first argument's errno form


class MissingExtraError(SmolTolkError, ImportError):
    """An optional dependency is not installed."""

    __str__ = Exception.__str__


class WorkerError(SmolTolkError, RuntimeError):
    """A worker process died without an answer."""


def named(kind: str, name: str, choices: Mapping[str, _Thing], fix: str = "choose one of them") -> _Thing:
    """What goes by a name.

    Args:
        kind: of thing, with its article, e.g. ``a scale``.
        name: as a user gave it.
        choices: things by name.
        fix: what to do about a name that is none of them.

    Raises:
        InputError: there is none of that name.
    """
    if name not in choices:
        raise InputError(f"{kind} is one of {', '.join(choices)}", repr(name), fix)
    return choices[name]


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: import name, e.g. ``"pocketsphinx"`` or ``"peft.utils"``.
        purpose: what it is needed for, e.g. ``"the offline judge"``.

    Raises:
        MissingExtraError: it, or a package that it needs, is not installed; naming the pip line.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or "." in error.name:  # a part of an installed package: another version than ours
            raise
        raise _missing(package, purpose, error.name) from error


def check_extra(package: str, purpose: str) -> None:
    """As :func:`require`, where the import itself takes long and can wait.

    Raises:
        MissingExtraError: naming the pip line.
    """
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        raise _missing(package, purpose, package)


def _missing(package: str, purpose: str, lacking: str) -> MissingExtraError:
    return MissingExtraError(
        f"{purpose} needs the package {package!r}",
        "it is not installed" if lacking == package else f"it needs {lacking!r}, which is not installed",
        f"pip install 'smoltolk[{_EXTRAS[package]}]'",
    )


def first_line(error: BaseException) -> str:
    """The first line of what another library says, which often goes on for a screen; its kind if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
