"""Two heads, one id space: what follows is text or speech, and each has a softmax of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.fused_loss import summed_cross_entropy
from smoltolk.model.loss import IGNORE, Statistic, chosen_rows, cross_entropy, of_rows
from smoltolk.model.reading import Reading
from smoltolk.model.text_models.text_head import TextHead
from smoltolk.model.units import UnitTable


@dataclass(frozen=True)
class States:
    """What the heads read: final states of the backbone [B, T, D] and of the output adapter [B, T, E]."""

    text: Tensor
    speech: Tensor


@dataclass(frozen=True)
class Asked:
    """Which ids are predicted, by one rule for loss, counts, scores and logits.

    A label counts where the model's logits can produce it: an id of the modality that is due, or ``<switch>`` where
    switching is predicted. It is predicted from the real position before it. Prompt ids, spare rows, the first id of a
    document and what padding predicts do not count.

    Attributes:
        labels: int64 [B, T].
        text, speech: int64 [B, T], columns of the softmax of each label; IGNORE where it is not asked. Several
            codebooks: speech [B, T, Q].
        source: int64 [B, T], the flat position (of B * T) that predicts each label.
    """

    labels: Tensor
    text: Tensor
    speech: Tensor
    source: Tensor

    @property
    def speech_places(self) -> Tensor:
        """[B, T] bool: labels of which the speech softmax (of some codebook) predicts something."""
        asked = self.speech != IGNORE
        return asked if asked.ndim == 2 else asked.any(-1)

    @property
    def text_places(self) -> Tensor:
        """[B, T] bool: labels that the text softmax predicts."""
        return self.text != IGNORE


class Heads(nn.Module):
    """The text softmax over V ids, the backbone's own, and the speech softmax over U; one more column each, behind the
    others, where ``<switch>`` is predicted.

    Which of them a position uses follows from the ids: the modality of the next id. So one logits tensor
    [B, T, ids] serves ``generate()``, beam search and lm-eval, while training computes each head on its own rows only.

    Args:
        config: the model's.
    """

    def __init__(self, config: SmolTolkConfig):
        super().__init__()
        self.space = config.id_space
        self.predicts_switch = config.predict_switch
        self.text_head = TextHead()  # no module: all it has is the backbone's
        if self.predicts_switch:
            self.switch = nn.Linear(config.hidden_size, 1, bias=False)

    def text_logits(self, backbone: PreTrainedModel, states: Tensor) -> Tensor:
        """Final states [N, D] -> [N, V], and one more column where ``<switch>`` is predicted; no spare rows."""
        logits = self.text_head(backbone, states)[:, : self.space.num_text].to(states.device)
        if not self.predicts_switch:
            return logits
        return torch.cat([logits, self.switch(states).to(logits)], dim=-1)

    # ------------------------------------------------------------------ every id

    def logits(
        self,
        backbone: PreTrainedModel,
        units: UnitTable,
        states: States,
        reading: Reading,
        keep: int | Tensor = 0,
        speech_only: bool | None = None,
    ) -> dict[str, Tensor]:
        """Logits of the next id, as fields of the output.

        Args:
            backbone, units: whose heads they are.
            states: all of them.
            reading: of the same ids.
            keep: number of last positions (0: all), or their indices.
            speech_only: as in ``forward``.

        Returns:
            ``logits`` [B, N, ids]; what cannot follow holds the dtype's minimum. What else ``units`` predicts.
        """
        kept = slice(-keep, None) if isinstance(keep, int) else keep
        text_states, speech_states = states.text[:, kept], states.speech[:, kept]
        speech_follows, space = reading.speech_follows[:, kept], self.space
        follows_BN1 = speech_follows[..., None]
        speech = units.logits(speech_states)  # its type is the output's: autocast decides
        floor = torch.finfo(speech.dtype).min
        logits = speech.new_full((*speech_follows.shape, space.size), floor)
        switch = speech[..., space.num_speech_ids :]
        if not _all_speech(speech_follows, speech_only):
            text = self.text_logits(backbone, text_states.flatten(0, 1)).unflatten(0, speech_follows.shape)
            text = text.to(speech.dtype)
            logits[..., : space.num_text] = text[..., : space.num_text].masked_fill(follows_BN1, floor)
            switch = torch.where(follows_BN1, switch, text[..., space.num_text :])
        logits[..., space.speech_offset :] = speech[..., : space.num_speech_ids].masked_fill(~follows_BN1, floor)
        if self.predicts_switch:
            logits[..., space.switch] = switch[..., 0]
        return {"logits": logits, **units.more_logits(speech_states)}

    # ------------------------------------------------------------------ labels alone

    def asked(self, units: UnitTable, labels: Tensor, reading: Reading) -> Asked:
        """Which of the labels [B, T] are predicted, aligned with the ids (position t holds what follows t - 1)."""
        space, T = self.space, labels.shape[1]
        predicted = reading.source >= 0
        speech_due = reading.speech_follows.gather(1, reading.source.clamp(min=0))
        text_due, speech_due = predicted & ~speech_due, predicted & speech_due
        text = torch.where(text_due & (labels >= 0) & (labels < space.num_text), labels, IGNORE)
        if self.predicts_switch:
            text = text.masked_fill(text_due & (labels == space.switch), space.num_text)
        row = torch.arange(len(labels), device=labels.device)[:, None] * T
        return Asked(labels, text, units.wanted(labels, speech_due, reading), reading.source + row)

    def _of_text(
        self, backbone: PreTrainedModel, states: Tensor, asked: Asked, statistic: Statistic
    ) -> tuple[Tensor, Tensor]:
        """Of text labels: their flat places [n], and the statistic [n, ...] of their logits."""
        place = asked.text_places.flatten().nonzero().squeeze(1)
        found = of_rows(
            lambda chosen, wanted: statistic(self.text_logits(backbone, chosen), wanted),
            states.flatten(0, 1),
            asked.source.flatten()[place],
            asked.text.flatten()[place],
            self.space.num_text,
        )
        return place, found

    def _sum_of_text(self, backbone: PreTrainedModel, states: Tensor, asked: Asked) -> tuple[Tensor, Tensor, Tensor]:
        """Sum of the NLLs of text labels, their flat places [n] and NLLs [n]. Where gradients are wanted, they are made
        at once, and the sum alone has one."""
        matrix = self.text_head.matrix(backbone) if torch.is_grad_enabled() else None
        if matrix is None or matrix.device != states.device:
            place, nll = self._of_text(backbone, states, asked, cross_entropy)
            return nll.sum(), place, nll
        place = asked.text_places.flatten().nonzero().squeeze(1)
        matrices: list[tuple[Tensor, int]] = [(matrix, self.space.num_text)]
        if self.predicts_switch:
            matrices.append((self.switch.weight, 1))
        chosen, wanted = chosen_rows(states.flatten(0, 1), asked.source.flatten()[place], asked.text.flatten()[place])
        total, nll = summed_cross_entropy(chosen, matrices, wanted)
        return total, place, nll[: len(place)]

    def _of_speech(
        self, units: UnitTable, states: Tensor, asked: Asked, statistic: Statistic
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of speech labels: their flat places [n], columns [n] (several codebooks: [n, Q]), and the statistic."""
        place = asked.speech_places.flatten().nonzero().squeeze(1)
        wanted = asked.speech.flatten(0, 1)[place]
        found = of_rows(
            lambda chosen, columns: units.each(chosen, columns, statistic),
            states.flatten(0, 1),
            asked.source.flatten()[place],
            wanted,
            units.width,
        )
        return place, wanted, found

    @torch.compiler.disable  # how many labels each head has is in the values: a compiler would stop at each
    def loss(
        self,
        backbone: PreTrainedModel,
        units: UnitTable,
        states: States,
        reading: Reading,
        labels: Tensor,
        num_items: Tensor | int | None = None,
    ) -> dict[str, Any]:
        """(sum of text NLL + sum of speech NLL) / number of predicted positions, as fields of the output.

        Args:
            backbone, units, states, reading: as for :meth:`logits`.
            labels: int64 [B, T].
            num_items: labels of all accumulated batches, as a Trainer counts them: all that are not -100.

        Returns:
            ``loss``; ``text_loss`` and ``speech_loss``, means over what each softmax predicts; ``num_text`` and
            ``num_speech``, how many ids these are; ``label_nll`` [B, T]; what else ``units`` tells.
        """
        asked = self.asked(units, labels, reading)
        text, text_places, text_nll = self._sum_of_text(backbone, states.text, asked)
        num_text = len(text_places)
        places, wanted, speech_nll = self._of_speech(units, states.speech, asked, cross_entropy)
        speech, figures = units.total(speech_nll, wanted)
        num_speech = len(places)
        count: Tensor | float = num_text + num_speech
        if num_items is not None:  # a Trainer counts labels that no head predicts, too
            labelled = (labels[:, 1:] != IGNORE).sum().clamp(min=1)
            count = num_items * (count / labelled)
        total = (text + speech) / (count.clamp(min=1) if isinstance(count, Tensor) else max(count, 1))
        as_tensor = labels.new_tensor
        with torch.no_grad():
            each = torch.zeros(labels.numel(), device=labels.device).index_copy(
                0, text_places, text_nll.to(labels.device, torch.float32)
            )
            each.index_copy_(0, places, units.of_each(speech_nll).to(labels.device, torch.float32))
        return {
            "loss": total,
            "text_loss": text.detach() / max(num_text, 1),
            "speech_loss": speech.detach() / max(num_speech, 1),
            "num_text": as_tensor(num_text),
            "num_speech": as_tensor(num_speech),
            "label_nll": each.view(labels.shape),
            **figures,
        }

    def each(
        self,
        backbone: PreTrainedModel,
        units: UnitTable,
        states: States,
        reading: Reading,
        labels: Tensor,
        statistic: Statistic = cross_entropy,
        *,
        apart: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Something of the logits of each label, a few rows at a time: by default its NLL in nats.

        Args:
            backbone, units, states, reading, labels: as for :meth:`loss`.
            statistic: logits [n, V] and columns [n] of them -> [n, ...]. Where nothing is asked (IGNORE) 0 is expected.
            apart: keep several codebooks apart.

        Returns:
            float32 [B, T, ...], several codebooks: the sum over those that speak, or, kept apart, [B, T, Q, ...] with
            text in the first; 0 where nothing is predicted. And bool [B, T], what is predicted.
        """
        asked = self.asked(units, labels, reading)
        text_place, text = self._of_text(backbone, states.text, asked, statistic)
        speech_place, wanted, speech = self._of_speech(units, states.speech, asked, statistic)
        if wanted.ndim > 1 and apart:
            text = torch.stack([text, *[torch.zeros_like(text)] * (wanted.shape[1] - 1)], dim=1)
        elif wanted.ndim > 1:
            speech = speech.sum(1)
        grid = text.new_zeros(labels.numel(), *text.shape[1:])
        grid = grid.index_copy(0, text_place, text).index_copy(0, speech_place, speech)
        return grid.view(*labels.shape, *text.shape[1:]), asked.text_places | asked.speech_places

    def nll(
        self,
        backbone: PreTrainedModel,
        units: UnitTable,
        states: States,
        reading: Reading,
        labels: Tensor,
        statistic: Statistic = cross_entropy,
        *,
        apart: bool = False,
    ) -> Tensor:
        """NLL of each label in nats, float32 [B, T]; see :meth:`SmolTolkForCausalLM.nll`."""
        nll, predicted = self.each(backbone, units, states, reading, labels, statistic, apart=apart)
        impossible = (labels != IGNORE) & (reading.source >= 0) & ~predicted
        return nll.masked_fill(impossible.view(*labels.shape, *[1] * (nll.ndim - 2)), torch.inf)


def _all_speech(speech_follows: Tensor, speech_only: bool | None) -> bool:
    """Whether no position predicts text: then a large vocabulary would cost more than all the rest."""
    if speech_only is None:  # a compiler would break its graph
        return not torch.compiler.is_compiling() and bool(speech_follows.all())
    return speech_only
