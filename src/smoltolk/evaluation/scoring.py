"""Log-likelihood of continuations: which ids count, how they are averaged, and nothing else.

A sequence is a list of unified ids with the index where its continuation begins. Sequences are sorted by
length, padded on the right and scored in batches; a sequence's score does not depend on its neighbours.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.model.ids import IdSpace

# Rows of logits are turned to float32 a few at a time: 2**23 numbers are 32 MiB.
_CHUNK_NUMBERS = 2**23
# The other modality's logits are the dtype's minimum; no real surprise comes near this many nats.
_IMPOSSIBLE = 1e30


@dataclass(frozen=True, slots=True)
class Rule:
    """What a score means; stored beside every result.

    Attributes:
        normalisation: ``mean`` NLL per scored id, or their ``sum``.
        scope: score the ``continuation`` only, or the ``whole`` sequence but its first id.
        ties: what two equal scores are worth, half a point or nothing.
        score_end: whether the end-of-sequence ids count too. Control ids (``<switch>`` and the prompt's
            brackets) never do: the format fixes them.
    """

    normalisation: Literal["mean", "sum"] = "mean"
    scope: Literal["continuation", "whole"] = "continuation"
    ties: Literal["0.5", "wrong"] = "0.5"
    score_end: bool = False

    def __post_init__(self) -> None:
        allowed = {
            "normalisation": ("mean", "sum"),
            "scope": ("continuation", "whole"),
            "ties": ("0.5", "wrong"),
            "score_end": (True, False),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(
                    f"{name} of a scoring rule must be one of {values}",
                    repr(getattr(self, name)),
                    "choose one of them",
                )

    def as_dict(self) -> dict[str, str | bool]:
        """For results files."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scored:
    """A sequence to score.

    Attributes:
        ids: unified ids [T]; the first one is given, never predicted.
        start: index of the continuation's first id, ``1 <= start < T``.
    """

    ids: Sequence[int] | np.ndarray
    start: int

    def __post_init__(self) -> None:
        if not 1 <= self.start < len(self.ids):
            raise InputError(
                "a continuation needs something before it and something in it: 1 <= start < length",
                f"start = {self.start}, length = {len(self.ids)}",
                "give at least a begin id as the prompt and a non-empty continuation",
            )


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of N sequences in the order they came.

    Attributes:
        nll: float64 [N], summed negative log-likelihood in nats.
        count: int64 [N], scored ids.
    """

    nll: np.ndarray
    count: np.ndarray

    def values(self, rule: Rule) -> np.ndarray:
        """float64 [N]: the NLLs as the rule normalises them; lower is more likely."""
        return self.nll / self.count if rule.normalisation == "mean" else self.nll


def score(
    model: nn.Module,
    sequences: Sequence[Scored],
    *,
    ids: IdSpace | None = None,
    rule: Rule | None = None,
    batch_tokens: int = 4096,
    autocast: bool = False,
    progress: Bar | None = None,
) -> Scores:
    """Negative log-likelihood of each sequence's continuation.

    Args:
        model: a causal LM, ``model(input_ids [B, T], attention_mask [B, T]).logits [B, T, ids]``. It is put
            into evaluation mode for the time of the call.
        sequences: N of them.
        ids: the id space; None for a model of text alone, where every id counts.
        rule: default :class:`Rule`; only ``scope`` and ``score_end`` matter here.
        batch_tokens: most ids, padding included, in one batch (a longer sequence is a batch of its own).
            Logits take ``4 * batch_tokens * vocabulary`` bytes at most.
        autocast: compute in bfloat16 where autocast allows it; the softmax stays float32.
        progress: advanced by the number of sequences done.

    Raises:
        InputError: a continuation without a single scored id, or one the model cannot produce at its place
            (a unit where the ids say text, a NaN).
    """
    rule = rule or Rule()
    nll, count = np.zeros(len(sequences)), np.zeros(len(sequences), np.int64)
    device = next(model.parameters()).device
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    with evaluating(model), torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, autocast):
        for members in batches([len(sequence.ids) for sequence in sequences], batch_tokens):
            input_ids, attention_mask = pad_right([sequences[i].ids for i in members], _padding(ids), device)
            targets = _target_mask([sequences[i] for i in members], input_ids, attention_mask, ids, rule)
            # Logits before the first continuation of the batch are never needed.
            first = int(targets.any(0).int().argmax()) if targets.any() else 0
            keep = {"logits_to_keep": input_ids.shape[1] - first} if keeps else {}
            logits = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **keep).logits
            each = _nll(logits[:, logits.shape[1] - input_ids.shape[1] + first :], input_ids, targets, first)
            nll[members], count[members] = each.cpu().numpy(), targets.sum(1).cpu().numpy()
            if progress is not None:
                progress.advance(len(members))
    _check(nll, count)
    return Scores(nll, count)


def _padding(ids: IdSpace | None) -> int:
    # A text id: a speech id would lengthen the last speech span. Its attention mask is zero in any case.
    return 0 if ids is None else ids.eos_text


def _target_mask(
    sequences: list[Scored],
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    ids: IdSpace | None,
    rule: Rule,
) -> torch.Tensor:
    """bool [B, T - 1]: whether position t is asked to predict id t + 1."""
    targets = input_ids[:, 1:]
    mask = attention_mask[:, 1:].bool()
    if rule.scope == "continuation":
        starts = torch.tensor([sequence.start for sequence in sequences], device=input_ids.device)
        mask = mask & (torch.arange(1, input_ids.shape[1], device=input_ids.device) >= starts[:, None])
    if ids is not None:
        silent = [ids.begin_prompt, ids.end_prompt, ids.switch, ids.pad_speech]
        if not rule.score_end:
            silent += [ids.eos_text, ids.eos_speech]
        mask = mask & ~torch.isin(targets, torch.tensor(silent, device=targets.device))
    return mask


def _nll(logits: torch.Tensor, input_ids: torch.Tensor, targets: torch.Tensor, first: int) -> torch.Tensor:
    """float64 [B]: NLL summed over each row's targets; ``logits`` begin at position ``first``."""
    rows, columns = targets.nonzero(as_tuple=True)
    wanted = input_ids[rows, columns + 1]
    total = torch.zeros(len(input_ids), dtype=torch.float64, device=input_ids.device)
    step = max(1, _CHUNK_NUMBERS // logits.shape[-1])
    for begin in range(0, len(rows), step):
        part = slice(begin, begin + step)
        picked = logits[rows[part], columns[part] - first].float()
        losses = nn.functional.cross_entropy(picked, wanted[part], reduction="none")
        total.index_add_(0, rows[part], losses.double())
    return total


def _check(nll: np.ndarray, count: np.ndarray) -> None:
    if not count.all():
        raise InputError(
            "every continuation must hold at least one id that is scored",
            f"sequence {int((count == 0).argmax())} has none (end and control ids do not count)",
            "give it words or units, or set score_end",
        )
    bad = ~(nll < _IMPOSSIBLE)
    if bad.any():
        index = int(bad.argmax())
        raise InputError(
            "the model must be able to produce every id of a continuation at its place",
            f"sequence {index} has an NLL of {nll[index]:g}",
            "put <switch> between text and speech, and check the model for NaNs",
        )


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices grouped by length so that ``longest * members <= batch_tokens``, the longest group first.

    The longest first, so that a lack of memory shows itself at once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    while order:
        size = max(1, batch_tokens // max(1, lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def pad_right(
    sequences: Sequence[Sequence[int] | np.ndarray], padding: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """``(input_ids, attention_mask)``, both int64 [B, longest]; the mask is 1 on real ids."""
    longest = max(len(sequence) for sequence in sequences)
    ids = np.full((len(sequences), longest), padding, np.int64)
    mask = np.zeros((len(sequences), longest), np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout) inside the block, the former mode after it."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
