"""A model's settings in words, for its card and for the verb that converts checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smoltolk.model.configuration import SmolTolkConfig

_MIXES = {
    "last": "none: the last layer alone",
    "static": "static: one weight a layer",
    "dynamic": "dynamic: each position selects among the layers",
}


def describe(config: SmolTolkConfig) -> dict[str, str]:
    """What the configuration says, a name and a phrase each, in the order in which speech passes through the model."""
    text = config.get_text_config()
    named = f"{config.text_model_name} ({text.model_type})" if config.text_model_name else text.model_type
    units = f"{config.num_units:,}"
    if config.num_codebooks > 1:
        units = f"{config.num_codebooks} codebooks of {units}, delays {', '.join(map(str, config.id_space.delays))}"
    if config.unit_fingerprint is not None:
        units += f", fingerprint {config.unit_fingerprint[:16]}"
    mix = _MIXES[config.layer_mix]
    if config.layer_mix_pool == "all":
        mix += ", the input adapter's among them"
    if config.layer_mix_norm:
        mix += ", each brought to root mean square 1"
    return {
        "text model": f"{named}, {text.num_hidden_layers} layers of {text.hidden_size:,}",
        "text ids": f"{config.speech_offset:,}, control ids among them",
        "units": units,
        "speech tables": "tied" if config.tie_speech_embeddings else "one to read, one to predict",
        "input adapter": _adapter(config.num_input_layers, config.input_adapter_size),
        "layer mix": mix,
        "speech residual": "yes" if config.speech_residual else "no",
        "output adapter": _adapter(config.num_output_layers, config.output_adapter_size),
        "modality": "chosen by the model" if config.predict_switch else "chosen by the prompt",
    }


def _adapter(num_layers: int, size: Mapping[str, Any] | None) -> str:
    if not num_layers:
        return "none"
    layers = f"{num_layers} layer" + ("s" if num_layers > 1 else "")
    if not size:
        return f"{layers}, as wide as the text model's"
    return f"{layers} with " + ", ".join(f"{name} {value}" for name, value in size.items())
