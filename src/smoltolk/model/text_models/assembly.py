"""From a pretrained text language model to a SmolTolk model."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import find_adapter_config_file

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.hub import hub_id
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.text_models.kinds import check_kind, check_loaded, merge_advice, text_part
from smoltolk.model.text_models.layers import attention_layers, layer_wise
from smoltolk.model.text_models.trials import check_text_model, masks_spans, packs_documents, trial_adapter

NUM_CONTROL_IDS = 3  # <begin prompt>, <end prompt>, <switch>
ROWS_MULTIPLE = 64


def load_text_model(name_or_path: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A text language model by hub id or directory; of a model that also sees, its text part.

    Args:
        name_or_path: of a directory of transformers, or of the hub.
        dtype: of its weights.

    Raises:
        InputError: nothing loadable is there, or nothing that speech can be put around: see
            :mod:`smoltolk.model.text_models.kinds`.
    """
    try:
        if find_adapter_config_file(name_or_path) is not None:
            raise merge_advice(name_or_path)
        check_kind(AutoConfig.from_pretrained(name_or_path), repr(name_or_path))
        model = AutoModelForCausalLM.from_pretrained(name_or_path, dtype=dtype)
    except (OSError, ValueError, KeyError, ImportError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "a text model is a hub id or a directory that transformers' AutoModelForCausalLM can load",
            f"{name_or_path!r}: {first_line(error)}",
            "name a decoder-only language model; for a directory, one written by save_pretrained",
        ) from error
    return text_part(check_loaded(model))


def own_text_model(
    text_model: str | PreTrainedModel, *, dtype: torch.dtype | None = None, keep: bool = True
) -> PreTrainedModel:
    """A text model that may be changed: loaded by its name, or a copy of one that is loaded; tried out.

    Args:
        text_model: name, or a loaded one.
        dtype: of its weights; None: that of a loaded one, else float32.
        keep: copy a loaded one.

    Raises:
        InputError: as :func:`load_text_model` and :func:`tried_text_model`.
    """
    if isinstance(text_model, str):
        return tried_text_model(load_text_model(text_model, dtype or torch.float32))
    own = tried_text_model(text_model)
    if own is text_model and keep:
        own = copy.deepcopy(text_model)
    return own if dtype is None else own.to(dtype)


def tried_text_model(text_model: PreTrainedModel) -> PreTrainedModel:
    """A loaded text model, or the text part of one, after it was tried out; nothing is copied or changed.

    Raises:
        InputError: something in it does not work: see :mod:`smoltolk.model.text_models.trials`.
    """
    own = text_part(check_loaded(text_model))
    if own._is_stateful and not layer_wise(own.config).keys() & {"layer_types", "layers_block_type"}:
        raise InputError(
            "a text model must be able to have attention layers alone, for these are what adapters are made of",
            f"{type(own).__name__} decides by itself what its layers are",
            "use a decoder-only transformer, or a hybrid whose configuration names the type of each layer",
        )
    attention_layers(own.config)
    check_text_model(own)
    return own


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


def smoltolk_config(
    text_model: PreTrainedModel, num_text_ids: int, num_units: int, eos_text_id: int | None, **settings: Any
) -> SmolTolkConfig:
    """The configuration around a text model.

    Args:
        text_model: one's own, tried (see :func:`own_text_model`), with its padded table (:func:`pad_text_table`).
        num_text_ids: ids that it brought.
        num_units: K.
        eos_text_id: end of sequence in text; the text model's own if None.
        settings: of :class:`SmolTolkConfig`.

    Raises:
        InputError: a text model of whose blocks no adapter can be made, or a setting that breaks a rule.
    """
    if eos_text_id is None:
        eos = text_model.config.eos_token_id
        eos_text_id = eos[0] if isinstance(eos, list) else eos
    if eos_text_id is None:
        raise InputError(
            "the text model must have an end-of-sequence id",
            "its configuration names none",
            "pass eos_text_id, e.g. the tokenizer's eos_token_id",
        )
    table = text_model.get_input_embeddings().weight.shape[0]
    text_config = copy.deepcopy(text_model.config)
    text_config.vocab_size, text_config.use_cache = table, True  # trainers switch the cache off and save that
    settings.setdefault("packs_documents", packs_documents(text_model))
    settings.setdefault("text_model_name", hub_id(text_model.config.name_or_path))
    config = SmolTolkConfig(
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
    if config.num_input_layers or config.num_output_layers:
        adapter = trial_adapter(text_model, text_config)
        config.masks_spans = settings.get("masks_spans", masks_spans(adapter))
    return config
