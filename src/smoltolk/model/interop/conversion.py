"""Checkpoints of the published implementations as SmolTolk models: names and settings, by rule.

Two formats are known by their ``model_args``: the SmolTolk release (``Anon-SmolTolk/SmolTolk``,
``vozlms/smoltolk_base``) and LF2AR (``tiagoCuervo/interleaved_lm``). Reading the files is for others; here a checkpoint
is a dict of settings and a dict of tensors.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig
from transformers.initialization import no_init_weights

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.hub import hub_id
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.interop.conversion_codebooks import codebook_settings, stack_codebooks
from smoltolk.model.modeling import SmolTolkForCausalLM

Settings = Mapping[str, Any]
State = Mapping[str, Tensor]

# Where each module went. Names in braces are the text model's own (see `_places`).
_SMOLTOLK = {
    "context_model.": "{backbone}.",
    "txt_embed.": "{text_table}.",
    "txt_unembed.": "{text_head}.",
    "audio_embed.0.": "units.embed.",
    "audio_unembed.0.": "units.unembed.",
    "audio_embed.further.": "units.further.",
    "audio_unembed.further.": "units.further_unembed.",
    "audio_in_layers.": "{input_blocks}.",
    "audio_out_layers.": "{output_blocks}.",
    "control_embed.": "control_embed.",
    "layer_weights": "layer_mix.static_logits",
    "layer_selector.": "layer_mix.selector.",
}
_LF2AR = {
    "global_workspace.context_model.": "{backbone}.",
    "global_workspace.txt_embed.": "{text_table}.",
    "global_workspace.txt_unembed.": "{text_head}.",
    "control_embed.": "control_embed.",
    "aud_perception.embed.0.": "units.embed.",
    "aud_perception.in_layers.": "{input_blocks}.",
    "aud_perception.in2backbone_proj.": "late_fusion.projection.",
    "aud_perception.in2attention_residual_proj.": "late_fusion.pool_projection.",
    "aud_expression.perception_embed.0.": "units.embed.",
    "aud_expression.attention_residual.static_logits": "layer_mix.static_logits",
    "aud_expression.attention_residual.dynamic_selector.": "layer_mix.selector.",
    "aud_expression.backbone2out_proj.": "late_fission.projection.",
    "aud_expression.out_layers.": "{output_blocks}.",
    "aud_expression.unembed.0.": "units.unembed.",
    "aud_perception.embed.further.": "units.further.",
    "aud_expression.perception_embed.further.": "units.further.",
    "aud_expression.unembed.further.": "units.further_unembed.",
}
# What wrappers put into names, and buffers that older releases stored and that are computed now.
_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+|(?<=\.)_orig_mod\.")
_BUFFERS = re.compile(r"(?:inv_freq|masked_bias|(?:attn|attention)\.bias)$")
_NEVER = -1e4  # a logit whose softmax is exactly zero


def convert(
    settings: Settings,
    state: State,
    *,
    text_config: PreTrainedConfig | None = None,
    aliases: Mapping[str, str] | None = None,
    eos_text_id: int | None = None,
) -> SmolTolkForCausalLM:
    """The SmolTolk model that computes what the published code computes with a checkpoint.

    Of several codebooks a checkpoint has the tables, but not the delays that its rows were written with: they are taken
    to be 0. For other rows set ``codebook_delays`` of the model's configuration.

    Args:
        settings: the checkpoint's ``model_args``.
        state: its tensors by name; ``_orig_mod.`` and ``module.`` in names are passed over.
        text_config: the backbone's configuration; LF2AR checkpoints usually bring it.
        aliases: names that share another name's tensor and are not stored.
        eos_text_id: end of sequence in text; the backbone's own if None.

    Raises:
        InputError: an unknown format, a variant that cannot be expressed, or missing, extra or misshapen tensors.
    """
    tensors = {_WRAPPERS.sub("", name): tensor for name, tensor in state.items()}
    for name, source in (aliases or {}).items():
        if source in tensors:
            tensors.setdefault(name, tensors[source])
    if "audio_vocabsize" in settings:
        prefix, names = "", _SMOLTOLK
    elif "aud_vocabsize" in settings:
        prefix, names = "global_workspace.", _LF2AR
        text_config = _lf2ar_text_config(settings, text_config)
    else:
        raise InputError(
            "a checkpoint must be a SmolTolk release or an LF2AR model, known by audio_vocabsize or aud_vocabsize",
            f"settings {sorted(map(str, settings))}",
            "convert a checkpoint of one of the two",
        )
    if text_config is None:
        raise InputError(
            "the backbone's configuration must be known",
            f"the checkpoint only names {settings.get('backbone')!r}",
            "name the text model: its directory or hub id",
        )
    stack_codebooks(settings, tensors)
    text_config = copy.deepcopy(text_config)
    describe = _smoltolk_config if names is _SMOLTOLK else _lf2ar_config
    try:
        ids = _text_ids(settings, text_config, eos_text_id)
        _part_control_rows(tensors, prefix, text_config, ids)
        config = describe(settings, tensors, text_config, ids)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "settings of a checkpoint are numbers, flags and names, as its code wrote them",
            f"{type(error).__name__}: {error}",
            "use the settings that were saved with its tensors",
        ) from error
    config.text_model_name = hub_id(str(settings.get("backbone") or ""))
    with no_init_weights():
        model = SmolTolkForCausalLM(config)
    _load(model, tensors, {source: target.format(**_places(model)) for source, target in names.items()})
    return model.eval()


def _smoltolk_config(
    settings: Settings, tensors: dict[str, Tensor], text_config: PreTrainedConfig, ids: dict[str, int]
) -> SmolTolkConfig:
    """The settings of a SmolTolk release; ``tensors`` gains the static mix that some of its selectors imply."""
    selects = settings.get("layer_selwa_audio", False)
    if selects:
        _demand(settings, selwa_linear=True, selwa_downproj=0)
    static = settings.get("layer_wa_audio", False)
    if selects and not static:  # the selector asks one layer, by default the last: a static mix of that layer alone
        asked, last = settings.get("selwa_in_layer"), text_config.num_hidden_layers
        number = last if asked is None else asked % (last + 1)
        if number == 0:
            raise InputError(
                "the selector must ask a layer", "selwa_in_layer = 0, the embeddings", "this is not supported"
            )
        tensors["layer_weights"] = torch.full((last,), _NEVER).index_fill(0, torch.tensor(number - 1), 0.0)
    return SmolTolkConfig(
        text_config=text_config,
        num_units=_num_units(settings, "audio_vocabsize", "audio_pad_token"),
        **codebook_settings(settings),
        num_input_layers=settings.get("n_audio_in_layers") or 0,
        num_output_layers=settings.get("n_audio_out_layers") or 0,
        layer_mix="dynamic" if selects else "static" if static else "last",
        speech_residual=bool(settings.get("raw_speech_residual", False)),
        tie_speech_embeddings=_tied(settings, "tie_audio_embeddings", tensors, "audio_embed", "audio_unembed"),
        entropy_weight=float(settings.get("entropy_reg", 0.0)),
        published_spans="selwa_downproj" in settings,  # a setting that only the code with those masks has
        **ids,
    )


def _lf2ar_config(
    settings: Settings, tensors: dict[str, Tensor], text_config: PreTrainedConfig, ids: dict[str, int]
) -> SmolTolkConfig:
    """The settings of an LF2AR model."""
    _demand(settings, n_img_codebooks=0, aud_head_type="categorical")
    mode = settings.get("aud_attention_residual", "none")
    mixes_inputs = mode != "none" and not settings.get("aud_attention_residual_backbone_only", False)
    perception, expression = "aud_perception.embed", "aud_expression.unembed"
    return SmolTolkConfig(
        text_config=text_config,
        num_units=_num_units(settings, "aud_vocabsize", "aud_pad_token"),
        **codebook_settings(settings),
        num_input_layers=settings.get("aud_inadapter_n_layers") or 0,
        num_output_layers=settings.get("aud_outadapter_n_layers") or 0,
        input_adapter_size=_adapter_size(settings, "aud_inadapter", text_config),
        output_adapter_size=_adapter_size(settings, "aud_outadapter", text_config),
        layer_mix="last" if mode == "none" else mode,
        layer_mix_pool="all" if mixes_inputs else "backbone",
        layer_mix_norm=bool(settings.get("aud_attention_residual_norm", True)) and mode != "none",
        speech_residual=False,
        tie_speech_embeddings=_tied(settings, "tie_aud_embeddings", tensors, perception, expression),
        entropy_weight=float(settings.get("aud_attention_residual_entropy_reg", 0.0)),
        **ids,
    )


def _lf2ar_text_config(settings: Settings, text_config: PreTrainedConfig | None) -> PreTrainedConfig | None:
    """The backbone's configuration with LF2AR's own rotary base."""
    stored = settings.get("backbone_config")
    if text_config is None and stored is not None:
        stored = dict(stored)
        try:
            text_config = AutoConfig.for_model(stored.pop("model_type"), **stored)
        except (KeyError, ValueError) as error:
            raise InputError(
                "backbone_config must be the configuration of a model that transformers knows",
                first_line(error),
                "name the text model: its directory or hub id",
            ) from error
    base = settings.get("rope_theta", -1)
    if text_config is not None and base > 0:
        text_config = copy.deepcopy(text_config)
        rope = text_config.rope_parameters
        for part in [rope] if "rope_theta" in rope else rope.values():  # some architectures keep one a layer type
            part["rope_theta"] = float(base)
    return text_config


def _adapter_size(settings: Settings, prefix: str, text_config: PreTrainedConfig) -> dict[str, int] | None:
    """What an LF2AR adapter has otherwise than the backbone, or None."""
    names = {
        "hidden_size": "dim",
        "intermediate_size": "mlp_dim",
        "num_attention_heads": "n_heads",
        "num_key_value_heads": "n_kvheads",
    }
    size = {name: settings[f"{prefix}_{short}"] for name, short in names.items() if f"{prefix}_{short}" in settings}
    if not settings.get(f"{prefix}_n_layers"):  # no blocks: only the width of the speech table remains
        size = {name: value for name, value in size.items() if name == "hidden_size"}
    other = {name for name, value in size.items() if getattr(text_config, name, None) != value}
    # A backbone's heads may be wider or narrower than its width says; an LF2AR adapter's never are.
    shares = size.get("hidden_size", 0) // size.get("num_attention_heads", 1)
    if "num_attention_heads" in size and (getattr(text_config, "head_dim", None) or shares) != shares:
        other.add("head_dim")
    return size if other else None


def _text_ids(settings: Settings, text_config: PreTrainedConfig, eos_text_id: int | None) -> dict[str, int]:
    """Where text ends and which ids control. LF2AR has no prompt ids: its ``<pad>``, never predicted, stands there."""
    eos = text_config.eos_token_id if eos_text_id is None else eos_text_id
    eos = eos[0] if isinstance(eos, list) else eos
    switch = settings.get("swt_token")
    if eos is None or switch is None:
        raise InputError(
            "the checkpoint must have a <switch> id, and the text model an end-of-sequence id",
            f"swt_token = {switch}, end of sequence = {eos}",
            "pass eos_text_id; a checkpoint without text cannot be converted",
        )
    begin, end = (
        switch if settings.get(name) is None and settings.get("txt_pad_token") is None
        else settings.get(name, settings.get("txt_pad_token"))
        for name in ("bop_token", "eop_token")
    )  # fmt: skip
    ids = {"begin_prompt_id": begin, "end_prompt_id": end, "switch_id": switch, "eos_text_id": eos}
    return ids


def _part_control_rows(
    tensors: dict[str, Tensor], prefix: str, text_config: PreTrainedConfig, ids: dict[str, int]
) -> None:
    """Move control rows, the last ones of a checkpoint's text table, to a table of their own, in place.

    ``ids`` gains where speech begins, and ``text_config`` what is left of the text table. In an untied text head the
    rows of control ids are dropped: they were never predicted.
    """
    embed, unembed = prefix + "txt_embed.weight", prefix + "txt_unembed.weight"
    table = _tensor(tensors, embed)
    head = tensors.get(unembed, table)
    first, last = (pick(ids[f"{name}_id"] for name in ("begin_prompt", "end_prompt", "switch")) for pick in (min, max))
    if last != len(table) - 1:
        raise InputError(
            "control ids are the last rows of a checkpoint's text table",
            f"control ids {first} to {last}, {len(table)} rows",
            "only checkpoints with this order can be converted",
        )
    text_config.tie_word_embeddings = text_config.tie_word_embeddings and torch.equal(table, head)
    tensors["control_embed.weight"], tensors[embed] = table[first:], table[:first]
    if unembed in tensors:
        tensors[unembed] = head[:first]
    text_config.vocab_size, ids["speech_offset"] = first, len(table)


def _num_units(settings: Settings, size: str, padding: str) -> int:
    if settings.get(padding, settings[size] - 1) != settings[size] - 1:
        raise InputError(
            "speech ids are units, an end and, last, a padding id",
            f"{size} = {settings[size]}, {padding} = {settings[padding]}",
            "only checkpoints with this order can be converted",
        )
    return settings[size] - 2


def _tied(settings: Settings, name: str, tensors: State, embed: str, unembed: str) -> bool:
    """Whether the speech tables are one: the setting says so, and the tensors do not say otherwise."""
    same = bool(settings.get(name, True))
    for number in ("0", "further") if f"{embed}.further.weight" in tensors else ("0",):
        table = _tensor(tensors, f"{embed}.{number}.weight")
        head = tensors.get(f"{unembed}.{number}.weight", table)
        same = same and table.shape == head.shape and torch.equal(table, head)
    return same


def _demand(settings: Settings, **wanted: Any) -> None:
    other = {name: settings[name] for name, value in wanted.items() if settings.get(name, value) not in (value, None)}
    if other:
        raise InputError(
            f"a convertible checkpoint has {', '.join(f'{name} = {wanted[name]!r}' for name in other)}",
            ", ".join(f"{name} = {value!r}" for name, value in other.items()),
            "this variant is not supported",
        )


def _tensor(tensors: State, name: str) -> Tensor:
    if name not in tensors:
        raise InputError(
            "a checkpoint must have every tensor of its model",
            f"no {name!r} among {len(tensors)} tensors",
            "use a whole checkpoint of a model with text and speech",
        )
    return tensors[name]


def _places(model: SmolTolkForCausalLM) -> dict[str, str]:
    """The names that differ from one text model to another."""
    name_of = {module: name for name, module in model.named_modules()}
    places = {
        "backbone": f"backbone.{model.backbone.base_model_prefix}",
        "text_table": name_of[model.get_input_embeddings()],
        "text_head": name_of[model.get_output_embeddings()],
    }
    for side in ("input", "output"):
        part = model.late_fusion if side == "input" else model.late_fission
        places[f"{side}_blocks"] = name_of[part.adapter.blocks] if part.num_layers else ""
    return places


def _load(model: SmolTolkForCausalLM, tensors: State, names: dict[str, str]) -> None:
    """Rename the tensors and load them, each into its place and none left over."""
    expected = model.state_dict()
    renamed: dict[str, Tensor] = {}
    extra = []
    for name, tensor in tensors.items():
        source = next((source for source in names if name.startswith(source)), "")
        target = names.get(source, "") + name.removeprefix(source)
        if target in ("units.unembed.weight", "units.further_unembed.weight") and model.config.tie_speech_embeddings:
            continue  # the same matrix as the embedding's
        if target in expected:
            renamed[target] = tensor.flatten() if target == "layer_mix.static_logits" else tensor
        elif not _BUFFERS.search(name):
            extra.append(name)
    if model.config.text_config.tie_word_embeddings:
        places = _places(model)
        renamed.setdefault(f"{places['text_head']}.weight", renamed[f"{places['text_table']}.weight"])
    missing = sorted(expected.keys() - renamed.keys())
    shapes = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        for name, tensor in renamed.items()
        if tensor.shape != expected[name].shape
    ]
    if missing or extra or shapes:
        raise InputError(
            "a checkpoint must have exactly the tensors of the model that its settings describe",
            f"missing: {_few(missing)}; extra: {_few(extra)}; misshapen: {_few(shapes)}",
            "check that the text model is the one it was trained on, and that settings and tensors belong together",
        )
    model.load_state_dict(renamed)


def _few(names: list[str], most: int = 8) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + rest
