"""SmolTolk: late fusion, multi-level fission and late fission around any text language model.

arXiv 2503.06211. Shapes: B rows, T positions, D hidden size, L backbone layers, V text ids, U speech ids.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, Cache, DynamicCache, PreTrainedModel
from transformers import initialization as init

from smoltolk.model.adapters import SpeechAdapter
from smoltolk.model.cache import CacheViews, History
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.codec.loss import code_targets, codebook_loss
from smoltolk.model.codec.tables import code_logits, embed_codes, table_of
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.generation.mixin import SmolTolkGenerationMixin
from smoltolk.model.generation.modes import generation_defaults
from smoltolk.model.heads import TextHead
from smoltolk.model.inputs import checked_codes, checked_ids
from smoltolk.model.interop.card import CardMixin
from smoltolk.model.layer_mix import LayerMix
from smoltolk.model.loss import mean_entropy, modality_loss
from smoltolk.model.modality import document_positions, document_starts, next_is_speech
from smoltolk.model.output import SmolTolkOutput
from smoltolk.model.packing import side_by_side
from smoltolk.model.published import published_visibility
from smoltolk.model.span_adapting import adapt_spans
from smoltolk.model.span_decoding import decode_runs
from smoltolk.model.spans import SpanBatch, find_spans, group_spans, scatter
from smoltolk.model.text_models.assembly import add_control_rows, load_text_model, smoltolk_config

_LOGITS_AT_ONCE = 1 << 24  # text logits that training holds at a time: 64 MiB of them
_OWN_MATRICES = (
    "speech_embed", "speech_unembed", "codebook_embed", "codebook_unembed",
    "input_projection", "pool_projection", "output_projection",
)  # fmt: skip


class SmolTolkPreTrainedModel(CardMixin, PreTrainedModel):
    """Loading, saving and initialisation."""

    config_class = SmolTolkConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Speech tables and projections N(0, 0.02); adapters and backbone initialise themselves as they always do."""
        if isinstance(module, LayerMix):
            module.reset_parameters(self.config.initializer_range)
        elif module in [getattr(self, name, None) for name in _OWN_MATRICES] and hasattr(module, "weight"):
            init.normal_(module.weight, std=self.config.initializer_range)
            if getattr(module, "bias", None) is not None:
                init.zeros_(module.bias)


