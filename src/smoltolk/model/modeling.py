"""SmolTolk: late fusion, multi-level fission and late fission around any text language model.

arXiv 2503.06211; :meth:`SmolTolkForCausalLM.compute` is its section 3. Shapes, which names of tensors carry as
suffixes: B rows, T positions, N positions of the backbone (T, but for unit patches), D width of the backbone, E width
of the adapter at hand (D unless it is narrower): of the input adapter up to step 2, of the output adapter from step 5
on. L layers of the backbone, K units, Q codebooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, Cache, PreTrainedModel
from transformers import initialization as init

from smoltolk.common.errors import InputError
from smoltolk.model.codec.tables import unit_table
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.generation.mixin import SmolTolkGenerationMixin
from smoltolk.model.generation.modes import generation_defaults
from smoltolk.model.heads import Heads, States
from smoltolk.model.interop.card import CardMixin
from smoltolk.model.late_fission import LateFission, copy_top_layers
from smoltolk.model.late_fusion import LateFusion
from smoltolk.model.layer_mix import LayerMix, Mixed
from smoltolk.model.loss import IGNORE, Statistic, cross_entropy, mean_entropy
from smoltolk.model.output import SmolTolkOutput
from smoltolk.model.packing import documents_as_rows
from smoltolk.model.reading import Reading, checked_inputs, restarting
from smoltolk.model.spans import SpanBatch
from smoltolk.model.text_models.assembly import own_text_model, pad_text_table, smoltolk_config
from smoltolk.model.text_models.layers import layer_parameter_names, with_new_layers
from smoltolk.model.text_models.omission import check_omission
from smoltolk.model.text_models.router import router_loss
from smoltolk.model.text_models.skeleton import put_weights, weightless

_ROWS_AT_ONCE = 1024  # of the text table, where all of it is looked at


class SmolTolkPreTrainedModel(CardMixin, PreTrainedModel):
    """Loading, saving and initialisation."""

    config_class = SmolTolkConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _tied_weights_keys: ClassVar[dict[str, str]] = {}  # of our own; PEFT looks for the backbone's only beside a dict
    _no_split_modules: ClassVar[list[str]] = ["LayerMix"]  # on one device each, as the decoder layers are
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """What is ours N(0, ``initializer_range``^2); adapters and backbone initialise themselves as they always do.

        Speech tables too, whatever the scale of the text table: at its scale they learn faster at first, over a Llama,
        and after 2,000 steps late fusion stands where it stood and early fusion behind it (docs/log.md).
        """
        std = self.config.initializer_range
        if isinstance(module, LayerMix):
            module.reset_parameters(std)
        elif isinstance(module, nn.Embedding | nn.Linear) and module in self._own_matrices():
            init.normal_(module.weight, std=std)
            if getattr(module, "bias", None) is not None:
                init.zeros_(module.bias)

    def _own_matrices(self) -> list[nn.Module]:
        """Tables, heads and projections that the text model did not bring."""
        parts: list[nn.Module] = [self.units, self.late_fusion, self.late_fission, self.heads]
        return [self.control_embed, *(child for part in parts for child in part.children())]


class Computed(NamedTuple):
    """What the paper's steps make of a batch."""

    layers: tuple[Tensor, ...]  # the backbone's input, then h^1..h^L, [B, N, D] each; the last behind the final norm
    mixed: Mixed  # what the layer mix selected
    states: States  # what the two heads read
    attentions: tuple[Tensor, ...] | None  # of the backbone, on request
    router_logits: tuple[Tensor, ...] | None  # of a backbone of experts, where its configuration asks for them


