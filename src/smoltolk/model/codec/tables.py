"""The tables of several codebooks: embeddings that are summed, and a softmax each.

One matrix ``[(Q - 1) U, E]`` holds the tables behind the first one under the other, with rows as the first codebook has
them: units, end and padding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoltolk.model.codec.targets import code_targets
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.loss import IGNORE, Statistic
from smoltolk.model.reading import Reading
from smoltolk.model.units import UnitTable, is_plain


def unit_table(config: SmolTolkConfig) -> UnitTable:
    """The speech tables of a model: a plain one, or one of frames."""
    return FrameTable(config) if config.num_codebooks > 1 else UnitTable(config)


class FrameTable(UnitTable):
    """Frames of Q codebooks: ids carry the first one's units, :attr:`Reading.codes` the others'.

    Args:
        config: the model's.
    """

    def __init__(self, config: SmolTolkConfig):
        super().__init__(config)
        num_rows = (self.space.num_codebooks - 1) * self.space.num_speech_ids
        self.further = nn.Embedding(num_rows, config.input_width)
        if not self.tied:
            self.further_unembed = nn.Linear(config.output_width, num_rows, bias=False)
        self.width += num_rows
        self.weights = config.codebook_weights

    def forward(self, reading: Reading) -> Tensor:
        """The sum [B, T, E] of all codebooks' embeddings; where one is silent, that of its padding.

        At ``<eos speech>`` every codebook ends.
        """
        ids, space = self._speech_ids(reading), self.space
        special = torch.where(ids == space.eos_speech, space.num_units, space.num_units + 1)
        rows = torch.where(reading.codes < 0, special[..., None], reading.codes)
        rows = rows + torch.arange(space.num_codebooks - 1, device=rows.device) * space.num_speech_ids
        units = self.embed(ids - space.speech_offset)
        return units + self._bags(rows).to(units)

    def _bags(self, rows: Tensor) -> Tensor:
        if (
            is_plain(self.further) and self.further.weight.device == rows.device
        ):  # one bag a position: no [B, T, Q - 1, E] is ever made
            return F.embedding_bag(rows.flatten(0, 1), self.further.weight, mode="sum").view(*rows.shape[:2], -1)
        return self.further(rows).sum(-2)

    def code_logits(self, states: Tensor) -> Tensor:
        """[..., E] -> [..., Q - 1, K]: a softmax each; the end of speech is the first codebook's to predict."""
        num_rows = (self.space.num_codebooks - 1) * self.space.num_speech_ids
        logits = self._tied(states, self.further, num_rows) if self.tied else self.further_unembed(states)
        return logits.to(states.device).unflatten(-1, (self.space.num_codebooks - 1, -1))[..., : self.space.num_units]

    def more_logits(self, states: Tensor) -> dict[str, Tensor]:
        """The logits of the codebooks behind the first."""
        return {"codebook_logits": self.code_logits(states)}

    def wanted(self, labels: Tensor, speech_due: Tensor, reading: Reading) -> Tensor:
        """See :class:`UnitTable`; [B, T, Q], of the first codebook columns of its softmax, of the others units."""
        return code_targets(super().wanted(labels, speech_due, reading), reading, self.space, self.predicts_switch)

    def each(self, states: Tensor, wanted: Tensor, statistic: Statistic) -> Tensor:
        """See :class:`UnitTable`; [n, E], [n, Q] -> [n, Q, ...]."""
        first = statistic(self.logits(states), wanted[:, 0])
        others = statistic(self.code_logits(states).flatten(0, 1), wanted[:, 1:].flatten())
        shape = (len(wanted), self.space.num_codebooks - 1, *others.shape[1:])
        return torch.cat([first[:, None], others.view(shape)], dim=1)

    def total(self, nll: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """The weighted sum over codebooks, each one's mean per predicted unit, and how many these are."""
        shares = self._shares(nll.device)
        sums, counts = nll.sum(0), (wanted != IGNORE).sum(0)
        figures = {"codebook_losses": sums.detach() / counts.clamp(min=1), "num_per_codebook": counts}
        return (sums * shares).sum(), figures

    def of_each(self, nll: Tensor) -> Tensor:
        """What each label [n] of [n, Q] adds to that sum."""
        return (nll * self._shares(nll.device)).sum(1)

    def _shares(self, device: torch.device) -> Tensor:
        Q = self.space.num_codebooks
        return torch.tensor([1 / Q] * Q if self.weights is None else self.weights, device=device)
