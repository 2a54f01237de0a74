"""A tiny model of any architecture of transformers, by shrinking its configuration: no list of names."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

NUM_LAYERS, NUM_IDS, NUM_POSITIONS, WIDTH = 3, 61, 128, 32
_LARGEST = 3_000_000  # parameters; what is still larger could not be shrunk
# Fields that say how large a part is, by the names that architectures give them.
_SIZES: dict[str, Any] = {
    "vocab_size": NUM_IDS, "vocab_size_per_layer_input": NUM_IDS, "hidden_size": WIDTH, "d_model": WIDTH,
    "embedding_dim": WIDTH, "embedding_size": WIDTH, "input_embedding_size": WIDTH, "attention_hidden_size": 2 * WIDTH,
    "intermediate_size": 48, "ffn_dim": 48, "d_inner": 48, "ffn_hidden_size": 48, "dim_ff": 48, "mlp_dim": 48,
    "decoder_ffn_dim": 48, "encoder_ffn_dim": 48, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
    "shared_intermediate_size": 16, "expert_ffn_hidden_size": 16, "shared_experts_intermediate_size": 16,
    "num_hidden_layers": NUM_LAYERS, "num_blocks": NUM_LAYERS, "decoder_layers": NUM_LAYERS,
    "encoder_layers": NUM_LAYERS, "num_decoder_layers": NUM_LAYERS, "num_encoder_layers": NUM_LAYERS,
    "depth": NUM_LAYERS, "num_attention_heads": 4, "decoder_attention_heads": 4, "encoder_attention_heads": 4,
    "num_decoder_attention_heads": 4, "num_encoder_attention_heads": 4, "num_key_value_heads": 2, "num_kv_heads": 2,
    "swa_num_attention_heads": 4, "swa_num_key_value_heads": 2, "kv_channels": 8,
    "max_position_embeddings": NUM_POSITIONS, "head_dim": 8, "dim_head": 8, "d_head": 8, "global_head_dim": 8,
    "swa_head_dim": 8, "swa_v_head_dim": 8, "v_head_dim": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
    "rotary_dim": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "o_lora_rank": 8, "index_head_dim": 8, "index_n_heads": 2,
    "index_topk": 64, "sliding_window": 5, "local_attention": 10, "window_size": 5, "attention_chunk_size": 64,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
    "zero_expert_num": 2, "num_dense_layers": 1, "router_hidden_size": 8, "n_group": 1, "topk_group": 1,
    "num_expert_group": 1, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1,
    "mamba_expand": 2, "mamba_dt_rank": 4, "mamba_num_heads": 4, "mamba_head_dim": 16, "n_mamba_heads": 2,
    "mamba_headdim": 32, "state_size": 8, "ssm_state_size": 8, "time_step_rank": 4, "lru_width": WIDTH,
    "linear_head_dim": 8, "linear_num_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "linear_num_key_heads": 2, "linear_num_value_heads": 2, "hidden_size_per_layer_input": 8, "laurel_rank": 8,
    "num_kv_shared_layers": 0, "hybrid_layer_ids": [1], "attention_types": [[["global", "local", "global"], 1]],
    "n_groups": 1, "mamba_d_ssm": 64,
    "image_size": 28, "patch_size": 14, "num_channels": 3, "num_mel_bins": 8, "out_hidden_size": WIDTH,
    "projection_dim": WIDTH, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
_KINDS = ("layer_types", "mlp_layer_types", "layers_block_type", "indexer_types")


def causal_architectures() -> list[str]:
    """Every model type that AutoModelForCausalLM knows."""
    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_config(architecture: str, **changes: Any) -> PreTrainedConfig:
    """The default configuration of an architecture, small, with layers of each kind that it has."""
    return _shrunk(CONFIG_MAPPING[architecture], changes)


def tiny_text_model(architecture: str, **changes: Any) -> PreTrainedModel:
    """A random model of that architecture, so rough that every part shows.

    Raises:
        NotImplementedError: the architecture has more sizes than are known here.
    """
    config = tiny_config(architecture, **changes)
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(config).parameters())
    if size > _LARGEST:
        raise NotImplementedError(f"{architecture} still has {size} parameters")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    roughen(model)
    return model.eval()


def known_config(architecture: str) -> PreTrainedConfig | None:
    """As :func:`tiny_config`; None where transformers itself makes none."""
    try:
        return tiny_config(architecture)
    except Exception:  # noqa: BLE001 -- as in running_text_model
        return None


def running_text_model(architecture: str, **changes: Any) -> PreTrainedModel | None:
    """As :func:`tiny_text_model`; None where transformers itself builds or runs no such model, whatever the reason."""
    try:
        model = tiny_text_model(architecture, **changes)
        with torch.no_grad():
            logits = model(input_ids=torch.arange(2, 9)[None], use_cache=False).logits
    except Exception:  # noqa: BLE001 -- other people's code, which is only probed here
        return None
    return model if logits.isfinite().all() else None


@torch.no_grad()
def roughen(model: torch.nn.Module, seed: int = 0) -> None:
    """Weights large enough that every part shows in the output, and no norm or bias at its neutral value."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.add_(noise * (0.06 if parameter.ndim > 1 else 0.1))


def fields_of(config_class: type[PreTrainedConfig]) -> set[str]:
    """The names that a configuration is given settings by."""
    return {field.name for field in dataclasses.fields(config_class)} | set(config_class.attribute_map)


def _shrunk(config_class: type[PreTrainedConfig], changes: dict[str, Any]) -> PreTrainedConfig:
    known, default = fields_of(config_class), config_class()
    sizes = {name: value for name, value in _SIZES.items() if name in known}
    if "qk_rope_head_dim" in known:  # latent attention works its heads out from their parts
        sizes.pop("head_dim", None)
        sizes["num_key_value_heads"] = 4
    if getattr(default, "pad_token_id", None) is None:
        sizes.pop("pad_token_id", None)
    if "num_experts_per_tok" in sizes:
        sizes["num_experts_per_tok"] = min(2, default.num_experts_per_tok or 2)
    if {"num_heads", "expand"} <= known:
        sizes["num_heads"] = 8
    for name in _KINDS:
        kinds = vars(default).get(name)
        if name in known and isinstance(kinds, list | tuple):
            first = list(dict.fromkeys(kinds))[:NUM_LAYERS]
            sizes[name] = sorted((first * NUM_LAYERS)[:NUM_LAYERS], key=first.index)
    for name in config_class.sub_configs:
        part = getattr(default, name, None)
        if isinstance(part, PreTrainedConfig):
            sizes[name] = _shrunk(type(part), {}).to_dict()
    return config_class(**(sizes | changes))
