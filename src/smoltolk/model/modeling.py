"""SmolTolk: late fusion, multi-level fission and late fission around any text language model.

arXiv 2503.06211. Shapes: B rows, T positions, D hidden size, L backbone layers, V text ids, U speech ids.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Cache, DynamicCache, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from smoltolk.common.errors import InputError
from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.assembly import add_control_rows, load_text_model, smoltolk_config
from smoltolk.model.cache import CacheViews, History
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.heads import text_logits
from smoltolk.model.layer_mix import LayerMix
from smoltolk.model.loss import mean_entropy, modality_loss
from smoltolk.model.modality import document_positions, next_is_speech
from smoltolk.model.spans import SpanBatch, find_spans, gather, scatter


@dataclass
class SmolTolkOutput(ModelOutput):
    """What a forward pass gives.

    Attributes:
        loss: scalar; None without labels.
        logits: [B, T, V + U] over the one id space; the other modality holds the dtype's minimum. None in training
            with labels, where each head is computed on its own rows only.
        past_key_values: the flat cache (see :mod:`smoltolk.model.cache`).
        hidden_states: L + 1 tensors [B, T, D]: the backbone's input, then h^1..h^L (on request).
        text_loss, speech_loss: mean NLL in nats of each modality's predicted ids.
        selector_entropy: mean entropy of the selector, nats.
        selector_weights: [B, T, L] (dynamic) or [L] (static) (on request).
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    text_loss: Tensor | None = None
    speech_loss: Tensor | None = None
    selector_entropy: Tensor | None = None
    selector_weights: Tensor | None = None


class SmolTolkPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation."""

    config_class = SmolTolkConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Speech tables N(0, 0.02); adapters and backbone initialise themselves as their architecture does."""
        if isinstance(module, LayerMix):
            module.reset_parameters(self.config.initializer_range)
        elif module in (getattr(self, "speech_embed", None), getattr(self, "speech_unembed", None)):
            init.normal_(module.weight, std=self.config.initializer_range)


