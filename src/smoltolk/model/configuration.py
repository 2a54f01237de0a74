"""The configuration of a SmolTolk model: a text model's own configuration, and what speech adds to it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from smoltolk.common.errors import InputError
from smoltolk.model.ids import IdSpace

LayerMixMode = Literal["last", "static", "dynamic"]


@strict
class SmolTolkConfig(PreTrainedConfig):
    """Settings of :class:`~smoltolk.model.modeling.SmolTolkForCausalLM`.

    Every variant of arXiv 2503.06211 is a setting. The defaults are the paper's model; ``num_input_layers=0,
    num_output_layers=0, layer_mix="last", speech_residual=False`` is early fusion, the usual vocabulary expansion.

    Args:
        text_config: configuration of the text backbone. Its ``vocab_size`` counts the control ids.
        num_units: K, distinct speech units.
        speech_offset: first speech id (V); stored, so that resizing the text table never moves a unit.
        begin_prompt_id, end_prompt_id, switch_id: control ids, rows of the text table.
        eos_text_id: end of sequence in text.
        num_input_layers: layers of the input adapter (late fusion), of the backbone's own block type.
        num_output_layers: layers of the output adapter (late fission).
        layer_mix: what the output adapter reads: the backbone's ``last`` layer, a ``static`` mix of all layers or
            a ``dynamic`` one, selected anew at each position (multi-level fission).
        speech_residual: add the raw embedding (before the input adapter) to the mix.
        tie_speech_embeddings: the unit head shares the unit embedding's matrix.
        entropy_weight: lambda, weight of the selector's entropy in the loss.
        predict_switch: train and generate ``<switch>``, so that the model can choose its modality.
        initializer_range: standard deviation of the speech tables.
    """

    model_type = "smoltolk"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama")
    }
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "past_key_values", "hidden_states", "selector_weights", "text_loss", "speech_loss", "selector_entropy",
    ]  # fmt: skip

    text_config: dict | PreTrainedConfig | None = None
    num_units: int = 500
    speech_offset: int = 32_000
    begin_prompt_id: int = 31_997
    end_prompt_id: int = 31_998
    switch_id: int = 31_999
    eos_text_id: int = 2
    num_input_layers: int = 2
    num_output_layers: int = 2
    layer_mix: LayerMixMode = "dynamic"
    speech_residual: bool = True
    tie_speech_embeddings: bool = True
    entropy_weight: float = 0.01
    predict_switch: bool = False
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        # Tying belongs to the text model, which does it by itself; the speech head is tied functionally.
        kwargs.pop("tie_word_embeddings", None)
        super().__post_init__(**kwargs)
        self.tie_word_embeddings = False
        for name in ("num_input_layers", "num_output_layers", "num_units"):
            if getattr(self, name) < (1 if name == "num_units" else 0):
                raise InputError(
                    f"{name} must count something", f"{name} = {getattr(self, name)}", "use 0 or more layers, 1 or more units"
                )
        table = self.text_config.vocab_size
        if self.speech_offset < table:
            raise InputError(
                "speech ids must begin behind the text table: speech_offset >= text_config.vocab_size",
                f"speech_offset = {self.speech_offset}, text_config.vocab_size = {table}",
                "set speech_offset to the table's size, or use SmolTolkForCausalLM.from_text_model",
            )
        _ = self.id_space  # checks the control ids

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
        )

    @property
    def vocab_size(self) -> int:
        """V + U: the width of the logits."""
        return self.id_space.size

    @property
    def hidden_size(self) -> int:
        """D, the backbone's."""
        return self.text_config.hidden_size
