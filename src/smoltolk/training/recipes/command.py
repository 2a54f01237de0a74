"""The words and options of ``smoltolk train`` as one tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.training.changes import Changes
from smoltolk.training.recipes.binding import changed, check_names
from smoltolk.training.recipes.overrides import add_change, changes_of_words, is_override
from smoltolk.training.recipes.positional import positional_recipe
from smoltolk.training.recipes.sources import is_recipe, nearest_recipe, recipe_named, recipe_of_model
from smoltolk.training.recipes.tree import RunRecipe

_ANY = "small"


def recipe_of_words(
    words: Sequence[str],
    *,
    model: Path | None = None,
    preset: str | None = None,
    changes: Changes | None = None,
    options: Mapping[str, Any] | None = None,
    look: Callable[[RunRecipe], None] = lambda tree: None,
) -> RunRecipe:
    """The tree that a command line stands for.

    What is wrong with the words alone is told before anything is loaded that takes seconds.

    Args:
        words: ``RECIPE``, or ``TEXT_MODEL SHARDS OUT``, told apart by the first word; and anywhere ``name=value``.
        model: whose recipe is taken instead.
        preset: of the positional form.
        changes: of the recipe, before those of the words.
        options: values by dotted name, as if they were words; None: not given.
        look: is shown the tree, or one with the same places, before a text model is looked at.

    Raises:
        InputError: words of neither form, a setting twice, or what the forms themselves find.
    """
    others = [word for word in words if not is_override(word)]
    settings = changes_of_words(word for word in words if is_override(word))
    for name, value in (options or {}).items():
        if value is not None:
            add_change(settings, name, value)
    if model is None and len(others) == 3 and not is_recipe(others[0]):
        return _positional(others, settings, preset, changes or Changes(), look)
    if preset is not None:
        raise InputError(
            "--preset belongs to the form TEXT_MODEL SHARDS OUT",
            f"--preset {preset} and {model or ' '.join(others) or 'no words'}",
            "leave it out, or name the preset's recipe as the first word",
        )
    tree = _named(others, model)
    tree = changed(tree.with_recipe((changes or Changes()).apply(tree.recipe())), settings)
    look(tree)
    return tree


def _positional(
    others: Sequence[str],
    settings: Mapping[str, Any],
    preset: str | None,
    changes: Changes,
    look: Callable[[RunRecipe], None],
) -> RunRecipe:
    """The tree of ``TEXT_MODEL SHARDS OUT``."""
    check_names(RunRecipe, settings)
    # The preset is that of the text model's size. Before the model is looked at, any has the same places.
    elsewhere = {name: value for name, value in settings.items() if name not in ("stages", "optimisation")}
    look(changed(positional_recipe(*others, preset=preset or _ANY), elsewhere))
    return changed(positional_recipe(*others, preset=preset, changes=changes), settings)


def _named(others: Sequence[str], model: Path | None) -> RunRecipe:
    if model is not None and not others:
        return recipe_of_model(model)
    if model is None and len(others) == 1 and (is_recipe(others[0]) or nearest_recipe(others[0])):
        return recipe_named(others[0])
    raise InputError(
        "a training is told by a recipe, by --from MODEL, or by a text model, shards and an output directory",
        f"{' '.join(others) or 'nothing'}" + ("" if model is None else f" and --from {model}"),
        "write e.g. `smoltolk train smoltolk-400m data.shards=shards out=model`, or `train TEXT_MODEL SHARDS OUT`",
    )
