"""What a forward pass gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers import Cache
from transformers.utils import ModelOutput


@dataclass
class SmolTolkOutput(ModelOutput):
    """What a forward pass gives.

    Attributes:
        loss: scalar; None without labels.
        logits: [B, T, ids] over the one id space; what cannot follow holds the dtype's minimum. None in training
            with labels, where each head is computed on its own rows only.
        past_key_values: the flat cache (see :mod:`smoltolk.model.cache`).
        hidden_states: L + 1 tensors [B, T, D]: the backbone's input, then h^1..h^L (on request).
        attentions: of the backbone's layers, [B, heads, N, S] each, N positions that it reads (on request, where its
            attention gives them and documents are not computed side by side).
        text_loss, speech_loss: mean NLL in nats of what each softmax predicts. ``<switch>``, where it is predicted,
            belongs to the modality that it leaves.
        num_text, num_speech: how many these are.
        nll: [B, T], NLL in nats of each label (on request, see :meth:`SmolTolkForCausalLM.nll`); [B, T, Q]
            of several codebooks that are asked for apart.
        label_nll: [B, T], NLL in nats of each label beside the loss, without a gradient; 0 where nothing is predicted,
            of several codebooks their weighted sum.
        num_positions: real positions of the batch, of which ``selector_entropy`` is the mean.
        selector_entropy: mean entropy of the selector, nats.
        selector_weights: [B, T, M] (dynamic) or [M] (static), M mixed layers: the backbone's L, before them the input
            adapter's where ``layer_mix_pool`` is ``all`` (on request).
        codebook_logits: [B, T, Q - 1, K] of the codebooks behind the first; they count where a frame follows. None
            with one codebook, and where ``logits`` is.
        codebook_losses: [Q], mean NLL in nats of each codebook's predicted units; None with one codebook. Then
            ``speech_loss`` is their weighted sum per predicted speech position.
        num_per_codebook: [Q], how many units of each codebook these are.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    text_loss: Tensor | None = None
    speech_loss: Tensor | None = None
    num_text: Tensor | None = None
    num_speech: Tensor | None = None
    label_nll: Tensor | None = None
    num_positions: Tensor | None = None
    nll: Tensor | None = None
    selector_entropy: Tensor | None = None
    selector_weights: Tensor | None = None
    codebook_logits: Tensor | None = None
    codebook_losses: Tensor | None = None
    num_per_codebook: Tensor | None = None

    @property
    def last_hidden_state(self) -> Tensor:
        """There is none: TRL, which would predict everything from it, is told what to do."""
        raise AttributeError(
            "a model of two heads has no one state that predicts: take TRL's trainers from smoltolk.trl_trainer,"
            " others must read the logits"
        )
