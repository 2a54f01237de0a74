"""A training told by a text model, shards and options, as a tree like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from smoltolk.training.changes import Changes
from smoltolk.training.presets import Preset, preset_for, preset_named
from smoltolk.training.recipes.presets import recipe_of_preset
from smoltolk.training.recipes.tree import RunRecipe
from smoltolk.training.systems import size_of, system_named


def positional_recipe(
    text_model: str,
    shards: Path | str,
    out: Path | str,
    *,
    text: Path | str | None = None,
    units: Path | str | None = None,
    system: str = "late",
    preset: str | None = None,
    changes: Changes | None = None,
    device_rows: int | None = None,
    seed: int = 0,
    index: Path | str | None = None,
) -> RunRecipe:
    """The tree that the positional form of ``smoltolk train`` stands for.

    Args:
        text_model, shards, out, text, units, index, seed: as of :class:`~smoltolk.training.recipes.tree.RunRecipe`.
        system: one of :data:`smoltolk.training.systems.SETTINGS`.
        preset: name; None: the one for a text model of this size.
        changes: of the preset.
        device_rows: rows of one forward pass on each device.

    Raises:
        InputError: an unknown name, no such text model, or numbers that cannot be.
    """
    system_named(system)
    chosen = _for_its_size(text_model) if preset is None else preset_named(preset)
    tree = recipe_of_preset(chosen)
    tree = tree.with_recipe((changes or Changes()).apply(tree.recipe()))
    places = {"shards": shards, "text": text, "units": units, "index": index}
    named: dict[str, Any] = {name: str(place) for name, place in places.items() if place is not None}
    return replace(
        tree,
        model=replace(tree.model, text_model=text_model, system=system),
        data=replace(tree.data, **named),
        hardware=replace(tree.hardware, rows_per_device=device_rows),
        seed=seed,
        out=str(out),
    )


def _for_its_size(text_model: str) -> Preset:
    from smoltolk.training.backbone import load_text_config  # torch and transformers come with it

    return preset_for(size_of(load_text_config(text_model)))
