"""Models of a recipe without their numbers: at full size, in no memory."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from transformers import LlamaConfig, PreTrainedConfig

from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import NUM_CONTROL_IDS, ROWS_MULTIPLE
from smoltolk.model.text_models.layers import layer_wise
from smoltolk.training.backbone import load_text_config
from smoltolk.training.optimization import groups_of
from smoltolk.training.recipe import GROUPS
from smoltolk.training.recipes.places import planned_model
from smoltolk.training.recipes.tree import ModelSettings

NUM_UNITS = 500  # of the published models, where no shards tell


def _smollm(width: int, feed_forward: int, layers: int, heads: int, key_value_heads: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=49_152,
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        rms_norm_eps=1e-5,
    )


# The text models of the presets, whose shapes are known without the hub.
KNOWN = {
    "HuggingFaceTB/SmolLM-135M": _smollm(576, 1536, 30, 9, 3),
    "HuggingFaceTB/SmolLM-360M": _smollm(960, 2560, 32, 15, 5),
    "HuggingFaceTB/SmolLM-1.7B": _smollm(2048, 8192, 24, 32, 32),
}


def text_config_of(text_model: str | None) -> PreTrainedConfig:
    """The configuration of a text model, that of a preset's without asking the hub.

    Raises:
        InputError: none is named, or nothing loadable is there.
    """
    name = planned_model(text_model)
    known = KNOWN.get(name)
    return load_text_config(name) if known is None else copy.deepcopy(known)


def model_config(
    model: ModelSettings, text_config: PreTrainedConfig, *, num_units: int = NUM_UNITS, num_codebooks: int = 1
) -> SmolTolkConfig:
    """The configuration that training would give a model, without trying the text model out.

    Args:
        model: what is built.
        text_config: of the text model.
        num_units, num_codebooks: of the units.

    Raises:
        InputError: a setting that breaks a rule.
    """
    settings = model.settings(text_config)
    text = copy.deepcopy(text_config.get_text_config())
    num_ids = text.vocab_size
    text.vocab_size = -(-num_ids // ROWS_MULTIPLE) * ROWS_MULTIPLE
    new = len(settings.get("new_layers") or ())
    for name, values in layer_wise(text).items():
        setattr(text, name, [*values, *[values[-1]] * new])
    text.num_hidden_layers += new
    eos = text.eos_token_id
    return SmolTolkConfig(
        text_config=text,
        num_text_ids=num_ids,
        begin_prompt_id=text.vocab_size,
        end_prompt_id=text.vocab_size + 1,
        switch_id=text.vocab_size + 2,
        speech_offset=text.vocab_size + NUM_CONTROL_IDS,
        num_units=num_units,
        num_codebooks=num_codebooks,
        eos_text_id=(eos[0] if isinstance(eos, list) else eos) or 0,
        predict_switch=model.predict_switch,
        **settings,
    )


def shapes_of(config: SmolTolkConfig) -> SmolTolkForCausalLM:
    """A model on the meta device: shapes without numbers."""
    with torch.device("meta"):
        return SmolTolkForCausalLM(config)


def parameters_by_group(model: SmolTolkForCausalLM) -> dict[str, int]:
    """How many parameters each group has, shared ones once; see :data:`smoltolk.training.recipe.Group`."""
    groups, counts = groups_of(model), Counter(dict.fromkeys(GROUPS, 0))
    for name, parameter in model.named_parameters():
        counts[groups[name]] += parameter.numel()
    return {str(group): count for group, count in counts.items()}
