"""LoRA of a SmolTolk model on disk: found with the model that it belongs to, merged into it, taken out again.

::

    DIR/adapter_config.json, adapter_model.safetensors   as PEFT writes them
    DIR/config.json, tokenizer files                     of the model with it, by which parts are held against it
    DIR/start.json                                       which weights it stands beside
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from smoltolk.common.errors import InputError, NotFoundError, first_line, require
from smoltolk.common.files import read_json, write_json
from smoltolk.inference.remaking import with_new_units, with_switch
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.modeling import SmolTolkForCausalLM

START = "start.json"
_ADAPTER, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_FAR = 4  # directories
_SAMPLED = 32  # values at each end of a parameter, to know weights by


@dataclass(frozen=True, slots=True)
class Origin:
    """Which weights a LoRA stands beside.

    Attributes:
        name: directory or hub id of a SmolTolk model, or of a text model.
        settings: of ``from_text_model``, where it is a text model; None: a SmolTolk model.
        units: new ones for which its speech part was made anew: ``num_units``, ``num_codebooks``, ``unit_fingerprint``.
        switch: whether it learned to predict ``<switch>``.
        seed: of what was made anew.
    """

    name: str
    settings: dict[str, Any] | None = None
    units: dict[str, Any] | None = None
    switch: bool = False
    seed: int = 0

    def build(self, dtype: torch.dtype | None = None) -> SmolTolkForCausalLM:
        """The model, on the CPU.

        Args:
            dtype: of the weights; None: as they lie, of a text model float32.
        """
        if self.settings is not None:
            return SmolTolkForCausalLM.from_text_model(self.name, seed=self.seed, dtype=dtype, **self.settings)
        model = SmolTolkForCausalLM.from_pretrained(self.name, dtype="auto" if dtype is None else dtype)
        if self.units is not None:
            model = with_new_units(model, seed=self.seed, **self.units)
        return with_switch(model, seed=self.seed) if self.switch else model


def is_lora(name: Path | str) -> bool:
    """Whether a directory holds a LoRA of a SmolTolk model, as :func:`write_origin` completes it."""
    return (Path(name) / _ADAPTER).is_file() and (Path(name) / START).is_file()


def write_origin(directory: Path, origin: Origin, model: Any) -> None:
    """Complete what PEFT has saved.

    Args:
        directory: with PEFT's files.
        origin: of the model without the LoRA.
        model: PEFT's, of that model.
    """
    write_json(directory / START, asdict(origin) | {"digest": digest_of_weights(model)})
    model.get_base_model().config.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)  # PEFT's form to be filled in


def open_lora(directory: Path | str, *, is_trainable: bool = False, dtype: torch.dtype | None = None) -> Any:
    """A LoRA around its model, as a model of PEFT.

    Args:
        directory: of the LoRA.
        is_trainable: it is trained on.
        dtype: of the model's weights, see :meth:`Origin.build`.

    Raises:
        MissingExtraError: PEFT is not installed.
        NotFoundError, InputError: the model that it belongs to is not there, or is another one.
    """
    directory = Path(directory)
    origin, digest = origin_of(directory)
    model = beside(directory, origin.build(dtype), is_trainable=is_trainable)
    if digest_of_weights(model) != digest:
        raise InputError(
            "a LoRA belongs to the weights that it was trained beside",
            f"{origin.name} has other weights by now",
            "name the LoRA of these weights, or bring the old ones back",
        )
    return model


def origin_of(directory: Path | str) -> tuple[Origin, str]:
    """Which weights a LoRA stands beside, and their digest.

    Raises:
        NotFoundError: they are not where they were, nor beside the LoRA or above it.
    """
    record = read_json(Path(directory) / START)
    digest = record.pop("digest")
    name = record["name"]
    if Path(name).is_absolute() and not Path(name).is_dir():
        record["name"] = str(_moved(Path(name), Path(directory).absolute()))
    return Origin(**record), digest


def _moved(place: Path, directory: Path) -> Path:
    """Where a model lies that was moved together with its LoRA: by the end of its path, seen from those above it."""
    for above in list(directory.parents)[:_FAR]:
        for length in range(1, _FAR):
            found = above.joinpath(*place.parts[-length:])
            if (found / "config.json").is_file():
                return found
    raise NotFoundError(
        "a LoRA is used with the model that it belongs to",
        f"no directory {place}, nor one called {place.name} beside {directory} or above it",
        "put the model there",
    )


def beside(directory: Path | str, model: SmolTolkForCausalLM, *, is_trainable: bool = False) -> Any:
    """The LoRA of a directory around a model that is at hand.

    Raises:
        InputError: weights of other shapes or names, or none.
    """
    peft = require("peft", "LoRA")
    if not (Path(directory) / _WEIGHTS).is_file():
        raise InputError("the weights of a LoRA are safetensors", f"no {_WEIGHTS} in {directory}", "save it again")
    try:
        with without_notes():
            return peft.PeftModel.from_pretrained(model, str(directory), is_trainable=is_trainable)
    except (RuntimeError, ValueError, SafetensorError) as error:
        raise InputError(
            "a LoRA fits the model that it was trained beside",
            f"{directory}: {first_line(error)}",
            "name its own model",
        ) from error


@contextmanager
def without_notes() -> Iterator[None]:
    """A block in which PEFT says nothing of what nobody could do anything about: that it asks transformers by a name
    which will go, and that it settles itself which way round a layer has its weights."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set", category=UserWarning)
        yield


def merged(directory: Path | str, dtype: torch.dtype | None = None) -> SmolTolkForCausalLM:
    """The model of a LoRA with the LoRA in its weights; as :func:`open_lora`."""
    return open_lora(directory, dtype=dtype).merge_and_unload()


@torch.no_grad()
def unmerged(model: SmolTolkForCausalLM, directory: Path | str) -> SmolTolkForCausalLM:
    """A model in whose weights a LoRA lies, without it; up to rounding what :func:`merged` began with.

    Args:
        model: changed in place.
        directory: of the LoRA.

    Raises:
        InputError: modules were trained whole: what they were before is not known from the two.
    """
    peft_model = beside(directory, model)
    whole = peft_model.peft_config["default"].modules_to_save
    if whole:
        raise InputError(
            "a LoRA can be taken out where it was added",
            f"{', '.join(whole)} trained whole",
            f"take the model that it was trained beside: {origin_of(directory)[0].name}",
        )
    for layer in peft_model.modules():
        if hasattr(layer, "get_delta_weight") and hasattr(layer, "lora_A"):
            weight = layer.get_base_layer().weight
            weight -= layer.get_delta_weight("default").to(weight.dtype)
    return peft_model.unload()


def digest_of_weights(model: nn.Module) -> str:
    """What weights are known by: the ends of every parameter, those of a LoRA left out."""
    digest = hashlib.blake2b(digest_size=16)
    named = {
        name.removeprefix("base_model.model.").replace(".base_layer", "").replace(".original_module", ""): parameter
        for name, parameter in model.named_parameters()
        if "lora_" not in name and ".modules_to_save." not in name
    }
    for name in sorted(named):
        values = named[name].detach().flatten()
        # Rounded, so that weights of one precision know those of another.
        ends = torch.cat([values[:_SAMPLED], values[-_SAMPLED:]]).bfloat16().float().cpu()
        digest.update(f"{name} {list(named[name].shape)}".encode())
        digest.update(ends.numpy().tobytes())
    return digest.hexdigest()


def lora_config(directory: Path | str) -> SmolTolkConfig:
    """The configuration of the model with the LoRA, without loading either."""
    return SmolTolkConfig.from_pretrained(str(directory))