class SmolTolkForCausalLM(SmolTolkPreTrainedModel, GenerationMixin):
    """A text language model that also hears and speaks.

    Ids alone say what a position is: below ``config.speech_offset`` text, from there on speech.
    """

    def __init__(self, config: SmolTolkConfig):
        super().__init__(config)
        text_config, num_speech_ids = config.text_config, config.id_space.num_speech_ids
        self.backbone = AutoModelForCausalLM.from_config(text_config)
        self.speech_embed = nn.Embedding(num_speech_ids, config.hidden_size)
        if not config.tie_speech_embeddings:
            self.speech_unembed = nn.Linear(config.hidden_size, num_speech_ids, bias=False)
        if config.num_input_layers:
            self.input_adapter = SpeechAdapter(text_config, config.num_input_layers)
        self.layer_mix = LayerMix(config.layer_mix, text_config.num_hidden_layers, config.hidden_size)
        if config.num_output_layers:
            self.output_adapter = SpeechAdapter(text_config, config.num_output_layers)
        self.post_init()

    @classmethod
    def from_text_model(
        cls, text_model: str | PreTrainedModel, *, num_units: int, eos_text_id: int | None = None, seed: int = 0, **settings: Any
    ) -> SmolTolkForCausalLM:
        """Give a pretrained text language model ears and a mouth.

        Args:
            text_model: hub id, directory, or a loaded causal LM (which is left as it is).
            num_units: K, the size of the codebook.
            eos_text_id: end of sequence in text; the text model's own if None.
            seed: of every new parameter.
            settings: of :class:`SmolTolkConfig`, e.g. ``num_input_layers=0`` or ``layer_mix="static"``.

        Raises:
            InputError: no such text model, or a setting that breaks a rule.
        """
        source = load_text_model(text_model) if isinstance(text_model, str) else copy.deepcopy(text_model)
        add_control_rows(source, seed)
        config = smoltolk_config(source, num_units, eos_text_id, **settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config)
        model.backbone.load_state_dict(source.state_dict())
        return model.to(source.dtype)

    def speech_parameter_names(self) -> set[str]:
        """Names of all parameters that the text model did not bring: what stage 1 trains."""
        return {name for name, _ in self.named_parameters() if not name.startswith("backbone.")}

    # ------------------------------------------------------------------ the paper, on one page

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        document_ids: Tensor | None = None,
        spans: SpanBatch | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        output_hidden_states: bool = False,
        output_selector_weights: bool = False,
        **kwargs: Any,
    ) -> SmolTolkOutput:
        """Predict the next id of text or speech.

        Args:
            input_ids: [B, T] ids of the one id space.
            attention_mask: [B, S], 1 for real positions (S counts cached ones too); for padding, left or right.
            position_ids: [B, T]; made from the mask, the cache or the documents if None.
            past_key_values: cache of earlier positions.
            inputs_embeds: not accepted (the modality is in the ids); here because adapters of PEFT name it.
            labels: [B, T], aligned with ``input_ids``; -100 where nothing is predicted.
            document_ids: [B, T], which packed document a position belongs to; documents do not see each other.
            spans: the speech spans of this batch, as the collator found them; found here if None.
            use_cache: keep the states for the next call; on by default only if a cache is given.
            logits_to_keep: number of last positions to compute logits for (0: all), or their indices.
            output_hidden_states, output_selector_weights: also return them.
            kwargs: ``num_items_in_batch``, the number of predicted positions over all accumulated batches.

        Raises:
            InputError: ids out of range, embeddings instead of ids, or packed documents with a cache.
        """
        config = self.config
        input_ids = self._check_inputs(input_ids, inputs_embeds, document_ids, past_key_values)
        B, T = input_ids.shape
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=config.get_text_config(decoder=True))

        is_speech_BT = input_ids >= config.speech_offset
        if attention_mask is not None:  # padding is no speech, whatever its id
            is_speech_BT = is_speech_BT & attention_mask[:, -T:].bool()
        views = history = None
        if past_key_values is not None:
            views = self._views(past_key_values)
            history = History.extend(views.history, is_speech_BT)
        if position_ids is None and document_ids is not None:
            position_ids = document_positions(document_ids)
        if position_ids is None and attention_mask is not None:
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -T:]

        # 1-2. Embed; late fusion composes the units of each span before the backbone sees them.
        embeds_BTD = self._embed(input_ids)
        fused_BTD = self._fuse(embeds_BTD, is_speech_BT, document_ids, spans, views, history)

        # 3. The backbone over the mixed sequence. Its last hidden state is taken after the final norm.
        backbone = self.backbone.base_model(
            inputs_embeds=fused_BTD,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=views.backbone if views else None,
            use_cache=views is not None,
            output_hidden_states=True,
        )
        layers = (*backbone.hidden_states[1:-1], backbone.last_hidden_state)

        # 4-6. Multi-level fission selects among the layers, the residual adds the raw unit, late fission decomposes.
        mixed = self.layer_mix(layers)
        speech_BTD = mixed.state + embeds_BTD if config.speech_residual else mixed.state
        if config.num_output_layers:
            speech_BTD = self.output_adapter(
                speech_BTD, attention_mask, position_ids, views.output_adapter if views else None
            )

        # 7-9. Two heads, one id space.
        output = SmolTolkOutput(
            past_key_values=past_key_values,
            hidden_states=(backbone.hidden_states[0], *layers) if output_hidden_states else None,
            selector_weights=mixed.weights if output_selector_weights else None,
        )
        real_BT = None if attention_mask is None else attention_mask[:, -T:].bool()
        if mixed.entropy is not None:
            output.selector_entropy = mean_entropy(mixed.entropy, real_BT)
        if labels is not None:
            self._add_loss(output, layers[-1], speech_BTD, labels, kwargs.get("num_items_in_batch"))
        if labels is None or not self.training:
            next_BT = next_is_speech(input_ids, config.switch_id, is_speech_BT, history, document_ids)
            keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            output.logits = self._logits(layers[-1][:, keep], speech_BTD[:, keep], next_BT[:, keep])
        return output

    # ------------------------------------------------------------------ the steps

    def _embed(self, input_ids: Tensor) -> Tensor:
        """Text and unit embeddings in their places: [B, T] -> [B, T, D]."""
        offset = self.config.speech_offset
        is_speech = input_ids >= offset
        text = self.backbone.get_input_embeddings()(torch.where(is_speech, 0, input_ids))
        speech = self.speech_embed(torch.where(is_speech, input_ids - offset, 0)).to(text.dtype)
        return torch.where(is_speech[..., None], speech, text)

    def _fuse(
        self,
        embeds: Tensor,
        is_speech: Tensor,
        document_ids: Tensor | None,
        spans: SpanBatch | None,
        views: CacheViews | None,
        history: History | None,
    ) -> Tensor:
        """The input adapter over each speech span alone; text passes by unchanged."""
        if not self.config.num_input_layers:
            return embeds
        if views is not None and history is not None:  # decoding: on the time grid, so that the cache has one clock
            T = embeds.shape[1]
            mask = self.input_adapter.mask(embeds, history.same_span, views.input_adapter)
            states = self.input_adapter(embeds, mask, history.positions_in_span(T), views.input_adapter)
            return torch.where(is_speech[..., None], states.to(embeds.dtype), embeds)
        spans = find_spans(is_speech, document_ids) if spans is None else spans.to(embeds.device)
        if spans.num_spans == 0:
            return embeds
        # Side by side and right-padded, the spans need no mask: what is padded lies in the future of what is real.
        return scatter(self.input_adapter(gather(embeds, spans)), spans, embeds)

    def _speech_head(self, states: Tensor) -> Tensor:
        """[..., D] -> [..., U]. Tied by using the matrix, not by sharing a parameter: PEFT would silently part them."""
        weight = self.speech_embed.weight if self.config.tie_speech_embeddings else self.speech_unembed.weight
        return F.linear(states, weight.to(states.dtype))

    def _text_head(self, states: Tensor) -> Tensor:
        """[N, D] -> [N, V], the backbone's own; control ids are impossible."""
        logits = text_logits(self.backbone, states)
        space = self.config.id_space
        control = [space.begin_prompt, space.end_prompt] + ([] if self.config.predict_switch else [space.switch])
        return logits.index_fill(-1, torch.tensor(control, device=logits.device), torch.finfo(logits.dtype).min)

    def _logits(self, text_states: Tensor, speech_states: Tensor, speech_next: Tensor) -> Tensor:
        """[B, N, D] twice -> [B, N, V + U]; ids of the modality that cannot follow hold the dtype's minimum."""
        text = self._text_head(text_states.flatten(0, 1)).unflatten(0, text_states.shape[:2])
        speech = self._speech_head(speech_states).to(text.dtype)
        floor = torch.finfo(text.dtype).min
        switch = text[..., self.config.switch_id].clone()
        # Behind the text table may lie unused ids (a table padded to a round number): nothing predicts them.
        text = F.pad(text, (0, self.config.speech_offset - text.shape[-1]), value=floor)
        text = text.masked_fill(speech_next[..., None], floor)
        if self.config.predict_switch:  # leaving speech is predicted among the units, by the text head's row
            text[..., self.config.switch_id] = switch
        return torch.cat([text, speech.masked_fill(~speech_next[..., None], floor)], dim=-1)

    def _add_loss(
        self, output: SmolTolkOutput, text: Tensor, speech: Tensor, labels: Tensor, num_items: Tensor | int | None
    ) -> None:
        if not self.config.predict_switch:
            labels = labels.masked_fill(labels == self.config.switch_id, -100)
        loss = modality_loss(
            text,
            speech,
            labels,
            text_head=self._text_head,
            speech_head=self._speech_head,
            speech_offset=self.config.speech_offset,
            num_predicted=num_items,
        )
        output.loss, output.text_loss, output.speech_loss = loss.total, loss.text, loss.speech
        if output.selector_entropy is not None and self.config.entropy_weight:
            share: Tensor | float = 1.0
            if num_items is not None:  # this micro-batch's part of the accumulated mean
                share = (labels[:, 1:] != -100).sum() / num_items
            output.loss = loss.total - self.config.entropy_weight * share * output.selector_entropy

    # ------------------------------------------------------------------ housekeeping

    def _views(self, cache: Cache) -> CacheViews:
        config = self.config
        num_layers = config.text_config.num_hidden_layers
        return CacheViews.of(cache, num_layers, config.num_input_layers, config.num_output_layers)

    def _check_inputs(
        self, input_ids: Tensor | None, inputs_embeds: Tensor | None, document_ids: Tensor | None, cache: Cache | None
    ) -> Tensor:
        if input_ids is None or inputs_embeds is not None:
            raise InputError(
                "the model reads ids, because ids say which positions are speech",
                "inputs_embeds" if inputs_embeds is not None else "no input_ids",
                "pass input_ids [B, T] alone",
            )
        if document_ids is not None and cache is not None:
            raise InputError(
                "packed documents are for training, a cache is for decoding",
                "document_ids together with a cache",
                "decode one document a row, padded on the left",
            )
        if not (torch.compiler.is_compiling() or input_ids.is_cuda) and input_ids.numel():
            low, high = int(input_ids.min()), int(input_ids.max())
            if low < 0 or high >= self.config.vocab_size:
                raise InputError(
                    f"ids must lie in 0..{self.config.vocab_size - 1} (speech from {self.config.speech_offset})",
                    f"ids from {low} to {high}",
                    "use the tokenizer and the codebook that the model was trained with",
                )
        return input_ids

    def create_masks_for_generate(self, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
        """``generate`` with a static cache asks for 4-D masks; each sub-model makes its own from the 2-D one."""
        return attention_mask

    def get_input_embeddings(self) -> nn.Module:
        """The text table."""
        return self.backbone.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        """The text head."""
        return self.backbone.get_output_embeddings()
