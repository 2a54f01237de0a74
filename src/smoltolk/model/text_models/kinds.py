"""Text models as people have them: what is none, or not yet one, is refused with the way out."""

from __future__ import annotations

import copy

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from smoltolk.common.errors import InputError, first_line
from smoltolk.model.text_models.trials import evaluating

_TRIED = 8  # ids on which the text part of a larger model is compared with the whole


def check_kind(config: PreTrainedConfig, name: str) -> None:
    """Refuse by a configuration alone, before any weight is loaded.

    Args:
        config: of what is to be a text model.
        name: what to call it.

    Raises:
        InputError: it is a SmolTolk model, quantized, an encoder-decoder, or reads ids in every layer.
    """
    if config.model_type == "smoltolk":
        raise InputError(
            "speech is put around a model of text alone",
            f"{name} is a SmolTolk model",
            "name the text model that it was made from",
        )
    if getattr(config, "quantization_config", None) is not None:
        raise InputError(
            "a text model must have weights that can be trained and copied, none that are quantized",
            f"{name} is quantized",
            "name the model that it was quantized from, or save model.dequantize(); a SmolTolk model can be quantized",
        )
    if config.is_encoder_decoder:
        raise InputError(
            "a text model is a decoder alone: speech and text stand in one sequence",
            f"{name} has an encoder",
            "use a decoder-only language model",
        )
    per_layer = getattr(config.get_text_config(decoder=True), "hidden_size_per_layer_input", None)
    if per_layer:
        raise InputError(
            "a text model must take states instead of ids, for speech has no ids of text",
            f"{name} embeds ids anew in every layer (hidden_size_per_layer_input = {per_layer})",
            "use a text model without embeddings per layer, e.g. Gemma 3",
        )


def check_loaded(model: object) -> PreTrainedModel:
    """Refuse what is loaded and no text model by itself; give it back if it is one.

    Raises:
        InputError: as :func:`check_kind`, and for adapters of PEFT, offloaded weights, and models without a text head.
    """
    name = type(model).__name__
    if hasattr(model, "peft_config"):
        raise InputError(
            "speech is put around whole text models: adapters must be merged into one before",
            f"{name} with adapters of PEFT",
            "pass model.merge_and_unload(); new adapters can be put around the SmolTolk model",
        )
    if not isinstance(model, PreTrainedModel):
        raise InputError("a text model is a causal language model of transformers", name, "load one, or name it")
    check_kind(model.config, name)
    if getattr(model, "is_quantized", False) or getattr(model, "hf_quantizer", None) is not None:
        raise InputError(
            "a text model must have weights that can be trained and copied, none that are quantized",
            f"{name} is quantized",
            "load it without quantization_config, or pass model.dequantize(); a SmolTolk model can be quantized",
        )
    if any(parameter.is_meta for parameter in model.parameters()):
        raise InputError(
            "a text model must be in memory, for its weights are copied",
            f"{name} with offloaded weights",
            "load it without device_map; a SmolTolk model can be dispatched and offloaded",
        )
    if model.get_output_embeddings() is None:
        raise InputError(
            "a text model must predict ids",
            f"{name} has no head",
            "load it with AutoModelForCausalLM",
        )
    return model


def merge_advice(name: str) -> InputError:
    """The refusal of a directory that holds adapters of PEFT alone."""
    return InputError(
        "speech is put around whole text models: adapters must be merged into one before",
        f"{name!r} holds adapters of PEFT (adapter_config.json)",
        "save AutoPeftModelForCausalLM.from_pretrained(NAME).merge_and_unload(), with its tokenizer, and name that",
    )


@torch.no_grad()
def text_part(model: PreTrainedModel) -> PreTrainedModel:
    """The text model inside of one that also sees or hears; a text model itself is given back as it is.

    Raises:
        InputError: it is no text model of its own, or computes something else by itself.
    """
    config = model.config.get_text_config(decoder=True)
    if config is model.config:
        return model
    rule = "of a model that also sees or hears, the part that knows text must be a text model of its own"
    fix = "use a text model, or save the part that is one"
    try:
        text = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=model.dtype)
        text.base_model.load_state_dict(model.get_decoder().state_dict())
        text.get_output_embeddings().load_state_dict(model.get_output_embeddings().state_dict())
    except (AttributeError, ImportError, KeyError, RuntimeError, ValueError) as error:
        raise InputError(rule, f"{type(model).__name__}: {first_line(error)}", fix) from error
    text = text.to(model.device).train(model.training)
    text.config.name_or_path = model.config.name_or_path
    ids = torch.arange(_TRIED, device=model.device)[None] % config.vocab_size
    with evaluating(text), evaluating(model):
        found, expected = (part(input_ids=ids, use_cache=False).logits.float() for part in (text, model))
    if (found - expected).norm() > torch.finfo(model.dtype).eps ** 0.5 * expected.norm():
        raise InputError(rule, f"{type(model).__name__}: its text part makes other logits", fix)
    return text
