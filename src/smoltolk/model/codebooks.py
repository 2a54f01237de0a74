"""Several codebooks per frame: neural codecs such as Mimi say 80 ms of sound with eight units at once.

Ids stay ``[B, T]``, one a position, and carry the first codebook; the units of the others ride beside them as
``codes [B, T, Q - 1]``, :data:`~smoltolk.model.delays.SILENT` where there is none. Summed embeddings make one input of
them, and one head each predicts all of them from the same state, in parallel, under the delay pattern of
:mod:`smoltolk.model.delays`. Two other layouts were weighed:

- *Ids ``[B, T, Q]``* say the same, but text would carry Q - 1 fillers, and everything that knows ids (modality,
  packing, ``generate()``, beam search, lm-eval) expects ``[B, T]``.
- *Frames laid out flat, Q ids each*, need no second tensor, but Q times the positions: with Mimi 100 a second instead
  of 12.5, through every layer of the backbone, which is what a codec of few frames is chosen to avoid.

A run of frames is a stretch of units of one document. Behind its last first-codebook unit stand ``max(delays)`` times
``pad_speech``, while the other codebooks finish; then ``<eos speech>`` or ``<switch>``. So the end of speech is decided
where the first ``pad_speech`` is predicted; the rest follows by rule.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from smoltolk.common.errors import InputError
from smoltolk.model.delays import SILENT, undelayed
from smoltolk.model.ids import IdSpace
from smoltolk.model.loss import IGNORE
from smoltolk.model.modality import document_starts

_LOGITS_AT_ONCE = 1 << 24  # logits that the loss holds at a time, all codebooks together: 64 MiB of them
_ROWS_MULTIPLE = 64


class Runs(NamedTuple):
    """Where each position stands in its run of frames."""

    index: Tensor  # int64 [B, T], from 0; -1 outside
    pads: Tensor  # int64 [B, T], how many pad_speech the run has had here, this one included


def find_runs(
    input_ids: Tensor, space: IdSpace, real: Tensor | None = None, document_ids: Tensor | None = None
) -> Runs:
    """Find the runs of frames.

    Args:
        input_ids: [B, T].
        space: the id space.
        real: [B, T] bool, False at padding; None: all are real.
        document_ids: [B, T]; a run ends with its document.
    """
    pad = input_ids == space.pad_speech
    inside = pad | ((input_ids >= space.speech_offset) & (input_ids < space.eos_speech))
    if real is not None:
        inside = inside & real
    continued = torch.zeros_like(inside)
    continued[:, 1:] = inside[:, :-1]
    if document_ids is not None:
        continued &= ~document_starts(document_ids)
    place = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
    start = torch.where(inside & ~continued, place, -1).cummax(1).values
    # A run that begins with pad_speech is a mistake; its pads are counted from its start.
    last_unit = torch.maximum(torch.where(inside & ~pad, place, -1).cummax(1).values, start - 1)
    return Runs(torch.where(inside, place - start, -1), torch.where(inside, place - last_unit, 0))


def speaking(index: Tensor, pads: Tensor, space: IdSpace) -> Tensor:
    """Which of the further codebooks speak: [...] twice -> bool [..., Q - 1]; ``index`` -1 is silence."""
    delays = torch.tensor(space.delays[1:], device=index.device)
    return (index[..., None] >= delays) & (pads[..., None] <= delays) & (index >= 0)[..., None]


def check_codes(input_ids: Tensor, codes: Tensor | None, space: IdSpace) -> Tensor:
    """The codes of a batch, all silent if there is no frame.

    Raises:
        InputError: frames without codes, or codes of another shape or type.
    """
    shape = (*input_ids.shape, space.num_codebooks - 1)
    if codes is None:
        frames = (input_ids >= space.speech_offset) & (input_ids != space.eos_speech)
        if not torch.compiler.is_compiling() and bool(frames.any()):
            raise InputError(
                f"a speech id is the first of {space.num_codebooks} codebooks and needs the others",
                f"{int(frames.sum())} speech ids, no codes",
                "pass codes [B, T, Q - 1] as smoltolk.data.documents.Document lays them out",
            )
        return input_ids.new_full(shape, SILENT)
    if codes.shape != shape or codes.is_floating_point():
        raise InputError(
            "codes are integers [B, T, Q - 1], beside ids [B, T]",
            f"codes {tuple(codes.shape)} {codes.dtype}, ids {tuple(input_ids.shape)}, Q = {space.num_codebooks}",
            "give every position the units of all codebooks but the first, -1 where they are silent",
        )
    return codes


def check_layout(
    input_ids: Tensor,
    codes: Tensor,
    space: IdSpace,
    real: Tensor | None = None,
    document_ids: Tensor | None = None,
    *,
    ends: bool = True,
) -> None:
    """Hold whole rows against the delay pattern.

    Args:
        input_ids, codes: [B, T] and [B, T, Q - 1], from the first position of each row.
        space, real, document_ids: as for :func:`find_runs`.
        ends: whether a run must be complete where something follows it; rows of training may cut documents short.

    Raises:
        InputError: a unit out of range, missing, or where its codebook is silent; a run that ends inside the delay.
    """
    runs = find_runs(input_ids, space, real, document_ids)
    present, wanted = codes != SILENT, speaking(runs.index, runs.pads, space)
    if bool((present & ((codes < 0) | (codes >= space.num_units))).any()):
        raise InputError(
            f"codes are units 0..{space.num_units - 1}, or {SILENT} where a codebook is silent",
            f"codes from {int(codes.min())} to {int(codes.max())}",
            "use the codec that the model was trained with",
        )
    for other, what in ((wanted & ~present, "no unit"), (present & ~wanted, "a unit")):
        if bool(other.any()):
            row, place, codebook = other.nonzero()[0].tolist()
            raise InputError(
                f"each codebook speaks where its delay says, {list(space.delays)} positions behind the first",
                f"{what} of codebook {codebook + 1} at row {row}, position {place} (id {int(input_ids[row, place])})",
                "lay frames out with smoltolk.data.documents.Document or smoltolk.model.delays.delayed",
            )
    unit_behind_pad = (runs.pads[:, 1:] == 0) & (runs.pads[:, :-1] > 0) & (runs.index[:, 1:] > 0)
    closing = (input_ids[:, 1:] == space.switch) | (input_ids[:, 1:] == space.eos_speech)
    cut = (runs.index[:, :-1] >= 0) & (runs.pads[:, :-1] < space.tail) & closing
    too_long = runs.pads > space.tail
    if bool(unit_behind_pad.any()) or bool(too_long.any()) or (ends and bool(cut.any())):
        raise InputError(
            f"a run of frames ends with {space.tail} pad_speech ids, under which the later codebooks finish",
            "speech that ends inside the delay, or goes on behind it",
            "lay frames out with smoltolk.data.documents.Document, which closes every run",
        )


def embed_codes(input_ids: Tensor, codes: Tensor, space: IdSpace, weight: Tensor) -> Tensor:
    """The sum of the further codebooks' embeddings.

    Args:
        input_ids: [B, T]; at ``<eos speech>`` every codebook ends, where else one is silent it is padding.
        codes: [B, T, Q - 1].
        space: the id space.
        weight: [(Q - 1) U, E], the tables one under the other.

    Returns:
        [B, T, E].
    """
    special = torch.where(input_ids == space.eos_speech, space.num_units, space.num_units + 1)
    rows = torch.where(codes < 0, special[..., None], codes)
    rows = rows + torch.arange(space.num_codebooks - 1, device=rows.device) * space.num_speech_ids
    # One bag a position: no [B, T, Q - 1, E] is ever made.
    return F.embedding_bag(rows.flatten(0, 1), weight, mode="sum").view(*input_ids.shape, -1)


def code_logits(states: Tensor, weight: Tensor, space: IdSpace) -> Tensor:
    """[..., E] -> [..., Q - 1, K]: a head each; the end of speech is the first codebook's to predict."""
    logits = F.linear(states, weight.to(states.dtype))
    return logits.unflatten(-1, (space.num_codebooks - 1, space.num_speech_ids))[..., : space.num_units]


