"""LoRA by PEFT around a SmolTolk model: where its matrices stand, what trains, and how it is saved."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from smoltolk.common.errors import InputError, require
from smoltolk.inference.lora import Origin, without_notes, write_origin
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.layers import layer_parameter_names
from smoltolk.training.tuning.settings import BACKBONE, SPEECH, LoraSettings

_SPEECH_LAYERS = ("late_fusion.", "late_fission.", "layer_mix.")
_LINEAR = (nn.Linear, Conv1D)
_MARKS = (".lora_", ".modules_to_save.")
_INNER = "base_model.model."


def has_lora(model: nn.Module) -> bool:
    """Whether PEFT stands around a model."""
    return hasattr(model, "peft_config")


def add_lora(
    model: SmolTolkForCausalLM, settings: LoraSettings, origin: Origin, *, speech_is_new: bool = False, seed: int = 0
) -> Any:
    """A LoRA around a model, which it leaves as it was until it trains.

    Args:
        model: becomes part of it.
        settings: of the LoRA.
        origin: how the model came to be, for whoever loads the LoRA.
        speech_is_new: the speech part has learned nothing yet: it trains whole, unless the settings say otherwise.
        seed: of its matrices.

    Raises:
        MissingExtraError: PEFT is not installed.
        InputError: a name that is no module, or matrices beside what never trains.
    """
    peft = require("peft", "LoRA")
    whole = _whole(model, settings.whole if settings.whole is not None else (SPEECH,) * speech_is_new)
    targets = [name for name in _targets(model, settings.targets) if not _inside(name, whole)]
    if not targets:
        raise InputError(
            "a LoRA stands beside layers that do not train whole",
            f"targets {', '.join(settings.targets)}, whole {', '.join(whole)}",
            "add backbone to its targets, or train less of it whole",
        )
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.r,
        lora_alpha=settings.scale * settings.r,
        lora_dropout=settings.dropout,
        target_modules=targets,
        modules_to_save=whole or None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with without_notes():
            found = peft.get_peft_model(model, config)
    return remembering(found, origin)


def remembering(model: Any, origin: Origin) -> Any:
    """PEFT's model, which saves beside its LoRA what it belongs to."""
    model.peft_config["default"].base_model_name_or_path = origin.name
    plain = model.save_pretrained

    def save_pretrained(self: Any, save_directory: Path | str, *args: Any, **kwargs: Any) -> None:
        # Not a reference beside it, and no look at what the tables of the origin were.
        own = {"selected_adapters": ["default"], "save_embedding_layers": False}
        plain(str(save_directory), *args, **(own | kwargs))
        if Path(save_directory).is_dir():  # of several processes one writes
            write_origin(Path(save_directory), origin, self)

    model.save_pretrained = types.MethodType(save_pretrained, model)
    return model


def lora_parameters(model: Any, everything: bool = True) -> dict[str, nn.Parameter]:
    """What a stage trains of a model with a LoRA, by name.

    Args:
        model: of PEFT.
        everything: False: of the speech part alone.
    """
    base = model.get_base_model()
    new = {f"backbone.{name}" for name in layer_parameter_names(base.backbone, base.config.new_layers or ())}
    new_layers = {name.rpartition(".layers.")[2].partition(".")[0] for name in new}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if any(mark in name for mark in _MARKS) and (everything or _is_speech(name.removeprefix(_INNER), new_layers))
    }


def load_lora_weights(model: Any, directory: Path) -> None:
    """Bring the weights of a saved LoRA into the same LoRA."""
    peft_utils = require("peft.utils", "LoRA")
    from safetensors.torch import load_file

    peft_utils.set_peft_model_state_dict(model, load_file(directory / "adapter_model.safetensors"))


def _is_speech(name: str, new_layers: set[str]) -> bool:
    return not name.startswith("backbone.") or name.rpartition(".layers.")[2].partition(".")[0] in new_layers


def _inside(name: str, modules: list[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in modules)


def _targets(model: SmolTolkForCausalLM, wanted: tuple[str, ...]) -> list[str]:
    modules = dict(model.named_modules())
    linear = [name for name, module in modules.items() if isinstance(module, _LINEAR)]
    decoder = next(name for name, module in modules.items() if module is model.backbone.base_model)
    found: dict[str, None] = {}
    for one in wanted:
        if one == BACKBONE:
            names = [name for name in linear if name.startswith(f"{decoder}.")]
        elif one == SPEECH:
            names = [name for name in linear if name.startswith(_SPEECH_LAYERS)]
        else:
            names = [
                name
                for name, module in modules.items()
                if (name == one or name.endswith(f".{one}")) and isinstance(module, (*_LINEAR, nn.Embedding))
            ]
            if not names:
                raise _no_module(one, "a linear layer or a table", [*linear, "units.embed"])
            if tied := [name for name in names if name in _tied(modules)]:
                raise InputError(
                    "a LoRA goes into weights that one layer alone has: what is added to one would be added to both",
                    f"{', '.join(tied)} has those of another layer",
                    "take others, or train it whole (whole=...), in a copy",
                )
        if model.config.frozen_text_model and any(name.startswith("backbone.") for name in names):
            raise InputError(
                "what the text model brought never trains in this model (frozen_text_model)",
                f"a LoRA with targets={one}",
                "set targets=speech",
            )
        found |= dict.fromkeys(names)
    return list(found)


def _tied(modules: dict[str, nn.Module]) -> set[str]:
    """Names of the modules that share a weight with another one."""
    owners: dict[int, list[str]] = {}
    for name, module in modules.items():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    return {name for names in owners.values() if len(names) > 1 for name in names}


def _whole(model: SmolTolkForCausalLM, wanted: tuple[str, ...]) -> list[str]:
    modules = dict(model.named_modules())
    found: dict[str, None] = {}
    for one in wanted:
        if one == SPEECH:
            parts = [name for name, part in model.named_children() if next(part.parameters(), None) is not None]
            names = [name for name in parts if name != "backbone"]
            layers = layer_parameter_names(model.backbone, model.config.new_layers or ())
            names += [f"backbone.{name}" for name in dict.fromkeys(_layer_of(layer) for layer in layers)]
        else:
            names = [name for name in modules if name == one or name.endswith(f".{one}")]
            if not names or one == BACKBONE:
                raise _no_module(one, "speech or a module other than the text model", [n for n in modules if n])
        found |= dict.fromkeys(names)
    return list(found)


def _layer_of(parameter: str) -> str:
    """``model.layers.4.mlp.up_proj.weight`` -> ``model.layers.4``: the module in the list of layers."""
    parts = parameter.split(".")
    number = next(place for place, part in enumerate(parts) if part.isdigit())
    return ".".join(parts[: number + 1])


def _no_module(name: str, kind: str, there: list[str]) -> InputError:
    some = ", ".join(list(dict.fromkeys(one.rpartition(".")[2] for one in there))[:12])
    return InputError(
        f"a LoRA names {kind} of the model", repr(name), f"take backbone, speech, or the end of a name: {some}"
    )
