"""Several codebooks per frame: neural codecs such as Mimi say 80 ms of sound with eight units at once.

Ids stay ``[B, T]``, one a position, and carry the first codebook; the units of the others ride beside them as
``codes [B, T, Q - 1]``, :data:`~smoltolk.model.delays.SILENT` where there is none. Summed embeddings make one input of
them, and one head each predicts all of them from the same state, in parallel, under the delay pattern of
:mod:`smoltolk.model.codec.delays`. Two other layouts were weighed:

- *Ids ``[B, T, Q]``* say the same, but text would carry Q - 1 fillers, and everything that knows ids (modality,
  packing, ``generate()``, beam search, lm-eval) expects ``[B, T]``.
- *Frames laid out flat, Q ids each*, need no second tensor, but Q times the positions: with Mimi 100 a second instead
  of 12.5, through every layer of the backbone, which is what a codec of few frames is chosen to avoid.

A run of frames is a stretch of units of one document. Behind its last first-codebook unit stand ``max(delays)`` times
``pad_speech``, while the other codebooks finish; then ``<eos speech>`` or ``<switch>``. So the end of speech is decided
where the first ``pad_speech`` is predicted; the rest follows by rule.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.model.codec.delays import SILENT, undelayed
from smoltolk.model.ids import IdSpace
from smoltolk.model.modality import document_starts, real_first


class Runs(NamedTuple):
    """Where each position stands in its run of frames."""

    place: Tensor  # int64 [B, T], from 0; -1 outside
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
                "pass codes [B, T, Q - 1] as smoltolk.data.rows.documents.Document lays them out",
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
    order = None if real is None else real_first(real)
    if real is not None and order is not None:  # padding may part a run
        input_ids, real = input_ids.gather(1, order), real.gather(1, order)
        codes = codes.gather(1, order[..., None].expand_as(codes))
        document_ids = None if document_ids is None else document_ids.gather(1, order)
    runs = find_runs(input_ids, space, real, document_ids)
    present, wanted = codes != SILENT, speaking(runs.place, runs.pads, space)
    if bool((present & ((codes < 0) | (codes >= space.num_units))).any()):
        raise InputError(
            f"codes are units 0..{space.num_units - 1}, or {SILENT} where a codebook is silent",
            f"codes from {int(codes.min())} to {int(codes.max())}",
            "use the codec that the model was trained with",
        )
    for other, what in ((wanted & ~present, "no unit"), (present & ~wanted, "a unit")):
        if bool(other.any()):
            row, place, codebook = other.nonzero()[0].tolist()
            token, place = int(input_ids[row, place]), place if order is None else int(order[row, place])
            raise InputError(
                f"each codebook speaks where its delay says, {list(space.delays)} positions behind the first",
                f"{what} of codebook {codebook + 1} at row {row}, position {place} (id {token})",
                "lay frames out with smoltolk.data.rows.documents.Document or smoltolk.model.delays.delayed",
            )
    unit_behind_pad = (runs.pads[:, 1:] == 0) & (runs.pads[:, :-1] > 0) & (runs.place[:, 1:] > 0)
    closing = (input_ids[:, 1:] == space.switch) | (input_ids[:, 1:] == space.eos_speech)
    cut = (runs.place[:, :-1] >= 0) & (runs.pads[:, :-1] < space.tail) & closing
    if real is not None:
        cut &= real[:, 1:]
    if document_ids is not None:
        cut &= ~document_starts(document_ids)[:, 1:]
    too_long = runs.pads > space.tail
    if bool(unit_behind_pad.any()) or bool(too_long.any()) or (ends and bool(cut.any())):
        raise InputError(
            f"a run of frames ends with {space.tail} pad_speech ids, under which the later codebooks finish",
            "speech that ends inside the delay, or goes on behind it",
            "lay frames out with smoltolk.data.rows.documents.Document, which closes every run",
        )


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
    inside, starts = runs.place[0].cpu().numpy() >= 0, (runs.place[0] == 0).nonzero().squeeze(1).tolist()
    found = []
    for start, stop in pairwise([*starts, len(grid)]):
        frames = undelayed(grid[start:stop][inside[start:stop]], space.delays)
        if len(frames):  # not the padding behind a finished row
            found.append(torch.from_numpy(frames).to(input_ids.device))
    return found
