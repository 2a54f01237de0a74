"""From a pretrained text language model to a SmolTolk model."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.hub import hub_id
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.text_models.trials import check_forward, masks_spans, packs_documents

NUM_CONTROL_IDS = 3  # <begin prompt>, <end prompt>, <switch>


def load_text_model(name_or_path: str) -> PreTrainedModel:
    """A text language model by hub id or directory, in float32.

    Raises:
        InputError: nothing loadable is there.
    """
    try:
        return AutoModelForCausalLM.from_pretrained(name_or_path, dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "a text model is a hub id or a directory that transformers' AutoModelForCausalLM can load",
            f"{name_or_path!r}: {first_line(error)}",
            "name a decoder-only language model; for a directory, one written by save_pretrained",
        ) from error


@torch.no_grad()
def add_control_rows(text_model: PreTrainedModel, seed: int = 0) -> int:
    """Append the control ids to the text table, in place; return the first of them.

    The new rows (of an untied head too) are random directions with the table's mean norm, so that they neither
    drown nor drown out what is there.
    """
    first = text_model.get_input_embeddings().weight.shape[0]
    with torch.random.fork_rng(devices=[]):  # it draws rows that are replaced below
        text_model.resize_token_embeddings(first + NUM_CONTROL_IDS, mean_resizing=False)
    generator = torch.Generator().manual_seed(seed)
    tables = [text_model.get_input_embeddings()]
    head = text_model.get_output_embeddings()
    if head is not None and head.weight is not tables[0].weight:
        tables.append(head)
    for table in tables:
        norm = table.weight[:first].norm(dim=-1).mean()
        rows = torch.randn(NUM_CONTROL_IDS, table.weight.shape[1], generator=generator)
        table.weight[first:] = (rows / rows.norm(dim=-1, keepdim=True)).to(table.weight) * norm
    return first


def append_layers(text_model: PreTrainedModel, num_layers: int, seed: int = 0) -> tuple[PreTrainedModel, list[str]]:
    """A copy of the text model with freshly initialised layers behind its last one, before the final norm.

    The early-fusion baseline with equal parameters: what the adapters' layers can do as plain depth.

    Returns:
        The deeper model, and the names of its new parameters.

    Raises:
        InputError: the architecture does not name its layers so that the old ones can be recognised.
    """
    config = copy.deepcopy(text_model.config)
    old_layers = config.num_hidden_layers
    config.num_hidden_layers = old_layers + num_layers
    for name in ("layer_types", "mlp_layer_types", "no_rope_layers"):
        values = getattr(config, name, None)
        if isinstance(values, list):
            setattr(config, name, values + [values[-1]] * num_layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        deeper = AutoModelForCausalLM.from_config(config, dtype=text_model.dtype)
    missing, unexpected = deeper.load_state_dict(text_model.state_dict(), strict=False)
    if unexpected or not missing or not all(_layer_number(name) >= old_layers for name in missing):
        raise InputError(
            "layers can be appended where state names carry the layer's number",
            f"{type(text_model).__name__}: {len(missing)} new names, {len(unexpected)} without a place",
            "leave out the early_plus baseline for this text model",
        )
    return deeper.train(text_model.training), missing


def _layer_number(name: str) -> int:
    return max((int(part) for part in name.split(".") if part.isdigit()), default=-1)


def _names_its_layers(config: PreTrainedConfig) -> bool:
    if getattr(config, "layer_types", None) is None:
        return False
    try:
        copy.deepcopy(config).layer_types = ["full_attention"] * config.num_hidden_layers
    except AttributeError:  # worked out from other settings
        return False
    return True


def smoltolk_config(
    text_model: PreTrainedModel, num_units: int, eos_text_id: int | None, **settings: Any
) -> SmolTolkConfig:
    """The configuration around a text model whose last rows are the control ids.

    Raises:
        InputError: a text model that speech cannot be put around, or a setting that breaks a rule.
    """
    if text_model._is_stateful and not _names_its_layers(text_model.config):
        raise InputError(
            "a text model must be able to have attention layers alone, for these are what adapters are made of",
            f"{type(text_model).__name__} decides by itself what its layers are",
            "use a decoder-only transformer, or a hybrid whose configuration names the type of each layer",
        )
    table, width = text_model.get_input_embeddings().weight.shape
    if width != text_model.config.hidden_size:
        raise InputError(
            "a text model's embeddings must be as wide as its states: speech enters and leaves beside them",
            f"embeddings of {width}, states of {text_model.config.hidden_size}",
            "use a text model without projections around its layers",
        )
    check_forward(text_model)
    if eos_text_id is None:
        eos = text_model.config.eos_token_id
        eos_text_id = eos[0] if isinstance(eos, list) else eos
    if eos_text_id is None:
        raise InputError(
            "the text model must have an end-of-sequence id",
            "its configuration names none",
            "pass eos_text_id, e.g. the tokenizer's eos_token_id",
        )
    text_config = copy.deepcopy(text_model.config)
    text_config.vocab_size, text_config.use_cache = table, True  # trainers switch the cache off and save that
    settings.setdefault("packs_documents", packs_documents(text_model))
    settings.setdefault("masks_spans", masks_spans(text_model))
    settings.setdefault("text_model_name", hub_id(text_model.config.name_or_path))
    begin = table - NUM_CONTROL_IDS
    ids = {"begin_prompt_id": begin, "end_prompt_id": begin + 1, "switch_id": begin + 2, "eos_text_id": eos_text_id}
    return SmolTolkConfig(text_config=text_config, num_units=num_units, speech_offset=table, **ids, **settings)