def code_targets(
    input_ids: Tensor,
    codes: Tensor,
    labels: Tensor,
    space: IdSpace,
    real: Tensor | None = None,
    document_ids: Tensor | None = None,
    *,
    predict_switch: bool = False,
) -> Tensor:
    """What each codebook is asked to predict.

    Where a label is speech, all codebooks that speak are predicted. Of the ``pad_speech`` ids only the first of a run
    is, and before a ``<switch>`` only with ``predict_switch``: without it the model is not to learn where to stop.

    Args:
        input_ids, codes: [B, T] and [B, T, Q - 1].
        labels: [B, T], aligned with the ids; -100 is not predicted.
        space, real, document_ids: as for :func:`find_runs`.
        predict_switch: whether the model learns to change its modality.

    Returns:
        int64 [B, T, Q], of the first codebook ids from 0 with end and padding, of the others units; -100 elsewhere.
    """
    speech = labels >= space.speech_offset
    runs = find_runs(input_ids, space, real, document_ids)
    # Whether the run closes with <eos speech>, as seen from its first pad.
    closing = F.pad(input_ids, (0, space.tail), value=-1)[:, space.tail :] if space.tail else input_ids
    decided = (closing == space.eos_speech) | predict_switch
    by_rule = (runs.pads > 1) | ((runs.pads == 1) & ~decided)
    first = torch.where(speech & ~by_rule, labels - space.speech_offset, IGNORE)
    others = torch.where(speech[..., None] & (codes >= 0), codes, IGNORE)
    return torch.cat([first[..., None], others], dim=-1)


