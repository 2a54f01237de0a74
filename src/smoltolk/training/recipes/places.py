"""Where a run reads and writes, and whether that is there: told before anything large is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from smoltolk.common.errors import InputError, NotFoundError, check_extra
from smoltolk.common.hub import check_place
from smoltolk.common.object_stores import is_remote
from smoltolk.data.shards.parquet import shard_paths
from smoltolk.data.texts.text_documents import check_text_there
from smoltolk.training.recipes.tree import RunRecipe


class Places(NamedTuple):
    """Where a run reads and writes.

    Attributes:
        text_model: hub id or directory; of a SmolTolk model or a LoRA, where training goes on with it.
        shards: directory, here or on an object store.
        out: the model directory.
    """

    text_model: str
    shards: str
    out: Path


def named_places(tree: RunRecipe) -> Places:
    """The places of a run.

    Raises:
        InputError: it does not name one of them.
    """
    start = tree.tuning.start or tree.model.text_model
    places = {"model.text_model": start, "data.shards": tree.data.shards, "out": tree.out}
    missing = [name for name, place in places.items() if not place]
    if missing:
        raise InputError(
            "a run names its text model, its shards and the directory of its model",
            f"nothing for {', '.join(missing)}",
            f"add {' '.join(f'{name}=...' for name in missing)}",
        )
    text_model, shards, out = map(str, places.values())
    return Places(text_model, shards, Path(out))


def planned_model(text_model: str | None) -> str:
    """The text model that a plan is made for.

    Raises:
        InputError: none is named.
        NotFoundError: nothing is there.
    """
    if text_model is None:
        raise InputError(
            "a plan is made for a text model",
            "model.text_model is not set",
            "add model.text_model=NAME, a hub id or directory",
        )
    check_place(text_model, "a text model", owned=False)
    return text_model


def check_planned(tree: RunRecipe) -> None:
    """Refuse a plan of a run without a text model; of the other places it takes those that are there.

    Raises:
        InputError: it names none.
        NotFoundError: nothing is there.
    """
    planned_model(tree.tuning.start or tree.model.text_model)


def check_there(tree: RunRecipe) -> None:
    """Refuse a run that names places where nothing is, or asks for extras that are not installed.

    What lies in the places is looked at by the training itself.

    Raises:
        InputError: it does not name one that it needs.
        NotFoundError: nothing is there.
        MissingExtraError: a logger or LoRA is not installed.
    """
    places = named_places(tree)
    check_place(places.text_model, "a text model", owned=False)
    for shards in (places.shards, tree.logging.held_out):
        if shards is not None and not is_remote(shards):
            shard_paths(shards)
    if tree.data.text is not None and not is_remote(tree.data.text):
        check_text_there(tree.data.text)
    for what, place in (("units", tree.data.units), ("a vocoder", tree.logging.vocoder)):
        if place is not None and not place.startswith("hf:") and not Path(place).is_dir():
            raise NotFoundError(f"{what} must exist", f"no directory {place}", "check the path")
    for logger in tree.logging.written_to:
        if logger != "tensorboard":  # the default: where it is not installed, the log alone is written
            check_extra(logger, f"the logger {logger}")
    if tree.tuning.lora is not None:
        check_extra("peft", "LoRA")
