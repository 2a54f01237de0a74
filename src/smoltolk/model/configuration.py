"""The configuration of a SmolTolk model: a text model's own configuration, and what speech adds to it."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, get_args

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.cache_utils import get_layer_types_and_kwargs
from transformers.configuration_utils import SubConfigSpec

from smoltolk.common.errors import InputError
from smoltolk.model.choices import LayerMixMode, LayerMixPool
from smoltolk.model.ids import IdSpace
from smoltolk.model.text_models.layers import adapter_cache_types
from smoltolk.model.text_models.positions import trained_positions


@strict
class SmolTolkConfig(PreTrainedConfig):
    """Settings of :class:`~smoltolk.model.modeling.SmolTolkForCausalLM`.

    Every variant of arXiv 2503.06211 is a setting. The defaults are the paper's model; ``num_input_layers=0,
    num_output_layers=0, layer_mix="last", speech_residual=False`` is early fusion, the usual vocabulary expansion.

    Args:
        text_config: configuration of the text backbone. Its ``vocab_size`` counts spare rows, but no control ids.
        num_units: K, distinct speech units.
        num_codebooks: Q, units of a frame; neural codecs have several, each of ``num_units`` (Mimi: 8 of 2,048).
        codebook_delays: positions by which each codebook comes later than the first; None: 0, 1, 2, ...
        codebook_weights: of each codebook's NLL in the loss, as they are; None: 1/Q each, so that a frame weighs as
            much as an id of text. Ones make the loss the NLL of whole frames.
        speech_offset: first speech id; stored, so that resizing the text table never moves a unit.
        begin_prompt_id, end_prompt_id, switch_id: control ids, behind the text table: they have a table of their own.
        eos_text_id: end of sequence in text.
        num_text_ids: rows of the text table that the text model brought; those behind them are spare, and never
            predicted. None: all.
        new_layers: places of backbone layers that the text model did not bring, counted in the deeper backbone.
        frozen_text_model: what the text model brought does not train, in no stage.
        num_input_layers: layers of the input adapter (late fusion), of the backbone's own block type.
        patch_size: P, units of a span that the backbone sees as one position (see :mod:`smoltolk.model.patches`); 1: it
            sees each.
        num_output_layers: layers of the output adapter (late fission).
        layer_mix: what the output adapter reads: the backbone's ``last`` layer, a ``fixed`` one, a ``static`` mix of
            all layers or a ``dynamic`` one, selected anew at each position (multi-level fission).
        fission_layer: k of 1..L, the fixed layer.
        last_layer_lead: logits by which a mix begins ahead at the last layer, its selector too; 0 as in the paper; with
            3 short runs say what was only read sooner (docs/log.md).
        layer_mix_pool: mix the layers of the ``backbone``, or ``all``, the input adapter's before them.
        layer_mix_norm: bring every layer to root mean square 1 before the mix.
        input_adapter_size, output_adapter_size: what the adapter's blocks have otherwise than the backbone's, by the
            text configuration's own names, e.g. ``{"hidden_size": 384, "intermediate_size": 1024,
            "num_attention_heads": 6, "num_key_value_heads": 2}``. Another width brings projections from and to
            the backbone's, and speech tables of the adapters' widths.
        copies_top_layers: the output adapter starts as a copy of the backbone's layers behind the fixed one, k + 1..L:
            top layers of its own for each modality.
        speech_residual: add the raw embedding (before the input adapter) to the mix.
        tie_speech_embeddings: the unit head shares the unit embedding's matrix.
        entropy_weight: lambda, weight of the selector's entropy in the loss.
        predict_switch: train and generate ``<switch>``, so that the model can choose its modality: both softmaxes
            have one more column for it.
        initializer_range: standard deviation of the speech tables, the selector and the projections.
        packs_documents: the text model keeps packed documents apart by their positions. Where it does not
            (``from_text_model`` tries it), they are computed side by side.
        masks_spans: the text model's blocks take a ready mask. Where they do not (``from_text_model`` tries it), spans
            are decoded one run of columns after the other (see :class:`smoltolk.model.layouts.RunLayout`).
        published_spans: mask spans as the code of ``vozlms/smoltolk_base`` does, where there is neither a cache nor
            packing (see :class:`smoltolk.model.layouts.PublishedLayout`); for checkpoints trained with it.
        text_model_name: hub id of the text model, where it came from the hub.
        unit_fingerprint: of the unit tokenizer that made the units the model was trained with.
    """

    model_type = "smoltolk"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama")
    }
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "past_key_values", "hidden_states", "selector_weights", "text_loss", "speech_loss", "selector_entropy",
        "codebook_logits", "codebook_losses", "num_per_codebook", "attentions", "num_text", "num_speech", "label_nll",
        "num_positions", "nll",
    ]  # fmt: skip

    text_config: dict | PreTrainedConfig | None = None
    num_units: int = 500
    speech_offset: int = 32_003
    begin_prompt_id: int = 32_000
    end_prompt_id: int = 32_001
    switch_id: int = 32_002
    eos_text_id: int = 2
    num_text_ids: int | None = None
    new_layers: list[int] | None = None
    frozen_text_model: bool = False
    num_input_layers: int = 2
    patch_size: int = 1
    num_output_layers: int = 2
    layer_mix: LayerMixMode = "dynamic"
    layer_mix_pool: LayerMixPool = "backbone"
    layer_mix_norm: bool = False
    last_layer_lead: float = 0.0
    fission_layer: int | None = None
    copies_top_layers: bool = False
    input_adapter_size: dict[str, Any] | None = None
    output_adapter_size: dict[str, Any] | None = None
    speech_residual: bool = True
    tie_speech_embeddings: bool = True
    entropy_weight: float = 0.01
    predict_switch: bool = False
    initializer_range: float = 0.02
    packs_documents: bool = True
    masks_spans: bool = True
    published_spans: bool = False
    num_codebooks: int = 1
    codebook_delays: list[int] | None = None
    codebook_weights: list[float] | None = None
    text_model_name: str | None = None
    unit_fingerprint: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        # Tying belongs to the text model, which does it by itself, but PEFT asks the whole model whether its text head
        # follows the table. The speech head is tied functionally.
        kwargs.pop("tie_word_embeddings", None)
        super().__post_init__(**kwargs)
        self.tie_word_embeddings = bool(getattr(self._text, "tie_word_embeddings", False))
        for name in ("num_input_layers", "num_output_layers", "num_units", "num_codebooks"):
            if getattr(self, name) < (0 if name.endswith("layers") else 1):
                raise InputError(
                    f"{name} must count something",
                    f"{name} = {getattr(self, name)}",
                    "use 0 or more layers, 1 or more units and codebooks",
                )
        if self.codebook_delays is None and self.num_codebooks > 1:
            self.codebook_delays = list(range(self.num_codebooks))
        for name in ("codebook_delays", "codebook_weights"):
            values = getattr(self, name)
            if name == "codebook_weights" and values is not None and self.num_codebooks == 1:
                raise InputError(
                    "weights share the loss out among several codebooks",
                    f"{values} for one",
                    "leave codebook_weights out",
                )
            if values is not None and (len(values) != self.num_codebooks or min(values) < 0):
                raise InputError(
                    f"{name} has one number, 0 or more, for each codebook",
                    f"{values} for {self.num_codebooks} codebooks",
                    "leave it out, or give as many numbers as num_codebooks",
                )
        for name, choices in (("layer_mix", get_args(LayerMixMode)), ("layer_mix_pool", get_args(LayerMixPool))):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} must be one of {', '.join(choices)}", repr(getattr(self, name)), "choose one of them"
                )
        self._check_fixed_layer()
        self._check_patches()
        table, first_control = self._text.vocab_size, min(self.begin_prompt_id, self.end_prompt_id, self.switch_id)
        if first_control < table:
            raise InputError(
                "control ids have a table of their own: they lie behind the text table, and speech behind them",
                f"control ids from {first_control} on, a text table of {table} rows",
                "a model from before smoltolk 0.1 must be trained again; new ones come from from_text_model",
            )
        if self.num_text_ids is None:
            self.num_text_ids = table
        if not 0 < self.num_text_ids <= table:
            raise InputError(
                "the text model's ids are rows of the text table: 0 < num_text_ids <= text_config.vocab_size",
                f"num_text_ids = {self.num_text_ids}, text_config.vocab_size = {table}",
                "leave num_text_ids out, or give the size of the text model's vocabulary",
            )
        odd = [layer for layer in self.new_layers or [] if not 0 <= layer < self.num_layers]
        if odd:
            raise InputError(
                "new_layers are places in the backbone",
                f"{odd} in a backbone of {self.num_layers} layers",
                "count them from 0 in the backbone that has them",
            )
        _ = self.id_space  # checks the control ids
        widths = f"backbone {self.hidden_size}, input adapter {self.input_width}, output adapter {self.output_width}"
        if self.speech_residual and self.input_width != self.hidden_size:
            raise InputError(
                "the residual adds the raw speech embedding to the backbone's states: both must have one width",
                widths,
                "set speech_residual=False, or give the input adapter the backbone's hidden_size",
            )
        if self.published_spans and (self.layer_mix_pool == "all" or self.input_width != self.hidden_size):
            raise InputError(
                "the published spans are known for adapters as wide as the backbone, and mixes of its layers alone",
                f"layer_mix_pool = {self.layer_mix_pool!r}, {widths}",
                "set published_spans=False; it is for released checkpoints only",
            )
        if self.tie_speech_embeddings and self.input_width != self.output_width:
            raise InputError(
                "tied speech tables need input and output adapters of one width",
                widths,
                "set tie_speech_embeddings=False, or give both adapters the same hidden_size",
            )

    def _check_fixed_layer(self) -> None:
        layer, L = self.fission_layer, self.num_layers
        if (layer is None) != (self.layer_mix != "fixed") or (layer is not None and not 1 <= layer <= L):
            raise InputError(
                f"fission_layer is one of the backbone's layers 1..{L}, where layer_mix is 'fixed'",
                f"fission_layer = {layer}, layer_mix = {self.layer_mix!r}",
                "give both or none of them",
            )
        if layer is not None and (self.layer_mix_pool != "backbone" or self.layer_mix_norm):
            raise InputError(
                "a fixed layer is one of the backbone's, as it is",
                f"layer_mix_pool = {self.layer_mix_pool!r}, layer_mix_norm = {self.layer_mix_norm}",
                "leave both out",
            )
        if self.last_layer_lead and self.layer_mix in ("last", "fixed"):
            raise InputError(
                "the last layer can lead where several are mixed",
                f"last_layer_lead = {self.last_layer_lead}, layer_mix = {self.layer_mix!r}",
                "leave last_layer_lead out",
            )
        behind = 0 if layer is None else L - layer
        if self.copies_top_layers and (not 0 < behind == self.num_output_layers or self.output_adapter_size):
            raise InputError(
                "an output adapter that copies the backbone's top layers has as many as stand behind the fixed one,"
                " of the same size",
                f"num_output_layers = {self.num_output_layers}, fission_layer = {layer} of {L},"
                f" output_adapter_size = {self.output_adapter_size}",
                f"set layer_mix='fixed', fission_layer={max(L - self.num_output_layers, 1)} and no output_adapter_size",
            )

    def _check_patches(self) -> None:
        if self.patch_size < 1:
            raise InputError("patches have at least one unit", f"patch_size = {self.patch_size}", "use 1 or more")
        if self.patch_size > 1 and (self.layer_mix_pool != "backbone" or self.published_spans):
            raise InputError(
                "where units come in patches, the layer mix is of the backbone's layers, and spans are the model's own",
                f"patch_size = {self.patch_size}, layer_mix_pool = {self.layer_mix_pool!r},"
                f" published_spans = {self.published_spans}",
                "set patch_size=1, or leave the others out",
            )

    @property
    def id_space(self) -> IdSpace:
        """Where text, control and speech ids lie."""
        return IdSpace(
            speech_offset=self.speech_offset,
            num_units=self.num_units,
            begin_prompt=self.begin_prompt_id,
            end_prompt=self.end_prompt_id,
            switch=self.switch_id,
            eos_text=self.eos_text_id,
            delays=tuple(self.codebook_delays or (0,)),
            num_text_ids=self.num_text_ids,
        )

    @property
    def vocab_size(self) -> int:
        """All ids, of text, control and speech: the width of the logits."""
        return self.id_space.size

    @property
    def hidden_size(self) -> int:
        """D, the backbone's."""
        return self._text.hidden_size

    @property
    def num_layers(self) -> int:
        """L, the backbone's."""
        return self._text.num_hidden_layers

    @property
    def max_position_embeddings(self) -> int | None:
        """Longest sequence that the backbone was made for; None where it names none."""
        return trained_positions(self._text)

    @property
    def input_width(self) -> int:
        """Width of the input adapter and of the speech embedding."""
        return (self.input_adapter_size or {}).get("hidden_size", self.hidden_size)

    @property
    def output_width(self) -> int:
        """Width of the output adapter and of what the speech head reads."""
        return (self.output_adapter_size or {}).get("hidden_size", self.hidden_size)

    @property
    def mixes_inputs(self) -> bool:
        """Whether the layer mix wants the input adapter's layers too."""
        return self.layer_mix_pool == "all" and self.num_input_layers > 0

    @property
    def num_mixed_layers(self) -> int:
        """M, layers of the layer mix."""
        return self.num_layers + (self.num_input_layers if self.mixes_inputs else 0)

    @property
    def num_own_states(self) -> int:
        """Layers of the flat cache for what no layer of a model remembers: modalities, and what patches need."""
        return 3 if self.patch_size > 1 else 1

    @property
    def num_control_ids(self) -> int:
        """Ids between the text table and speech, the rows of the control table."""
        return self.speech_offset - self._text.vocab_size

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PreTrainedConfig:
        """The backbone's configuration; with ``decoder=True``, by which transformers makes caches, the flat cache's.

        That is the backbone's layers and behind them full ones for the adapters, the history of modalities and what
        patches need (see :mod:`smoltolk.model.cache`).
        """
        config = super().get_text_config(decoder=decoder, encoder=encoder)
        if not decoder or config is self:
            return config
        flat = copy.deepcopy(config)
        layer_types, _ = get_layer_types_and_kwargs(config)
        adapters = adapter_cache_types(config, self.num_input_layers + self.num_output_layers)
        flat.layer_types = [*layer_types, *adapters, *["full_attention"] * self.num_own_states]
        flat.num_hidden_layers = len(flat.layer_types)
        return flat

    @property
    def _text(self) -> Any:
        return self.text_config
