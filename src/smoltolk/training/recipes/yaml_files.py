"""Recipes as YAML, for reading by eye and by ``smoltolk train run.yaml``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smoltolk.common.errors import InputError, NotFoundError, first_line
from smoltolk.training.recipes.tree import RunRecipe

RECIPE_FILE = "recipe.yaml"  # the resolved recipe, beside the model that it made


def to_yaml(recipe: RunRecipe) -> str:
    """A recipe with every setting that it has; :func:`read_yaml` gives it back."""
    return yaml.safe_dump(plain_recipe(recipe), sort_keys=False, default_flow_style=None, width=120)


def plain_recipe(recipe: RunRecipe) -> dict[str, Any]:
    """A recipe as JSON would give it back."""
    return json.loads(json.dumps(asdict(recipe)))


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The plain values of a YAML file, ``${data.shards}`` standing for another value of it.

    Raises:
        NotFoundError: no such file.
        InputError: no YAML, or no mapping of settings.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("a recipe is a YAML file that exists", f"no file {path}", "check the path")
    try:
        read = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise InputError("a recipe is written in YAML", f"{path}: {first_line(error)}", "correct the file") from error
    if not isinstance(read, dict):
        raise InputError("a recipe has settings by name", f"{path} holds a list", "write e.g. `base: smoltolk-400m`")
    return {str(name): value for name, value in read.items()}
