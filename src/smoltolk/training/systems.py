"""The three systems that the comparison needs: late fusion, early fusion, and early fusion with equal parameters."""

from __future__ import annotations

from typing import Any, Literal

from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM

System = Literal["late", "early", "early_plus"]
SYSTEMS: tuple[System, ...] = ("late", "early", "early_plus")
# Vocabulary expansion is the same model with nothing between the tables and the backbone.
EARLY_FUSION: dict[str, Any] = {
    "num_input_layers": 0,
    "num_output_layers": 0,
    "layer_mix": "last",
    "speech_residual": False,
}


def build_system(
    name: System,
    text_model: PreTrainedModel,
    *,
    num_units: int,
    eos_text_id: int,
    num_input_layers: int = 2,
    num_output_layers: int = 2,
    num_codebooks: int = 1,
    unit_fingerprint: str | None = None,
    seed: int = 0,
) -> tuple[SmolTolkForCausalLM, set[str]]:
    """Build one system on a text model.

    Args:
        name: ``late``: input adapter, dynamic selector with residual, output adapter. ``early``: unit tables alone.
            ``early_plus``: as many layers appended to the backbone as the adapters of ``late`` have.
        text_model: the backbone; left as it is.
        num_units: K.
        eos_text_id: end of sequence in text.
        num_input_layers, num_output_layers: of ``late``'s adapters.
        num_codebooks: Q, units of a frame.
        unit_fingerprint: of the units, for the model's configuration.
        seed: of the new parameters.

    Returns:
        The model, and the names of the parameters that stage 1 trains.

    Raises:
        InputError: an unknown system.
    """
    system_named(name)
    common: Any = {
        "num_units": num_units, "num_codebooks": num_codebooks, "unit_fingerprint": unit_fingerprint,
        "eos_text_id": eos_text_id, "seed": seed,
    }  # fmt: skip
    if name == "late":
        adapters = {"num_input_layers": num_input_layers, "num_output_layers": num_output_layers}
        model = SmolTolkForCausalLM.from_text_model(text_model, **common, **adapters)
        return model, set(model.speech_parameters())
    if name == "early_plus":
        first = text_model.config.num_hidden_layers
        common["new_layers"] = [*range(first, first + num_input_layers + num_output_layers)]
    model = SmolTolkForCausalLM.from_text_model(text_model, **common, **EARLY_FUSION)
    return model, set(model.speech_parameters())


def system_named(name: str) -> System:
    """The system of that name.

    Raises:
        InputError: there is none.
    """
    for system in SYSTEMS:
        if system == name:
            return system
    raise InputError(f"a system is one of {', '.join(SYSTEMS)}", repr(name), "choose one of them")


def num_parameters(model: PreTrainedModel) -> int:
    """Parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