class CodebookLoss(NamedTuple):
    """The loss of frames, in nats."""

    total: Tensor  # scalar, the weighted sum over positions and codebooks, to be divided by the predicted positions
    mean: Tensor  # scalar, the same per predicted speech position
    each: Tensor  # [Q], mean NLL of each codebook's predicted units


def codebook_loss(
    states: Tensor,
    targets: Tensor,
    num_positions: Tensor,
    space: IdSpace,
    *,
    heads: Callable[[Tensor], tuple[Tensor, Tensor]],
    weights: list[float] | None = None,
) -> CodebookLoss:
    """Sum the NLL of all codebooks, weighted.

    Args:
        states: [B, T, E], the output adapter's.
        targets: [B, T, Q] as :func:`code_targets` gives them (position t predicts target t + 1).
        num_positions: 0-d, predicted speech positions; a position counts once, however many codebooks it predicts.
        space: the id space.
        heads: [N, E] -> the first codebook's logits [N, U] and the others' [N, Q - 1, K].
        weights: Q numbers; None: 1/Q each.
    """
    num_codebooks = targets.shape[-1]
    wanted = targets[:, 1:].flatten(0, 1)
    rows = (wanted != IGNORE).any(-1).nonzero().squeeze(1)
    flat = states[:, :-1].flatten(0, 1)
    if rows.numel() == 0:  # zero, and still a part of the graph
        sums = flat.index_select(0, rows).sum().float().expand(num_codebooks)
    else:
        missing = -rows.numel() % _ROWS_MULTIPLE  # rounded up, so that a run meets few shapes
        chosen = flat.index_select(0, F.pad(rows, (0, missing)))
        wanted = F.pad(wanted[rows], (0, 0, 0, missing), value=IGNORE)
        at_once = max(_ROWS_MULTIPLE, _LOGITS_AT_ONCE // (num_codebooks * space.num_speech_ids))
        if len(chosen) <= at_once:
            sums = _nll(heads, chosen, wanted)
        else:  # more logits than fit are computed again in the backward pass
            pairs = zip(chosen.split(at_once), wanted.split(at_once), strict=True)
            parts = [checkpoint(_nll, heads, *pair, use_reentrant=False, preserve_rng_state=False) for pair in pairs]
            sums = torch.stack(parts).sum(0)
    shares = [1 / num_codebooks] * num_codebooks if weights is None else weights
    total = (sums * torch.tensor(shares, device=sums.device)).sum()
    counts = (targets[:, 1:] != IGNORE).sum((0, 1)).clamp(min=1)
    return CodebookLoss(total, total.detach() / num_positions.clamp(min=1), sums.detach() / counts)


def _nll(heads: Callable[[Tensor], tuple[Tensor, Tensor]], states: Tensor, wanted: Tensor) -> Tensor:
    """[N, E], [N, Q] -> [Q] sums."""
    first, others = heads(states)
    led = F.cross_entropy(first.float(), wanted[:, 0], reduction="sum", ignore_index=IGNORE)
    followed = F.cross_entropy(
        others.flatten(0, 1).float(), wanted[:, 1:].flatten(), reduction="none", ignore_index=IGNORE
    )
    return torch.cat([led[None], followed.view(len(wanted), -1).sum(0)])


def frames_of(input_ids: Tensor, codes: Tensor, space: IdSpace) -> list[Tensor]:
    """Undo the delay: the frames of each run of one row, in order.

    Args:
        input_ids: [T], e.g. a row of ``generate(..., return_dict_in_generate=True).sequences``.
        codes: [T, Q - 1], the same row of ``.codes``.
        space: the id space.

    Returns:
        int64 [n, Q] each, units from 0. A run that the row cuts short keeps its last frames, with -1 for the
        codebooks that had not spoken.
    """
    runs = find_runs(input_ids[None], space)
    first = torch.where(runs.pads[0] > 0, SILENT, input_ids - space.speech_offset)
    grid = torch.cat([first[:, None], codes], dim=1).cpu().numpy()
    inside, starts = runs.index[0].cpu().numpy() >= 0, (runs.index[0] == 0).nonzero().squeeze(1).tolist()
    found = []
    for start, stop in pairwise([*starts, len(grid)]):
        frames = undelayed(grid[start:stop][inside[start:stop]], space.delays)
        if len(frames):  # not the padding behind a finished row
            found.append(torch.from_numpy(frames).to(input_ids.device))
    return found
