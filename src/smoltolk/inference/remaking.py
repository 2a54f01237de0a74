"""A SmolTolk model with other settings: what stays the same keeps its weights, the rest is made anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.late_fission import copy_top_layers
from smoltolk.model.modeling import SmolTolkForCausalLM

_KEPT_FOR_NEW_UNITS = ("backbone.", "control_embed.")  # text, and what stands between the modalities


def with_new_units(
    model: SmolTolkForCausalLM, *, num_units: int, num_codebooks: int = 1, unit_fingerprint: str | None, seed: int
) -> SmolTolkForCausalLM:
    """The same text model for other units: speech tables, adapters and selector are made anew.

    Args:
        model: left as it is.
        num_units, num_codebooks, unit_fingerprint: of the new units.
        seed: of what is new.
    """
    changes: dict[str, Any] = {
        "num_units": num_units,
        "num_codebooks": num_codebooks,
        "unit_fingerprint": unit_fingerprint,
        "codebook_delays": None,
        "codebook_weights": None,
    }
    made = _remade(model, changes, seed, lambda name: name.startswith(_KEPT_FOR_NEW_UNITS))
    if made.config.copies_top_layers:
        copy_top_layers(made.backbone, made.late_fission.adapter)
    return made


def with_switch(model: SmolTolkForCausalLM, *, seed: int) -> SmolTolkForCausalLM:
    """The same model that can also learn when to change its modality; all that it knows stays.

    Args:
        model: left as it is.
        seed: of the columns for ``<switch>``.
    """
    return _remade(model, {"predict_switch": True}, seed, lambda name: True)


@torch.no_grad()
def _remade(
    model: SmolTolkForCausalLM, changes: dict[str, Any], seed: int, keep: Callable[[str], bool]
) -> SmolTolkForCausalLM:
    config = SmolTolkConfig.from_dict(model.config.to_dict() | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = SmolTolkForCausalLM(config)
    old = dict(model.named_parameters())
    for name, parameter in made.named_parameters():
        if name in old and old[name].shape == parameter.shape:
            parameter.data = parameter.data.to(old[name].dtype)
            if keep(name):
                parameter.copy_(old[name])
    made.config.name_or_path = model.config.name_or_path
    return made.train(model.training)
