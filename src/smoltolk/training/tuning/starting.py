"""Training goes on from a SmolTolk model, converted or trained, or from a LoRA of one."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json
from smoltolk.inference.lora import Origin, is_lora, merged, open_lora, origin_of
from smoltolk.inference.parts import load_config
from smoltolk.inference.remaking import with_new_units, with_switch
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.positions import longest_row
from smoltolk.training.changes import Changes
from smoltolk.training.recipe import Recipe
from smoltolk.training.tuning.lora import add_lora, has_lora, remembering
from smoltolk.training.tuning.settings import LoraSettings


class UnitKind(Protocol):
    """What units are, as shards and unit tokenizers both say."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def num_units(self) -> int: ...
    @property
    def num_codebooks(self) -> int: ...


class Known(Protocol):
    """What is known of a model to go on with, loaded or not."""

    @property
    def config(self) -> SmolTolkConfig: ...
    @property
    def speech_is_new(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Start:
    """A model to go on with.

    Attributes:
        model: a SmolTolk model, or PEFT's around one.
        origin: how what stands inside a LoRA came to be.
        speech_is_new: its speech part was made anew, for other units than it knew.
        notes: what a user should know of it.
    """

    model: Any
    origin: Origin
    speech_is_new: bool = False
    notes: tuple[str, ...] = ()

    @property
    def system(self) -> str | None:
        """What was built, by the name that its training noted; None: it noted none."""
        known = Path(self.origin.name) / "training.json"
        return read_json(known).get("system") if known.is_file() else None

    @property
    def config(self) -> SmolTolkConfig:
        """The model's."""
        return self.inner.config

    @property
    def inner(self) -> SmolTolkForCausalLM:
        """The SmolTolk model, of a LoRA what stands inside."""
        return self.model.get_base_model() if has_lora(self.model) else self.model


def lora_around(
    model: SmolTolkForCausalLM, text_model: str, settings: dict[str, Any], lora: LoraSettings, seed: int
) -> Any:
    """A LoRA around what ``from_text_model`` has made; its speech part, which is new, trains whole.

    Args:
        model: as it was made.
        text_model: directory or hub id.
        settings: that ``from_text_model`` was given.
        lora: its settings.
        seed: that ``from_text_model`` was given, and of the LoRA.
    """
    origin = Origin(known_name(text_model), settings=settings, seed=seed)
    return add_lora(model, lora, origin, speech_is_new=True, seed=seed)


def check_going_on(start: Start, tokenizer: Sized, recipe: Recipe) -> None:
    """Hold a model to go on with against its tokenizer and its rows.

    Raises:
        InputError: a tokenizer with more ids than its text table has rows, or rows longer than its positions.
    """
    start.config.id_space.check_tokenizer(tokenizer)
    longest = longest_row(start.config.text_config)
    if longest is not None and recipe.row_length > longest:
        raise InputError(
            "a row is no longer than the model has positions",
            f"rows of {recipe.row_length:,} ids, {longest:,} positions",
            f"train on shorter rows (--row-length {longest})",
        )


def is_smoltolk(name: Path | str) -> bool:
    """Whether a directory or a hub id is a SmolTolk model or a LoRA of one; False for whatever else is there or not."""
    try:
        load_config(name)
    except (InputError, FileNotFoundError):
        return False
    return True


def known_name(name: Path | str) -> str:
    """A place as records keep it: directories whole."""
    return str(Path(name).resolve()) if Path(name).exists() else str(name)


def open_start(
    name: Path | str,
    *,
    units: UnitKind | None = None,
    predict_switch: bool = False,
    lora: LoraSettings | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
) -> Start:
    """A model to go on with.

    Args:
        name: directory or hub id of a SmolTolk model, or directory of a LoRA.
        units: that it shall hear and speak; others than it knows: its speech part is made anew. None: its own.
        predict_switch: it shall learn when to change its modality; what it knows of that already it keeps.
        lora: what trains; None: the weights. A LoRA that is gone on from is trained on, by the same settings, or, where
            weights are to train, goes into them first.
        dtype: of the weights; None: as they lie.
        seed: of all that is new.

    Raises:
        NotFoundError, InputError: no such model, a LoRA of other settings, or units of another kind.
    """
    config = load_config(name)
    renew = units is not None and not knows(config, units)
    notes = []
    if is_lora(name) and lora is not None:
        if renew or (predict_switch and not config.predict_switch):
            raise InputError(
                "a LoRA is trained on with the ids that it has",
                f"{name}: other units are asked for, or <switch> for the first time",
                f"smoltolk lora merge {name} OUT, and start from OUT",
            )
        origin, model = origin_of(name)[0], open_lora(name, is_trainable=True, dtype=dtype)
        _check_same(name, model, lora)
        return Start(remembering(model, origin), origin)
    origin = Origin(known_name(name))
    as_they_lie = "auto" if dtype is None else dtype
    model = merged(name, dtype) if is_lora(name) else SmolTolkForCausalLM.from_pretrained(str(name), dtype=as_they_lie)
    if renew and units is not None:
        kind: dict[str, Any] = {
            "num_units": units.num_units,
            "num_codebooks": units.num_codebooks,
            "unit_fingerprint": units.fingerprint,
        }
        model, origin = with_new_units(model, seed=seed, **kind), replace(origin, units=kind, seed=seed)
        notes.append(
            f"the units are others than those of {name}: speech tables, adapters and selector are made anew, its text"
            " model is kept"
        )
    elif units is not None and config.unit_fingerprint is None:
        notes.append(f"{name} does not say of which units it is: these, of the same number, are taken for its own")
        model.config.unit_fingerprint = units.fingerprint
    if predict_switch and not config.predict_switch:
        model, origin = with_switch(model, seed=seed), replace(origin, switch=True, seed=seed)
    if lora is not None:
        model = add_lora(model, lora, origin, speech_is_new=renew, seed=seed)
    return Start(model, origin, renew, tuple(notes))


def going_on(recipe: Recipe, start: Known) -> Recipe:
    """A recipe for what has learned speech already: stages that train the speech part alone are for new ones.

    Their steps are done by the others.
    """
    recipe = replace(recipe, predict_switch=start.config.predict_switch)
    stages = tuple(stage for stage in recipe.stages if stage.trainable == "all")
    if start.speech_is_new or stages in ((), recipe.stages):
        return recipe
    return Changes(steps=recipe.num_steps).apply(replace(recipe, stages=stages))


def knows(config: SmolTolkConfig, units: UnitKind) -> bool:
    """Whether a model is one of these units, or may be."""
    same = (config.num_units, config.num_codebooks) == (units.num_units, units.num_codebooks)
    return same and config.unit_fingerprint in (None, units.fingerprint)


def _check_same(name: Path | str, model: Any, lora: LoraSettings) -> None:
    config = model.peft_config["default"]
    there = (config.r, config.lora_alpha, config.lora_dropout)
    wanted = (lora.r, lora.scale * lora.r, lora.dropout)
    if there != wanted:
        raise InputError(
            "a LoRA is trained on by the settings that it has",
            f"{name} has r={there[0]},alpha={there[1]:g},dropout={there[2]:g}, asked for r={wanted[0]},"
            f"alpha={wanted[1]:g},dropout={wanted[2]:g}",
            f"give those, or smoltolk lora merge {name} OUT, and start from OUT",
        )