class SmolTolkForCausalLM(SmolTolkPreTrainedModel, SmolTolkGenerationMixin):
    """A text language model that also hears and speaks.

    Ids alone say what a position is: below ``config.speech_offset`` text, from there on speech.
    """

    def __init__(self, config: SmolTolkConfig, *, has_weights: bool = True):
        super().__init__(config)
        # Without weights, the text model's own are put in place of them.
        make = AutoModelForCausalLM.from_config if has_weights else weightless
        self.backbone = make(config.text_config)
        self.control_embed = nn.Embedding(config.num_control_ids, config.hidden_size)
        self.units = unit_table(config)
        self.late_fusion = LateFusion(config)
        self.layer_mix = LayerMix(
            config.layer_mix, config.num_mixed_layers, config.hidden_size, config.layer_mix_norm, config.fission_layer,
            config.last_layer_lead,
        )  # fmt: skip
        self.late_fission = LateFission(config)
        self.heads = Heads(config)
        trained = self.trainable_parameters()
        self._frozen = {name for name, _ in self.named_parameters() if name not in trained}
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
        new_layers: Sequence[int] | None = None,
        dtype: torch.dtype | None = None,
        keep: bool = True,
        **settings: Any,
    ) -> SmolTolkForCausalLM:
        """Give a pretrained text language model ears and a mouth.

        Args:
            text_model: hub id, directory, or a loaded causal LM.
            num_units: K, the size of the codebook.
            eos_text_id: end of sequence in text; the text model's own if None.
            seed: of every new parameter.
            new_layers: places of fresh layers in the backbone, counted in the deeper backbone.
            dtype: of the weights; None: that of a loaded model, else float32.
            keep: leave a loaded causal LM as it is and take a copy; otherwise its weights become the backbone's, and it
                is of no further use.
            settings: of :class:`SmolTolkConfig`, e.g. ``num_input_layers=0`` or ``layer_mix="static"``.

        Raises:
            InputError: no such text model, or a setting that breaks a rule.
        """
        source = own_text_model(text_model, dtype=dtype, keep=keep)
        if new_layers:
            source = with_new_layers(source, new_layers, seed)
            settings["new_layers"] = list(new_layers)
        config = smoltolk_config(source, pad_text_table(source), num_units, eos_text_id, **settings)
        if config.patch_size > 1:
            check_omission(source)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config, has_weights=False)
            put_weights(model.backbone, source)
            model.tie_weights()
            model._scale_control_rows()
            if config.copies_top_layers:
                copy_top_layers(model.backbone, model.late_fission.adapter)
        # Parameters alone take the text model's type: rotary frequencies and other buffers must keep theirs.
        types = {f"backbone.{name}": parameter.dtype for name, parameter in source.named_parameters()}
        for name, parameter in model.named_parameters():
            parameter.data = parameter.data.to(types.get(name, source.dtype))
        return model.train(source.training)

    @torch.no_grad()
    def _scale_control_rows(self) -> None:
        """Bring control rows to the mean norm of text embeddings: neither drowned nor drowning out what is there."""
        device, rows = self.control_embed.weight.device, self.control_embed.weight
        table, ids = self.get_input_embeddings(), torch.arange(self.config.num_text_ids, device=device)
        norms = torch.cat([table(some).float().norm(dim=-1) for some in ids.split(_ROWS_AT_ONCE)])
        rows *= norms.mean() / rows.norm(dim=-1, keepdim=True)

    def speech_parameters(self) -> dict[str, nn.Parameter]:
        """All parameters by name that the text model did not bring: what stage 1 trains."""
        new = {f"backbone.{name}" for name in layer_parameter_names(self.backbone, self.config.new_layers or ())}
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if not name.startswith("backbone.") or name in new
        }

    def trainable_parameters(self, everything: bool = True) -> dict[str, nn.Parameter]:
        """Parameters by name that a stage trains: all of them, or the speech part alone.

        Args:
            everything: as far as it ever trains: not what the text model brought where ``frozen_text_model`` is set.
        """
        if everything and not self.config.frozen_text_model:
            return dict(self.named_parameters())
        return self.speech_parameters()

    def tie_weights(self, *args: Any, **kwargs: Any) -> None:
        """As in transformers, which calls it when all weights are in their places: what never trains is frozen then."""
        super().tie_weights(*args, **kwargs)
        for name, parameter in self.named_parameters():
            if name in self._frozen:
                parameter.requires_grad_(False)

    # ------------------------------------------------------------------ the paper, on one page

    def compute(self, reading: Reading, output_attentions: bool = False) -> Computed:
        """Everything between ids and heads. Padding counts as text, whatever its id; nothing reads its states.

        Parts may lie on several devices: what they make is brought together where the ids are.
        """
        # 1. Embed: e_t is a row of the text table or of the unit table. Each gives a filler where the other modality
        # stands, text id 0 and <pad speech>, which the backbone never reads.
        text_BTD = self._embed_text(reading)
        units_BTE = self.units(reading).to(text_BTD)

        # 2. Late fusion: the input adapter composes the units of each span, seen alone, before the backbone reads them;
        # text passes by. Mask, positions and cache of the adapter are in the layout.
        fused_BTD, input_layers = self.late_fusion(units_BTE, text_BTD, reading.is_speech, reading.layout)

        # 3. The text backbone over the mixed sequence, causal; packed documents are kept apart by positions that
        # restart. Where units come in patches, it sees one position for each. Without its head: that is for chosen rows
        # alone.
        patches = reading.patches
        backbone = self.backbone.base_model(
            inputs_embeds=patches.pool(fused_BTD),
            attention_mask=patches.attention_mask,
            position_ids=patches.position_ids,
            past_key_values=reading.state.backbone,
            use_cache=reading.state.backbone is not None,
            output_hidden_states=True,
            **({"output_attentions": True} if output_attentions else {}),
        )
        # h^1..h^L behind the backbone's input. h^L is taken behind the final norm; not every architecture lists it so.
        layers = (*backbone.hidden_states[:-1], backbone.last_hidden_state)

        # 4. Multi-level fission: each position selects among all layers what speech is read from:
        # s = static mix of the layers, a = softmax(W s + b), m = sum_l a_l h^l.
        mixed = patches.spread(self.layer_mix((*input_layers, *layers[1:])).to(text_BTD.device))

        # 5. Late fission: add e_t, from before the input adapter, on text too; then the output adapter over all
        # positions of a document, causal. With the residual both adapters' tables are D wide.
        raw_BTD = None
        if self.config.speech_residual:
            raw_BTD = torch.where(reading.is_speech[..., None], units_BTE, text_BTD)
        speech_BTE = self.late_fission(
            mixed.state, raw_BTD, reading.attention_mask, reading.position_ids, reading.state.late_fission
        )

        # 6. Text is predicted from h^L, speech from the output adapter.
        states = States(text=patches.on_grid(layers[-1].to(text_BTD.device)), speech=speech_BTE.to(text_BTD.device))
        return Computed(layers, mixed, states, backbone.get("attentions"), backbone.get("router_logits"))

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
        output_attentions: bool = False,
        output_selector_weights: bool = False,
        output_nll: bool | Statistic | Literal["apart"] = False,
        speech_only: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        num_positions_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SmolTolkOutput:
        """Predict the next id of text or speech.

        Args:
            input_ids: [B, T] ids of the one id space.
            attention_mask: [B, S], 1 for real positions, 0 for padding, which may stand anywhere; S counts the cached
                positions too.
            position_ids: [B, T]; made from the mask, the cache or the documents if None.
            past_key_values: cache of earlier positions, which grows.
            inputs_embeds: not accepted (the modality is in the ids); here because adapters of PEFT name it.
            labels: [B, T], aligned with ``input_ids``; -100 where nothing is predicted. What the logits cannot produce
                at its place has no part in the loss (see :class:`smoltolk.model.heads.Asked`).
            document_ids: [B, T], which packed document a position belongs to; documents do not see each other. With
                them, ``position_ids`` restart where documents do. If None, ``position_ids`` that restart tell documents
                apart, as data collators of transformers and TRL write them.
            spans: the speech spans of this batch, as the collator found and grouped them; found here if None.
            codes: [B, T, Q - 1], for several codebooks: the units of those behind the first, delayed, -1 where they
                are silent (see :mod:`smoltolk.model.codec.codebooks`).
            use_cache: keep the states for the next call; on by default only if a cache is given.
            logits_to_keep: number of last positions to compute logits for (0: all), or their indices.
            output_hidden_states, output_attentions, output_selector_weights: also return them.
            output_nll: return the NLL of each label instead of loss and logits (see :meth:`nll`); a function of logits
                [n, V] and the labels' columns [n] in its place is computed instead (see :meth:`Heads.each`);
                ``"apart"``: the NLL of several codebooks apart.
            speech_only: True promises that speech follows all positions that logits are kept for: the text head is left
                out then. None looks whether it is so, but under a compiler takes it that it is not.
            num_items_in_batch: number of labels over all accumulated batches, as a Trainer counts them.
            num_positions_in_batch: number of real positions over all accumulated batches, over which the selector's
                entropy is averaged.
            kwargs: what else a Trainer or ``generate()`` hands over.

        Raises:
            InputError: ids or labels out of range, embeddings instead of ids, packed documents with a cache, frames
                without their codebooks or not laid out as the delays say.
        """
        config = self.config
        input_ids, cache = checked_inputs(
            config, input_ids, inputs_embeds, labels, document_ids, past_key_values, use_cache, bool(output_nll),
            num_items_in_batch,
        )  # fmt: skip
        if position_ids is not None:
            position_ids = position_ids.expand(input_ids.shape)
        if document_ids is None:
            document_ids = restarting(position_ids, attention_mask, cache, kwargs.get("seq_idx"))
        if document_ids is not None and not config.packs_documents:
            return documents_as_rows(
                self, input_ids, document_ids, attention_mask=attention_mask, position_ids=position_ids, labels=labels,
                codes=codes, logits_to_keep=logits_to_keep, speech_only=speech_only, output_nll=output_nll,
                output_hidden_states=output_hidden_states, output_selector_weights=output_selector_weights,
                num_items_in_batch=num_items_in_batch, num_positions_in_batch=num_positions_in_batch, **kwargs,
            )  # fmt: skip
        reading = Reading.of(
            config, input_ids, attention_mask=attention_mask, position_ids=position_ids, cache=cache,
            document_ids=document_ids, spans=spans, codes=codes, whole=labels is None, training=self.training,
        )  # fmt: skip

        computed = self.compute(reading, output_attentions)

        # Two heads, one id space. The modality that follows a position decides which of them speaks: that of the id
        # there, and behind a <switch> the opposite of what stood before it. The other one's ids are impossible.
        inputs = (self.backbone, self.units, computed.states, reading)
        fields: dict[str, Any] = {}
        if labels is not None and output_nll:
            statistic = output_nll if callable(output_nll) else cross_entropy
            fields["nll"] = self.heads.nll(*inputs, labels, statistic, apart=output_nll == "apart")
        elif labels is not None:
            fields |= self.heads.loss(*inputs, labels, num_items_in_batch)
        if not output_nll and (labels is None or not self.training):  # training needs no logits but those of labels
            fields |= self.heads.logits(*inputs, logits_to_keep, speech_only)
        if labels is not None:
            fields["num_positions"] = reading.num_positions

        # The loss also rewards a selector that does not settle on one layer: - lambda * mean H(a) over real positions.
        weights, entropy = computed.mixed.weights, computed.mixed.entropy
        if entropy is not None:
            fields["selector_entropy"] = mean_entropy(entropy, reading.real)
        if labels is not None and not output_nll:
            share = _share(reading, labels, num_items_in_batch, num_positions_in_batch)
            if entropy is not None:
                fields["loss"] = fields["loss"] - config.entropy_weight * share * fields["selector_entropy"]
            real = None if reading.real is None else reading.real.long()
            balance = router_loss(self.backbone, computed.states.text, computed.router_logits, real)
            if balance is not None:  # a backbone of experts has a loss of its own beside
                fields["loss"] = fields["loss"] + share * balance
        return SmolTolkOutput(
            past_key_values=cache,
            hidden_states=_on_grid(reading, computed.layers) if output_hidden_states else None,
            attentions=computed.attentions if output_attentions else None,
            selector_weights=weights if output_selector_weights else None,
            **fields,
        )

    def nll(
        self,
        input_ids: Tensor,
        labels: Tensor,
        attention_mask: Tensor | None = None,
        *,
        apart: bool = False,
        **inputs: Any,
    ) -> Tensor:
        """Negative log-likelihood of each label: logits are made of labelled rows alone, a few at a time.

        Args:
            input_ids, attention_mask, inputs: as for ``forward``.
            labels: [B, T], aligned with ``input_ids``; -100 where nothing is asked.
            apart: keep several codebooks apart.

        Returns:
            float32 [B, T], nats: of the label at its own place, predicted by the position before it; 0 where nothing is
            asked or nothing stands before, inf where the model cannot produce that label there. Several codebooks: the
            sum over those that speak, or, kept apart, [B, T, Q] with text in the first. Gradients flow.
        """
        inputs |= {"attention_mask": attention_mask, "labels": labels}
        return self(input_ids, output_nll="apart" if apart else True, **inputs).nll

    # ------------------------------------------------------------------ housekeeping

    def _embed_text(self, reading: Reading) -> Tensor:
        """[B, T, D] from the text table and the control table; at speech positions text id 0."""
        ids, first_control = reading.input_ids, self.config.text_config.vocab_size
        is_control = (ids >= first_control) & (ids < self.config.speech_offset)
        text = self.get_input_embeddings()(torch.where(ids < first_control, ids, 0)).to(ids.device)
        control = self.control_embed(torch.where(is_control, ids - first_control, 0))
        return torch.where(is_control[..., None], control.to(text), text)

    def get_input_embeddings(self) -> nn.Module:
        """The text table."""
        return self.backbone.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        """The text head."""
        return self.backbone.get_output_embeddings()

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args: Any, **kwargs: Any) -> nn.Module:
        """Return the text table, which cannot grow: behind it lie control ids and units.

        Raises:
            InputError: more ids are asked for than the text model brought.
        """
        if new_num_tokens is not None and new_num_tokens > self.config.num_text_ids:
            raise InputError(
                "words are added to a text model before it learns speech: behind its ids lie control ids and units",
                f"{new_num_tokens} ids asked for, the text model brought {self.config.num_text_ids}",
                "resize the text model's own table, then from_text_model or `smoltolk train`",
            )
        return self.get_input_embeddings()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        old = [name for name in state_dict if name.removeprefix(prefix).startswith(_OLD_NAMES)]
        if old:  # weights of PEFT, optimizers' models: what comes with no configuration that would tell
            raise InputError(
                "weights belong to the model that they were trained with",
                f"{old[0]!r}, a name from before smoltolk 0.1, whose ids and tables lay elsewhere",
                "train them again on a new model",
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


# Where parts lay before ids moved.
_OLD_NAMES = ("speech_embed.", "speech_unembed.", "codebook_embed.", "codebook_unembed.", "input_adapter.",
              "output_adapter.", "input_projection.", "pool_projection.", "output_projection.")  # fmt: skip


def _on_grid(reading: Reading, layers: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """States of the backbone [B, N, D] as [B, T, D]."""
    return tuple(reading.patches.on_grid(layer.to(reading.input_ids.device)) for layer in layers)


def _share(
    reading: Reading, labels: Tensor, num_items: Tensor | int | None, num_positions: Tensor | int | None
) -> Tensor | float:
    """This batch's part of a mean over all accumulated batches."""
    if num_positions is not None:
        return reading.num_positions / num_positions
    if num_items is not None:  # a plain Trainer counts labels alone
        return (labels[:, 1:] != IGNORE).sum() / num_items
    return 1.0


AutoConfig.register(SmolTolkConfig.model_type, SmolTolkConfig, exist_ok=True)
AutoModelForCausalLM.register(SmolTolkConfig, SmolTolkForCausalLM, exist_ok=True)
