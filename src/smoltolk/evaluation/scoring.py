"""Log-likelihood of continuations: which ids count, how they are averaged, and nothing else.

A sequence is a list of unified ids with the index where its continuation begins. Sequences are sorted by
length, padded on the right and scored in batches; a sequence's score does not depend on its neighbours. A prompt that
several continuations share is computed once (:mod:`smoltolk.evaluation.shared_prompts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.evaluation.likelihood import id_nll
from smoltolk.evaluation.prompt_cache import can_go_on, read_prompts, rows_of
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.sequences import Scored
from smoltolk.evaluation.shared_prompts import Portion, in_portions
from smoltolk.inference.batches import batches, evaluating, pad_right
from smoltolk.model.codec.codebooks import check_layout
from smoltolk.model.codec.delays import SILENT
from smoltolk.model.ids import IdSpace
from smoltolk.model.loss import IGNORE
from smoltolk.model.text_models.positions import longest_row, trained_positions


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of N sequences in the order they came.

    Attributes:
        nll: float64 [N], summed negative log-likelihood in nats.
        count: int64 [N], scored ids; of several codebooks every unit of a frame is one.
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
    space: IdSpace | None = None,
    rule: Rule | None = None,
    batch_tokens: int = 4096,
    autocast: bool = False,
    progress: Bar | None = None,
) -> Scores:
    """Negative log-likelihood of each sequence's continuation.

    Args:
        model: what :func:`~smoltolk.evaluation.likelihood.id_nll` takes: a SmolTolk model, or any causal LM. It is put
            into evaluation mode for the time of the call.
        sequences: N of them.
        space: the id space; None for a model of text alone, where every id counts.
        rule: default :class:`Rule`; only ``scope`` and ``score_end`` matter here.
        batch_tokens: most ids, padding included, in one batch (a longer sequence is a batch of its own). A shared
            prompt counts in each of its sequences, and keys and values of half as many ids of prompts are held beside.
            Logits are made for scored ids alone, :data:`~smoltolk.model.loss.NUMBERS_AT_ONCE` of them at a time: with
            their softmax 128 MiB, however large batch and vocabulary are (benchmarks/scoring.py).
        autocast: compute in bfloat16 where autocast allows it; the softmax stays float32.
        progress: advanced by the number of sequences done.

    Raises:
        InputError: a continuation without a single scored id, or one the model cannot produce at its place
            (a unit where the ids say text, a NaN); frames without the units of all codebooks; a sequence beyond the
            last position of a model that looks positions up in a table.
    """
    rule = rule or Rule()
    _check(model, sequences, space)
    wanted = [_first(_scored(sequence, space, rule), rule.first) for sequence in sequences]
    count = np.array([scored.sum() for scored in wanted], np.int64)
    nll = np.zeros(len(sequences))
    shared = rule.scope == "continuation"
    for members, _, each in _in_batches(model, sequences, wanted, space, shared, batch_tokens, autocast, progress):
        nll[members] = each.double().sum((1, 2)).cpu().numpy()
    _check_nll(nll)
    return Scores(nll, count)


@dataclass(frozen=True, slots=True)
class IdScores:
    """The NLL of every scored id of one sequence, in nats, in order; float32.

    Attributes:
        before: of its prompt; None where they were not asked for.
        nll: of its continuation, without its end.
        end: of the ids that end it, where it has an end.
    """

    before: np.ndarray | None
    nll: np.ndarray
    end: np.ndarray


def score_ids(
    model: nn.Module,
    sequences: Sequence[Scored],
    *,
    space: IdSpace | None = None,
    prompts_from: Sequence[int | None] | None = None,
    batch_tokens: int = 4096,
    autocast: bool = False,
    progress: Bar | None = None,
) -> list[IdScores]:
    """As :func:`score`, with the NLLs of single ids: from them every rule can be worked out.

    Args:
        model, sequences, space, batch_tokens, autocast, progress: as for :func:`score`.
        prompts_from: for each sequence the place, 1 or later, from which its prompt is scored too; None: it is not. Of
            sequences that share a prompt the first one's is enough: it is scored in the pass that all go on from.

    Returns:
        One for each sequence; an id that the model cannot produce at its place has inf or NaN.

    Raises:
        InputError: as for :func:`score`, but for such ids.
    """
    _check(model, sequences, space)
    places = [None] * len(sequences) if prompts_from is None else list(prompts_from)
    wanted = [_with_prompt(sequence, space, place) for sequence, place in zip(sequences, places, strict=True)]
    found: dict[int, IdScores] = {}
    for members, first, each in _in_batches(model, sequences, wanted, space, True, batch_tokens, autocast, progress):
        for member, row in zip(members, each.float().cpu().numpy(), strict=True):
            values = np.zeros(wanted[member].shape, np.float32)
            values[first:] = row[: len(values) - first]
            inner = _scored(sequences[member], space, Rule())
            ends = _scored(sequences[member], space, Rule(score_end=True)) & ~inner
            before = None if places[member] is None else values[wanted[member] & ~inner & ~ends]
            found[member] = IdScores(before, values[inner], values[ends])
    return [found[number] for number in range(len(sequences))]


def _with_prompt(sequence: Scored, space: IdSpace | None, place: int | None) -> np.ndarray:
    """What is scored of a sequence and of its prompt from a place on, ends among it."""
    if place is None:
        return _scored(sequence, space, Rule(score_end=True))
    scored = _scored(sequence, space, Rule(scope="whole", score_end=True))
    scored[:place] = False
    return scored


def _in_batches(
    model: nn.Module,
    sequences: Sequence[Scored],
    wanted: Sequence[np.ndarray],
    space: IdSpace | None,
    shared: bool,
    batch_tokens: int,
    autocast: bool,
    progress: Bar | None,
) -> Iterator[tuple[list[int], int, Tensor]]:
    """The members of each batch, the place that it begins at, and NLLs from there on, float32 [B, T, Q]."""
    _check_count(np.array([scored.sum() for scored in wanted], np.int64))
    device = next(model.parameters()).device
    portions = [Portion(list(range(len(sequences))))]
    if shared:
        apart = in_portions(sequences, batch_tokens, device.type)
        if any(portion.length for portion in apart) and can_go_on(model):
            portions = apart
    with evaluating(model), torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, autocast):
        for portion in portions:
            for members, first, found in _of_portion(model, sequences, wanted, portion, space, batch_tokens, device):
                yield members, first, found
                if progress is not None:
                    progress.advance(len(members))


def _first(scored: np.ndarray, first: int | None) -> np.ndarray:
    """Only so many of what is scored."""
    kept = scored.copy()
    if first is not None:
        kept.flat[np.flatnonzero(scored)[first:]] = False
    return kept


def _of_portion(
    model: nn.Module,
    sequences: Sequence[Scored],
    wanted: Sequence[np.ndarray],
    portion: Portion,
    space: IdSpace | None,
    batch_tokens: int,
    device: torch.device,
) -> Iterator[tuple[list[int], int, Tensor]]:
    """The members of each batch, a place and their NLLs [B, T, Q] from there on.

    What was made of the prompts is held no longer.
    """
    first, width = portion.length, 0 if space is None else space.num_codebooks - 1
    # A text id: a speech id would lengthen the last speech span. Its attention mask is zero in any case.
    padding = 0 if space is None else space.eos_text
    read = before = None
    if first:
        asked = [wanted[i][: first + 1] for i in portion.prompts]
        length = first + any(one.any() for one in asked)  # of the id behind, the predictor is among these
        prompts = [sequences[i] for i in portion.prompts]
        ids = pad_right([np.asarray(one.ids[:length]) for one in prompts], padding, device)
        codes = pad_right([one.codes_of(width)[:length] for one in prompts], SILENT, device)
        scored, labels = pad_right(asked, 0, device).bool(), None
        if length > first:
            labels = ids.masked_fill(~scored.any(-1), IGNORE)
        read, nll = read_prompts(model, ids, codes if width else None, labels)
        before = None if nll is None else torch.where(scored, nll.view(scored.shape), 0.0)
    for places in batches([len(sequences[i].ids) for i in portion.members], batch_tokens):
        members = [portion.members[place] for place in places]
        rows = [np.asarray(sequences[i].ids) for i in members]
        scored = pad_right([wanted[i] for i in members], 0, device)[:, first:].bool()
        ids, mask = pad_right(rows, padding, device), pad_right([np.ones(len(row)) for row in rows], 0, device)
        codes = pad_right([sequences[i].codes_of(width) for i in members], SILENT, device)
        if read is not None and space is not None and width and not ids.is_cuda:  # the model looks at whole rows alone
            check_layout(ids, codes, space, mask.bool(), ends=False)
        each = id_nll(
            model,
            ids[:, first:],
            ids[:, first:].masked_fill(~scored.any(-1), IGNORE),
            mask,
            codes[:, first:] if width else None,
            None if read is None else rows_of(read, [portion.rows[place] for place in places]),
        )
        found = torch.where(scored, each.view(scored.shape), 0.0)
        if before is None:
            yield members, first, found
        else:  # what comes first here was predicted there
            own = before[[portion.rows[place] for place in places]]
            yield members, 0, torch.cat([own, found[:, 1:]], dim=1)


def _scored(sequence: Scored, space: IdSpace | None, rule: Rule) -> np.ndarray:
    """What is scored of a sequence, bool [T, Q]: the id at each place, and the units of the codebooks behind it."""
    ids, start = np.asarray(sequence.ids), sequence.start if rule.scope == "continuation" else 1
    place = np.arange(len(ids))
    if space is None:
        return (place >= start)[:, None]
    silent = [space.begin_prompt, space.end_prompt, space.switch, space.pad_speech]
    if not rule.score_end:
        silent += [space.eos_text, space.eos_speech]
    first = (place >= start) & (ids[:, None] != silent).all(1)
    if space.num_codebooks == 1:
        return first[:, None]
    if space.tail and rule.score_end:
        # That speech ends is decided where the first codebook falls silent; <eos speech> follows behind the delay.
        decided = np.flatnonzero(ids == space.eos_speech) - space.tail
        first[[at for at in decided if at >= start and ids[at] == space.pad_speech]] = True
    # A unit belongs to the frame that its delay leads back to: under the delay the prompt's are still being said.
    further = place[:, None] - np.array(space.delays[1:], np.int64) >= start
    return np.concatenate([first[:, None], further & (sequence.codes_of(space.num_codebooks - 1) >= 0)], axis=1)


def _check(model: nn.Module, sequences: Sequence[Scored], space: IdSpace | None) -> None:
    check_lengths(model, sequences)
    _check_codes(sequences, space)


def check_lengths(model: nn.Module, sequences: Sequence[Scored]) -> None:
    """Whether a model has as many positions as sequences have ids.

    What computes positions reads on behind those that it was made for; a table of positions has an end.

    Raises:
        InputError: a sequence is longer than its table.
    """
    found = beyond_table(model, max((len(one.ids) for one in sequences), default=0))
    if found is not None:
        rule = "a sequence has no more ids than the model has positions"
        raise InputError(rule, found, "score shorter sequences")


def beyond_table(model: nn.Module, length: int) -> str | None:
    """How a sequence of so many ids is longer than a model's table of positions; None: it is not, or there is none."""
    config = getattr(model, "config", None)
    if not isinstance(config, PreTrainedConfig):
        return None
    text_config = config.get_text_config()
    trained = trained_positions(text_config)
    if trained is None or length <= trained or longest_row(text_config) is None:
        return None
    return f"{length:,} ids, and the model has {trained:,} positions"


