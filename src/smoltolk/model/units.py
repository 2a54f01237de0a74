"""Speech ids: the table that embeds them, and the softmax that predicts them."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.loss import IGNORE, Statistic
from smoltolk.model.reading import Reading


class UnitTable(nn.Module):
    """Units of one codebook, with their end and padding.

    Where switching is predicted, the softmax has one column more, behind the others: ``<switch>``, the id that leaves
    speech. Several codebooks: :class:`smoltolk.model.codec.tables.FrameTable`.

    Args:
        config: the model's.

    Attributes:
        width: numbers that the softmax makes of a state.
    """

    def __init__(self, config: SmolTolkConfig):
        super().__init__()
        self.space, self.tied = config.id_space, config.tie_speech_embeddings
        self.embed = nn.Embedding(self.space.num_speech_ids, config.input_width)
        if not self.tied:
            self.unembed = nn.Linear(config.output_width, self.space.num_speech_ids, bias=False)
        self.predicts_switch = config.predict_switch
        if self.predicts_switch:
            self.switch = nn.Linear(config.output_width, 1, bias=False)
        self.width = self.space.num_speech_ids + self.predicts_switch

    # ------------------------------------------------------------------ in

    def forward(self, reading: Reading) -> Tensor:
        """Embeddings [B, T, E] of the units; at text and at padding, whatever its id, that of a padding unit."""
        return self.embed(self._speech_ids(reading) - self.space.speech_offset)

    def _speech_ids(self, reading: Reading) -> Tensor:
        return torch.where(reading.is_speech, reading.input_ids, self.space.pad_speech)

    # ------------------------------------------------------------------ out

    def logits(self, states: Tensor) -> Tensor:
        """[..., E] -> [..., U], and one more column where ``<switch>`` is predicted."""
        logits = self.unembed(states) if not self.tied else self._tied(states, self.embed, self.space.num_speech_ids)
        logits = logits.to(states.device)
        if not self.predicts_switch:
            return logits
        return torch.cat([logits, self.switch(states).to(logits)], dim=-1)

    def more_logits(self, states: Tensor) -> dict[str, Tensor]:
        """What else the output of a model holds beside these logits: nothing, with one codebook."""
        return {}

    def wanted(self, labels: Tensor, speech_due: Tensor, reading: Reading) -> Tensor:
        """Which column each position is asked for.

        Args:
            labels: int64 [B, T].
            speech_due: [B, T] bool, whether speech is what can be predicted there.
            reading: of the same ids.

        Returns:
            int64 [B, T] (several codebooks: [B, T, Q]); :data:`~smoltolk.model.loss.IGNORE` where nothing is asked.
        """
        columns = torch.where(
            speech_due & (labels >= self.space.speech_offset), labels - self.space.speech_offset, IGNORE
        )
        if self.predicts_switch:
            columns = columns.masked_fill(speech_due & (labels == self.space.switch), self.space.num_speech_ids)
        return columns

    def each(self, states: Tensor, wanted: Tensor, statistic: Statistic) -> Tensor:
        """States [n, E] and columns as :meth:`wanted` gives them, [n] -> the statistic of their logits, [n, ...].

        Several codebooks: [n, Q] -> [n, Q, ...].
        """
        return statistic(self.logits(states), wanted)

    def total(self, nll: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """The sum of NLLs that is minimised, and what else the output of a model holds beside it."""
        return nll.sum(), {}

    def of_each(self, nll: Tensor) -> Tensor:
        """What each label [n] adds to that sum."""
        return nll

    @staticmethod
    def _tied(states: Tensor, table: nn.Module, num_rows: int) -> Tensor:
        """Tied by using the table's rows, not by sharing a parameter: PEFT would silently part them."""
        return F.linear(states, rows_of(table, num_rows, states).to(states))


def rows_of(table: nn.Module, num_rows: int, like: Tensor) -> Tensor:
    """All rows [N, E] of an embedding that is used as a matrix.

    Whatever stands around the table has its say: LoRA of PEFT adds to the rows, a hook of accelerate or FSDP brings
    them from where they lie. So unless it is a plain one, it is called.

    Args:
        table: an embedding, or a module in its place.
        num_rows: N.
        like: a tensor on the device where they are wanted.
    """
    if is_plain(table):
        return table.weight
    return table(torch.arange(num_rows, device=like.device))


def is_plain(table: nn.Module) -> TypeGuard[nn.Embedding]:
    """Whether it is an embedding with nothing around it."""
    return type(table) is nn.Embedding and "forward" not in vars(table) and not table._forward_pre_hooks
