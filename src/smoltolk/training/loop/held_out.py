"""Held-out likelihood in the middle of a training, by task and modality, and what the selector selects there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import Dataset

from smoltolk.common.processes import num_processes, rank
from smoltolk.model.ids import IGNORE
from smoltolk.training.loop.undisturbed import device_of, summed

_MODALITIES = ("text", "speech")


@dataclass(frozen=True)
class HeldOutRows:
    """Rows that nothing is learnt from, laid out as those of training.

    Attributes:
        rows: of each task, as a data set gives them.
        collate: rows to a batch.
        speech_offset: ids from there on are speech.
    """

    rows: Mapping[str, Dataset]
    collate: Callable[[Sequence[Any]], dict]
    speech_offset: int

    def measure(self, model: nn.Module, rows_per_pass: int) -> dict[str, Any]:
        """Nats per id, and the mean weight of each layer where speech is predicted.

        Several processes share the rows evenly, each with as many forward passes as every other one, and all of them
        get the figures of all rows.

        Args:
            model: a SmolTolk model, evaluating.
            rows_per_pass: rows of a forward pass on each device.

        Returns:
            ``TASK/speech_nll`` and ``TASK/text_nll`` of each task that has such ids, ``speech_nll`` and ``text_nll``
            over all tasks; of a model with a selector ``selector_weights`` [M] and ``selector_entropy``, nats.
        """
        figures: dict[str, Any] = {}
        nll_of_all, mixed_of_all = [], []
        for task, rows in self.rows.items():
            nll, mixed = self._table(model, rows, rows_per_pass)
            nll_of_all.append(nll)
            mixed_of_all.append(mixed)
            figures |= {f"{task}/{name}": value for name, value in _means(nll).items()}
        figures |= _means(torch.cat(nll_of_all))
        return figures | _selected(torch.cat(mixed_of_all))

    def _table(self, model: nn.Module, rows: Dataset, step: int) -> tuple[Tensor, Tensor]:
        """float64 of each row: its NLLs and their number, of text then speech [R, 4]; sums over what speech is
        predicted from: of each layer's weight, of the entropy, and how many these are [R, M + 2]."""
        device = device_of(model)
        size = len(rows)  # type: ignore[arg-type]
        starts = list(range(0, size, step))
        nll = torch.zeros(size, 4, dtype=torch.float64, device=device)
        mixed: Tensor | None = None
        for turn in range(math.ceil(len(starts) / num_processes())):
            mine = turn * num_processes() + rank()
            start = starts[min(mine, len(starts) - 1)]
            chosen = [rows[number] for number in range(start, min(start + step, size))]
            found, selected = self._pass(model, chosen, device)
            if mixed is None:
                mixed = torch.zeros(size, selected.shape[1], dtype=torch.float64, device=device)
            if mine < len(starts):  # else it was another one's share, computed to keep step with the others
                nll[start : start + step], mixed[start : start + step] = found, selected
        assert mixed is not None  # noqa: S101 - there is a row
        return summed(nll).cpu(), summed(mixed).cpu()

    def _pass(self, model: nn.Module, rows: Sequence[dict[str, Tensor]], device: torch.device) -> tuple[Tensor, Tensor]:
        batch = send_to_device(self.collate(rows), device)
        output = model(**batch, output_nll=True, output_selector_weights=True)
        labels = batch["labels"]
        nll = output.nll.double()
        asked = (labels != IGNORE) & torch.isfinite(nll)
        asked[:, 0] = False  # nothing stands before it
        is_speech = labels >= self.speech_offset
        each = [asked & ~is_speech, asked & is_speech]
        found = [part for places in each for part in (torch.where(places, nll, 0.0).sum(1), places.sum(1).double())]
        return torch.stack(found, 1), _mixed(output.selector_weights, each[1])


def _mixed(weights: Tensor | None, speech: Tensor) -> Tensor:
    """Of each row [M + 2]: sums of the weights and of their entropy where the next id is speech, and how many."""
    count = speech[:, 1:].sum(1, keepdim=True).double()
    if weights is None:
        return count
    weights = weights.double().expand(*speech.shape, -1)[:, :-1]
    entropy = -torch.xlogy(weights, weights).sum(-1, keepdim=True)
    parts = torch.cat([weights, entropy], -1)
    return torch.cat([(parts * speech[:, 1:, None]).sum(1), count], 1)


def _means(table: Tensor) -> dict[str, float]:
    sums = table.sum(0).tolist()
    pairs = zip(_MODALITIES, sums[::2], sums[1::2], strict=True)
    return {f"{name}_nll": total / count for name, total, count in pairs if count}


def _selected(table: Tensor) -> dict[str, Any]:
    *sums, count = table.sum(0).tolist()
    if not sums or not count:
        return {}
    *weights, entropy = [value / count for value in sums]
    return {"selector_weights": weights, "selector_entropy": entropy}