def _check_codes(sequences: Sequence[Scored], space: IdSpace | None) -> None:
    width = 0 if space is None else space.num_codebooks - 1
    for index, sequence in enumerate(sequences):
        ids, codes = np.asarray(sequence.ids), sequence.codes
        if codes is None:
            frames = space is not None and (ids >= space.speech_offset) & (ids != space.eos_speech)
            wrong = width > 0 and bool(np.any(frames))
        else:
            wrong = codes.shape != (len(ids), width)
        if wrong:
            raise InputError(
                f"a sequence of {width + 1} codebooks has codes [T, {width}] beside its ids" if width
                else "codes are for ids of several codebooks",
                f"sequence {index}: {len(ids)} ids, codes {None if codes is None else codes.shape}",
                "make it of a document: Scored.of(document, start, space)" if width else "leave codes out",
            )  # fmt: skip


def _check_count(count: np.ndarray) -> None:
    if not count.all():
        raise InputError(
            "every continuation must hold at least one id that is scored",
            f"sequence {int((count == 0).argmax())} has none (end and control ids do not count)",
            "give it words or units, or set score_end",
        )


def _check_nll(nll: np.ndarray) -> None:
    bad = ~np.isfinite(nll)
    if bad.any():
        index = int(bad.argmax())
        raise InputError(
            "the model must be able to produce every id of a continuation at its place",
            f"sequence {index} has an NLL of {nll[index]:g}",
            "put <switch> between text and speech, and check the model for NaNs",
        )
