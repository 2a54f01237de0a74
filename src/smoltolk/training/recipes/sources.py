"""Where a recipe comes from, told apart by one word: a preset, a function in a file of one's own, or a YAML file."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.training.recipes.binding import bind, changed
from smoltolk.training.recipes.presets import RECIPES
from smoltolk.training.recipes.tree import RunRecipe
from smoltolk.training.recipes.yaml_files import RECIPE_FILE, read_yaml

_FUNCTION = re.compile(r"(.+\.py):(\w+)")
_BASE = "base"


def is_recipe(word: str) -> bool:
    """Whether a word names a recipe: a preset, ``file.py:function`` or a file of YAML."""
    return word in RECIPES or _FUNCTION.fullmatch(word) is not None or word.endswith((".yaml", ".yml"))


def nearest_recipe(word: str) -> str | None:
    """The preset whose name is most like a word; None: none is."""
    return next(iter(get_close_matches(word, RECIPES, 1)), None)


def recipe_named(word: str) -> RunRecipe:
    """The recipe that a word names.

    Args:
        word: see :func:`is_recipe`. A file of Python is run, for the user names it; it sees what any program sees. A
            file of YAML holds a whole tree, or ``base: WORD`` and what is otherwise than there, stages by name.

    Raises:
        NotFoundError: no such file.
        InputError: no such preset or function, or a tree that does not fit.
    """
    if _FUNCTION.fullmatch(word) is not None:
        return _from_python(word)
    if word.endswith((".yaml", ".yml")):
        return _from_yaml(Path(word))
    if word not in RECIPES:
        near = nearest_recipe(word)
        raise InputError(
            f"a recipe is file.py:function, a .yaml, or one of {', '.join(RECIPES)}",
            repr(word),
            f"did you mean {near}?" if near else "choose one of them",
        )
    return RECIPES[word]()


def recipe_of_model(model: Path) -> RunRecipe:
    """The recipe that lies beside a model.

    Raises:
        NotFoundError: no such directory, or none that ``train`` wrote.
    """
    if not (model / RECIPE_FILE).is_file():
        raise NotFoundError(
            f"a model that `smoltolk train` wrote has its {RECIPE_FILE} beside it",
            f"none in {model}",
            "name its directory, or a recipe by name",
        )
    return _from_yaml(model / RECIPE_FILE)


def _from_yaml(path: Path) -> RunRecipe:
    values = read_yaml(path)
    base = values.pop(_BASE, None)
    if base is None:
        return bind(RunRecipe, values)
    if not isinstance(base, str):
        raise InputError("base is the name of a recipe", f"{path}: {base!r}", "write e.g. base: smoltolk-400m")
    beside = path.parent / base
    named = str(beside) if base.endswith((".yaml", ".yml")) or _FUNCTION.fullmatch(base) else base
    return changed(recipe_named(named), values)


def made_by(word: str) -> Any:
    """What a function in a file of one's own returns.

    Args:
        word: ``file.py:function``; the file is run, for the user names it.

    Raises:
        NotFoundError: no such file.
        InputError: no such function, or one that needs arguments.
    """
    named = _FUNCTION.fullmatch(word)
    if named is None:
        raise InputError("a function is named file.py:function", repr(word), "write it so")
    path, name = Path(named[1]), named[2]
    function = getattr(load_python(path), name, None)
    if not inspect.isfunction(function) or any(
        one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        for one in inspect.signature(function).parameters.values()
    ):
        found = "no function of that name" if not inspect.isfunction(function) else "it needs arguments"
        raise InputError("a recipe is a function without arguments", f"{path}:{name}: {found}", "correct its name")
    return function()


def _from_python(word: str) -> RunRecipe:
    made = made_by(word)
    if not isinstance(made, RunRecipe):
        raise InputError(
            "a recipe's function returns a RunRecipe",
            f"{word} returned {type(made).__name__}",
            'begin with a preset: `from smoltolk import recipe_named`, `recipe_named("smoltolk-400m").changed({...})`',
        )
    return made


def load_python(path: Path) -> ModuleType:
    """Run a file of Python that a user named, as a module.

    Raises:
        NotFoundError: no such file.
        InputError: it is no Python.
    """
    if not path.is_file():
        raise NotFoundError("a file of recipes must exist", f"no file {path}", "check the path")
    name = f"smoltolk_recipes_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError("a file of recipes is Python", f"{path}", "name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the file look themselves up there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise InputError(
            "a file of recipes is Python", f"{path}, line {error.lineno}: {error.msg}", "correct it"
        ) from error
    return module
