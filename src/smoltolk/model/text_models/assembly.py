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
ROWS_MULTIPLE = 64


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
def pad_text_table(text_model: PreTrainedModel) -> int:
    """Pad the text table (and an untied head) to a multiple of 64 rows, in place.

    The rows behind the text model's own are spare: zeros that nothing reads or predicts, there because matrix
    libraries like round numbers and devices can share out such tables.

    Returns:
        How many ids the text model brought: rows of its table before.
    """
    num_ids = text_model.get_input_embeddings().weight.shape[0]
    if num_ids % ROWS_MULTIPLE == 0:
        return num_ids
    with torch.random.fork_rng(devices=[]):  # it draws rows that are replaced below
        text_model.resize_token_embeddings(pad_to_multiple_of=ROWS_MULTIPLE, mean_resizing=False)
    for table in (text_model.get_input_embeddings(), text_model.get_output_embeddings()):
        for values in (getattr(table, "weight", None), getattr(table, "bias", None)):
            if values is not None:
                values[num_ids:] = 0
    return num_ids


def _names_its_layers(config: PreTrainedConfig) -> bool:
    if getattr(config, "layer_types", None) is None:
        return False
    try:
        copy.deepcopy(config).layer_types = ["full_attention"] * config.num_hidden_layers
    except AttributeError:  # worked out from other settings
        return False
    return True


def smoltolk_config(
    text_model: PreTrainedModel, num_text_ids: int, num_units: int, eos_text_id: int | None, **settings: Any
) -> SmolTolkConfig:
    """The configuration around a text model.

    Args:
        text_model: with its padded table, see :func:`pad_text_table`.
        num_text_ids: ids that it brought.
        num_units: K.
        eos_text_id: end of sequence in text; the text model's own if None.
        settings: of :class:`SmolTolkConfig`.

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
    return SmolTolkConfig(
        text_config=text_config,
        num_text_ids=num_text_ids,
        begin_prompt_id=table,
        end_prompt_id=table + 1,
        switch_id=table + 2,
        speech_offset=table + NUM_CONTROL_IDS,
        num_units=num_units,
        eos_text_id=eos_text_id,
        **settings,
    )