class SmolTolkForCausalLM(SmolTolkPreTrainedModel, SmolTolkGenerationMixin):
    """A text language model that also hears and speaks.

    Ids alone say what a position is: below ``config.speech_offset`` text, from there on speech.
    """

    def __init__(self, config: SmolTolkConfig):
        super().__init__(config)
        text_config, num_speech_ids = config.text_config, config.id_space.num_speech_ids
        self.backbone = AutoModelForCausalLM.from_config(text_config)
        D, E_in, E_out = config.hidden_size, config.input_width, config.output_width
        self.speech_embed = nn.Embedding(num_speech_ids, E_in)
        if not config.tie_speech_embeddings:
            self.speech_unembed = nn.Linear(E_out, num_speech_ids, bias=False)
        if config.num_codebooks > 1:  # the tables of all but the first, one under the other
            num_rows = (config.num_codebooks - 1) * num_speech_ids
            self.codebook_embed = nn.Embedding(num_rows, E_in)
            if not config.tie_speech_embeddings:
                self.codebook_unembed = nn.Linear(E_out, num_rows, bias=False)
        if config.num_input_layers:
            self.input_adapter = SpeechAdapter(text_config, config.num_input_layers, config.input_adapter_size)
        self.layer_mix = LayerMix(config.layer_mix, config.num_mixed_layers, D, config.layer_mix_norm)
        if config.num_output_layers:
            self.output_adapter = SpeechAdapter(text_config, config.num_output_layers, config.output_adapter_size)
        # Adapters as wide as the backbone, the paper's, need no projections.
        self.input_projection = nn.Identity() if E_in == D else nn.Linear(E_in, D)
        mixes_inputs = config.num_mixed_layers > config.num_layers
        self.pool_projection = nn.Linear(E_in, D) if mixes_inputs and E_in != D else nn.Identity()
        self.output_projection = nn.Identity() if E_out == D else nn.Linear(D, E_out, bias=False)
        self.text_head = TextHead()  # no module: all it has is the backbone's
        self.post_init()
        self.generation_config.update(**generation_defaults(config.id_space))

    @classmethod
    def from_text_model(
        cls,
        text_model: str | PreTrainedModel,
        *,
        num_units: int,
        eos_text_id: int | None = None,
        seed: int = 0,
        **settings: Any,
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
        spans: Sequence[SpanBatch] | None = None,
        codes: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        output_hidden_states: bool = False,
        output_selector_weights: bool = False,
        speech_only: bool | None = None,
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
            spans: the speech spans of this batch, as the collator found and grouped them; found here if None.
            codes: [B, T, Q - 1], for several codebooks: the units of those behind the first, delayed, -1 where they
                are silent (see :mod:`smoltolk.model.codec.codebooks`).
            use_cache: keep the states for the next call; on by default only if a cache is given.
            logits_to_keep: number of last positions to compute logits for (0: all), or their indices.
            output_hidden_states, output_selector_weights: also return them.
            speech_only: True promises that speech follows all positions that logits are kept for, so that the text
                head is left out; None finds out where that costs nothing.
            kwargs: ``num_items_in_batch``, the number of predicted positions over all accumulated batches.

        Raises:
            InputError: ids out of range, embeddings instead of ids, packed documents with a cache, frames without
                their codebooks or not laid out as the delays say.
        """
        config = self.config
        use_cache = past_key_values is not None or bool(use_cache)
        input_ids = checked_ids(config, input_ids, inputs_embeds, document_ids, use_cache)
        if document_ids is not None and not config.packs_documents:
            return side_by_side(
                self,
                input_ids,
                document_ids,
                attention_mask,
                labels,
                codes=codes,
                logits_to_keep=logits_to_keep,
                output_hidden_states=output_hidden_states,
                output_selector_weights=output_selector_weights,
                **kwargs,
            )
        T = input_ids.shape[1]
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=config.get_text_config(decoder=True))

        is_speech_BT = input_ids >= config.speech_offset
        real_BT = None if attention_mask is None else attention_mask[:, -T:].bool()
        if real_BT is not None:  # padding is no speech, whatever its id
            is_speech_BT = is_speech_BT & real_BT
        codes = checked_codes(config, input_ids, codes, real_BT, document_ids, past_key_values, ends=labels is None)
        views = history = None
        if past_key_values is not None:
            views = self._views(past_key_values)
            history = History.extend(views.history, is_speech_BT)
        if document_ids is not None:  # told apart by their positions, which a mask would hide
            if real_BT is not None:
                document_ids, attention_mask = document_ids.masked_fill(~real_BT, -1), None  # padding: one more
            position_ids = document_positions(document_ids) if position_ids is None else position_ids
            labels = None if labels is None else labels.masked_fill(document_starts(document_ids), -100)
        if position_ids is None and attention_mask is not None:
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -T:]

        # 1-2. Embed; late fusion composes the units of each span before the backbone sees them.
        text_BTD, units_BTE = self._embed(input_ids, codes)
        fused_BTD, heard = self._fuse(text_BTD, units_BTE, is_speech_BT, document_ids, spans, views, history)

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
        final_BTD = layers[-1]

        # 4-6. Multi-level fission selects among the layers, the residual adds the raw unit, late fission decomposes.
        mixed = self.layer_mix((*heard, *layers))
        speech_BTD = mixed.state
        if config.speech_residual:
            speech_BTD = speech_BTD + torch.where(is_speech_BT[..., None], units_BTE, text_BTD)
        speech_BTE = self.output_projection(speech_BTD)
        if config.num_output_layers:
            cache = views.output_adapter if views else None
            (speech_BTE,) = self.output_adapter(speech_BTE, attention_mask, position_ids, cache)

        # 7-9. Two heads, one id space.
        output = SmolTolkOutput(
            past_key_values=past_key_values,
            hidden_states=(backbone.hidden_states[0], *layers) if output_hidden_states else None,
            selector_weights=mixed.weights if output_selector_weights else None,
        )
        if mixed.entropy is not None:
            output.selector_entropy = mean_entropy(mixed.entropy, real_BT)
        if labels is not None:
            targets = None
            if codes is not None:
                targets = code_targets(
                    input_ids,
                    codes,
                    labels,
                    config.id_space,
                    real_BT,
                    document_ids,
                    predict_switch=config.predict_switch,
                )
            self._add_loss(output, final_BTD, speech_BTE, labels, kwargs.get("num_items_in_batch"), targets)
        if labels is None or not self.training:
            next_BT = next_is_speech(input_ids, config.switch_id, is_speech_BT, history, document_ids)
            keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            output.logits = self._logits(final_BTD[:, keep], speech_BTE[:, keep], next_BT[:, keep], speech_only)
            output.codebook_logits = None if codes is None else self._codebook_head(speech_BTE[:, keep])
        return output

    # ------------------------------------------------------------------ the steps

    def _embed(self, input_ids: Tensor, codes: Tensor | None) -> tuple[Tensor, Tensor]:
        """Text embeddings [B, T, D] and unit embeddings [B, T, E], each with a filler where the other belongs."""
        is_speech = input_ids >= self.config.speech_offset
        text = self.backbone.get_input_embeddings()(torch.where(is_speech, 0, input_ids))
        units = self._embed_units(torch.where(is_speech, input_ids, self.config.id_space.pad_speech), codes)
        return text, units.to(text.dtype)

    def _embed_units(self, speech_ids: Tensor, codes: Tensor | None) -> Tensor:
        """[B, T] -> [B, T, E]; several codebooks: their sum."""
        units = self.speech_embed(speech_ids - self.config.speech_offset)
        if codes is None:
            return units
        return units + embed_codes(speech_ids, codes, self.config.id_space, self._codebook_table())

    def _lone_padding(self) -> Tensor:
        """The embedding of a padding unit by itself, [1, 1, E]."""
        config = self.config
        padding = torch.tensor([[config.id_space.pad_speech]], device=self.speech_embed.weight.device)
        silent = padding.new_full((1, 1, config.num_codebooks - 1), SILENT) if config.num_codebooks > 1 else None
        return self._embed_units(padding, silent)

    def _fuse(
        self,
        text: Tensor,
        units: Tensor,
        is_speech: Tensor,
        document_ids: Tensor | None,
        spans: Sequence[SpanBatch] | None,
        views: CacheViews | None,
        history: History | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The input adapter over each speech span alone; text passes by unchanged.

        Returns:
            What the backbone reads, [B, T, D], and, where the layer mix wants them, the outputs of the adapter's
            layers; at text positions they hold what it makes of a lone padding unit.
        """
        config, mixes_inputs = self.config, self.config.num_mixed_layers > self.config.num_layers
        if not config.num_input_layers:
            return torch.where(is_speech[..., None], self.input_projection(units), text), ()
        if views is not None and history is not None:  # decoding: on the time grid, so that the cache has one clock
            T = units.shape[1]
            if config.masks_spans:
                mask = self.input_adapter.mask(units, history.visible(T))
                positions = history.positions_in_span(T)
                layers = self.input_adapter(units, mask, positions, views.input_adapter, all_layers=mixes_inputs)
            else:
                layers = decode_runs(self.input_adapter, units, history, views.input_adapter, mixes_inputs)
            fused = torch.where(is_speech[..., None], self.input_projection(layers[-1]).to(text.dtype), text)
            return fused, tuple(self.pool_projection(layer) for layer in layers) if mixes_inputs else ()
        if config.published_spans and document_ids is None:
            grid = torch.where(is_speech[..., None], units, text)
            mask = self.input_adapter.mask(grid, published_visibility(is_speech))
            return torch.where(is_speech[..., None], self.input_adapter(grid, mask)[-1], text), ()
        groups = group_spans(find_spans(is_speech, document_ids)) if spans is None else spans
        nothing_heard = self.training and not any(group.num_spans for group in groups)
        padding = self._lone_padding().to(text.dtype) if mixes_inputs or nothing_heard else None
        adapted, lone = adapt_spans(self.input_adapter, units, groups, padding, mixes_inputs)
        # A batch without speech takes the lone unit with weight zero: no parameter may go without gradient.
        fused = text + 0.0 * self.input_projection(lone[-1]).mean().to(text.dtype) if nothing_heard else text
        heard: tuple[Tensor, ...] = ()
        if mixes_inputs:
            heard = tuple(self.pool_projection(layer).to(text.dtype).expand_as(text) for layer in lone)
        for group, layers in adapted:
            fused = scatter(self.input_projection(layers[-1]), group, fused)
            heard = tuple(
                scatter(self.pool_projection(layer), group, held) for layer, held in zip(layers, heard, strict=False)
            )
        return fused, heard

    def _speech_head(self, states: Tensor) -> Tensor:
        """[..., E] -> [..., U]. Tied by using the matrix, not by sharing a parameter: PEFT would silently part them."""
        if not self.config.tie_speech_embeddings:
            return self.speech_unembed(states)
        table = table_of(self.speech_embed, self.config.id_space.num_speech_ids)
        return F.linear(states, table.to(states.dtype))

    def _codebook_head(self, states: Tensor) -> Tensor:
        """[..., E] -> [..., Q - 1, K], tied as :meth:`_speech_head` is."""
        if not self.config.tie_speech_embeddings:
            return code_logits(self.codebook_unembed(states), self.config.id_space)
        return code_logits(F.linear(states, self._codebook_table().to(states.dtype)), self.config.id_space)

    def _codebook_table(self) -> Tensor:
        space = self.config.id_space
        return table_of(self.codebook_embed, (space.num_codebooks - 1) * space.num_speech_ids)

    def _text_head(self, states: Tensor) -> Tensor:
        """[N, D] -> [N, V], the backbone's own; control ids are impossible."""
        logits = self.text_head(self.backbone, states)
        never = torch.tensor(self._never_predicted(), device=logits.device)
        return logits.index_fill(-1, never, torch.finfo(logits.dtype).min)

    def _never_predicted(self) -> list[int]:
        space = self.config.id_space
        return [space.begin_prompt, space.end_prompt] + ([] if self.config.predict_switch else [space.switch])

    def _logits(
        self, text_states: Tensor, speech_states: Tensor, speech_next: Tensor, speech_only: bool | None
    ) -> Tensor:
        """[B, N, D] twice -> [B, N, V + U]; ids of the modality that cannot follow hold the dtype's minimum."""
        config, (B, N), next_BN1 = self.config, speech_next.shape, speech_next[..., None]
        floor = torch.finfo(text_states.dtype).min
        logits = text_states.new_full((B, N, config.vocab_size), floor)
        if self._needs_text_head(speech_next, speech_only):
            text = self.text_head(self.backbone, text_states.flatten(0, 1)).unflatten(0, (B, N))
            # Behind the text table may lie unused ids (a table padded to a round number): nothing predicts them.
            logits[..., : text.shape[-1]] = text.masked_fill(next_BN1, floor)
            for index in self._never_predicted():
                logits[..., index] = floor
            if config.predict_switch:  # leaving speech is predicted among the units, by the text head's row
                logits[..., config.switch_id] = text[..., config.switch_id]
        logits[..., config.speech_offset :] = self._speech_head(speech_states).masked_fill(~next_BN1, floor)
        return logits

    def _needs_text_head(self, speech_next: Tensor, speech_only: bool | None) -> bool:
        """Whether any position predicts text: where none does, a large vocabulary would cost more than all the rest."""
        if self.config.predict_switch:
            return True
        if speech_only is None:  # a GPU would have to be waited for, a compiler would break its graph
            speech_only = not (torch.compiler.is_compiling() or speech_next.is_cuda) and bool(speech_next.all())
        return not speech_only

    def _add_loss(
        self,
        output: SmolTolkOutput,
        text: Tensor,
        speech: Tensor,
        labels: Tensor,
        num_items: Tensor | int | None,
        targets: Tensor | None,
    ) -> None:
        if not self.config.predict_switch:
            labels = labels.masked_fill(labels == self.config.switch_id, -100)
        predicted = labels[:, 1:] != -100
        count, frames = num_items, None
        if targets is not None:
            count = predicted.sum() if num_items is None else num_items
            frames = codebook_loss(
                speech,
                targets,
                labels,
                self.config.id_space,
                heads=lambda states: (self._speech_head(states), self._codebook_head(states)),
                weights=self.config.codebook_weights,
                num_predicted=count,
            )
            labels = labels.masked_fill(labels >= self.config.speech_offset, -100)
        loss = modality_loss(
            text,
            speech,
            labels,
            text_head=self._text_head,
            speech_head=self._speech_head,
            speech_offset=self.config.speech_offset,
            num_predicted=count,
            text_rows_at_once=max(64, _LOGITS_AT_ONCE // self.config.speech_offset // 64 * 64),
        )
        output.loss, output.text_loss, output.speech_loss = loss.total, loss.text, loss.speech
        if frames is not None:
            output.loss = output.loss + frames.total
            output.speech_loss, output.codebook_losses = frames.mean, frames.each
        if output.selector_entropy is not None and self.config.entropy_weight:
            share: Tensor | float = 1.0
            if num_items is not None:  # this micro-batch's part of the accumulated mean
                share = predicted.sum() / num_items
            output.loss = output.loss - self.config.entropy_weight * share * output.selector_entropy

    # ------------------------------------------------------------------ housekeeping

    def _views(self, cache: Cache) -> CacheViews:
        config = self.config
        return CacheViews.of(cache, config.num_layers, config.num_input_layers, config.num_output_layers)

    def get_input_embeddings(self) -> nn.Module:
        """The text table."""
        return self.backbone.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        """The text head."""
        return self.backbone.get_output_embeddings()


AutoConfig.register(SmolTolkConfig.model_type, SmolTolkConfig, exist_ok=True)
AutoModelForCausalLM.register(SmolTolkConfig, SmolTolkForCausalLM, exist_ok=True)
