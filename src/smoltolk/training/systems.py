"""What can be compared: every system and every ablation, each as settings of one model.

``late`` is the paper's model, whose settings are the defaults of :class:`~smoltolk.model.configuration.SmolTolkConfig`.
Another system is a dictionary of what it sets otherwise. To add one, add its line to :data:`SETTINGS`: then
``train --system`` and every test of all systems know it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smoltolk.common.errors import named

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the settings of a system depend on.

    Attributes:
        num_layers: L, of the text model.
        num_input_layers, num_output_layers: of the paper's adapters.
    """

    num_layers: int
    num_input_layers: int
    num_output_layers: int

    @property
    def num_new_layers(self) -> int:
        """As many layers in the backbone as the adapters have: equal parameters."""
        return self.num_input_layers + self.num_output_layers


def _late(sizes: Sizes) -> Settings:
    return {"num_input_layers": sizes.num_input_layers, "num_output_layers": sizes.num_output_layers}


# Vocabulary expansion is the same model with nothing between the tables and the backbone.
EARLY_FUSION: Settings = {
    "num_input_layers": 0,
    "num_output_layers": 0,
    "layer_mix": "last",
    "speech_residual": False,
}


def _appended(sizes: Sizes) -> Settings:
    return EARLY_FUSION | {"new_layers": list(range(sizes.num_layers, sizes.num_layers + sizes.num_new_layers))}


def _inserted(sizes: Sizes) -> Settings:
    """New layers at even distances, none on top: so the model begins as the text model."""
    new, old = sizes.num_new_layers, sizes.num_layers
    places = [old * (2 * number + 1) // (2 * new) + number for number in range(new)]
    return EARLY_FUSION | {"new_layers": places, "frozen_text_model": True}


def _split_top(sizes: Sizes) -> Settings:
    """Top layers of speech's own, as many as the adapters have, above at least one that both share."""
    top = min(sizes.num_new_layers, sizes.num_layers - 1)
    fixed = {"layer_mix": "fixed", "fission_layer": sizes.num_layers - top}
    return EARLY_FUSION | fixed | {"num_output_layers": top, "copies_top_layers": True}


SETTINGS: dict[str, Callable[[Sizes], Settings]] = {
    "late": _late,
    # The baselines of the quick start: nothing between tables and backbone, and the same with equal parameters.
    "early": lambda sizes: EARLY_FUSION,
    "early_plus": _appended,
    # More baselines: new layers among those of a text model that stays as it is; top layers that each modality has for
    # itself; late fusion whose backbone sees four units as one position.
    "inserted": _inserted,
    "split_top": _split_top,
    "patches": lambda sizes: _late(sizes) | {"patch_size": 4},
    # Ablations: one part of the paper's model alone, and the model without one of its parts.
    "fusion_only": lambda sizes: EARLY_FUSION | {"num_input_layers": sizes.num_input_layers},
    "fission_only": lambda sizes: EARLY_FUSION | {"num_output_layers": sizes.num_output_layers},
    "no_late_fusion": lambda sizes: _late(sizes) | {"num_input_layers": 0},
    "no_late_fission": lambda sizes: _late(sizes) | {"num_output_layers": 0},
    "static_mix": lambda sizes: _late(sizes) | {"layer_mix": "static"},
    "leaning": lambda sizes: _late(sizes) | {"last_layer_lead": 3.0, "entropy_weight": 0.0},
    "last_layer": lambda sizes: _late(sizes) | {"layer_mix": "last"},
    "no_residual": lambda sizes: _late(sizes) | {"speech_residual": False},
}


def settings_of(
    system: str, text_config: PreTrainedConfig, *, num_input_layers: int = 2, num_output_layers: int = 2
) -> Settings:
    """What ``SmolTolkForCausalLM.from_text_model`` is given to make a system.

    Args:
        system: its name.
        text_config: of the text model.
        num_input_layers, num_output_layers: of the paper's adapters.

    Raises:
        InputError: there is no such system.
    """
    sizes = Sizes(text_config.get_text_config().num_hidden_layers, num_input_layers, num_output_layers)
    return dict(SETTINGS[system_named(system)](sizes))


def system_named(name: str) -> str:
    """The name, if there is such a system.

    Raises:
        InputError: there is none.
    """
    named("a system", name, SETTINGS)
    return name


def half_width(text_config: PreTrainedConfig) -> Settings:
    """Adapters of half the backbone's width. The residual adds embeddings to the backbone's states: it must go."""
    text = text_config.get_text_config()
    names = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    size = {name: max(1, getattr(text, name) // 2) for name in names}
    return {"input_adapter_size": size, "output_adapter_size": size, "speech_residual": False}


def num_parameters(model: PreTrainedModel) -> int:
    """Parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def size_of(config: PreTrainedConfig) -> int:
    """Parameters of a text model of that configuration; none is made."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):  # shapes without numbers
        return num_parameters(AutoModelForCausalLM.from_config(config.get_text_config()))
