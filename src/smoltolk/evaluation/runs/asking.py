"""Items -> records: units and text ids of every segment, what the model reads, and the likelihood of every id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.progress import Bar
from smoltolk.evaluation.prompt_cache import can_go_on
from smoltolk.evaluation.runs.feeds import Fed, Feed, Run, fed
from smoltolk.evaluation.runs.records import Record, nats, record_of, shape_of
from smoltolk.evaluation.runs.text_ids import ids_behind, ids_of, said_before
from smoltolk.evaluation.runs.units_of import UnitSource, sounds_in
from smoltolk.evaluation.scoring import IdScores, check_lengths, score_ids
from smoltolk.evaluation.tasks.items import Item, Segment, Segments, Sound
from smoltolk.model.ids import IdSpace
from smoltolk.speech.units.tokenizer import Units

Heard = Mapping[tuple[Sound, ...], Units | str]


class Asking:
    """A model that items are put to.

    Args:
        model: a SmolTolk model, or a double of one.
        tokenizer: of its text.
        space: its ids.
        units: where units come from; None: every item is text, or has units.
        keep_prompts: score prompts too, so that rules about the whole sequence can be worked out.
        batch_tokens, autocast: as for :func:`~smoltolk.evaluation.scoring.score`.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        space: IdSpace,
        units: UnitSource | None = None,
        *,
        keep_prompts: bool = True,
        batch_tokens: int = 4096,
        autocast: bool = False,
    ):
        self._model, self._tokenizer, self._space, self._units = model, tokenizer, space, units
        self._keep_prompts = keep_prompts
        self._settings: dict[str, Any] = {"space": space, "batch_tokens": batch_tokens, "autocast": autocast}
        # Prompts once for all options, where options go on from them; else with every option.
        self._apart = space.num_codebooks == 1 and can_go_on(model)

    def ask(
        self,
        items: Sequence[Item],
        feed: Feed,
        others: Sequence[Item] | None = None,
        progress: Bar | None = None,
    ) -> list[Record]:
        """Score every option of every item.

        Args:
            items: questions.
            feed: how they are fed.
            others: for each item the one that lends its text as a prefix; None: the next item does.
            progress: advanced by the items done.

        Returns:
            A record for each; of an item that cannot be fed or scored one with its error.
        """
        heard = self._heard(items, feed)
        lenders = others or [*items[1:], *items[:1]]
        records, sequences, places = [], [], []
        for item, lender in zip(items, lenders, strict=True):
            record = record_of(item)
            records.append(record)
            try:
                variants = self._variants(item, feed, heard, self._prefix(item, feed, lender))
                check_lengths(self._model, [option.whole for options in variants for option in options])
            except InputError as error:
                record["error"] = first_line(error)
                continue
            places.append((record, [len(options) for options in variants]))
            sequences += [option for options in variants for option in options]
        self._score(sequences, places)
        if progress is not None:
            progress.advance(len(items))
        return records

    # ------------------------------------------------------------------ what is fed

    def _heard(self, items: Sequence[Item], feed: Feed) -> Heard:
        """Units of all recordings, and of prompts and options that are joined."""
        groups: dict[tuple[Sound, ...], None] = {}
        for item in items:
            groups |= dict.fromkeys((sound,) for sound in sounds_in(item.segments()))
            groups |= dict.fromkeys(joined for pair in _joined(item, feed) for joined in pair)
        if not groups:
            return {}
        if self._units is None:
            return dict.fromkeys(groups, "recordings need --units, or stored units: --shards")
        return dict(zip(groups, self._units.of(list(groups)), strict=True))

    def _variants(self, item: Item, feed: Feed, heard: Heard, prefix: np.ndarray | None) -> list[list[Fed]]:
        """For each recording of the prompt every option behind it."""
        variants = []
        for prompt in item.prompts or ((),):
            before = self._prompt(item, prompt, heard)
            variants.append(
                [
                    fed(self._space, feed, *self._pair(item, feed, heard, prompt, number, before), prefix)
                    for number in range(len(item.options))
                ]
            )
        return variants

    def _prompt(self, item: Item, prompt: Segments, heard: Heard) -> list[Run]:
        if item.prompt_tokens is not None and prompt and not any(segment.is_speech for segment in prompt):
            return [(False, item.prompt_tokens)]
        return [
            (True, _units_of(segment, heard))
            if segment.is_speech
            else (False, ids_behind(self._tokenizer, said_before(prompt[:number]), segment.text or ""))
            for number, segment in enumerate(prompt)
        ]

    def _pair(
        self, item: Item, feed: Feed, heard: Heard, prompt: Segments, number: int, before: list[Run]
    ) -> tuple[list[Run], list[Run]]:
        """Prompt and option as runs."""
        option = item.options[number]
        if feed.joint == "together" and _is_joined(prompt, option):
            both, alone = _sounds((*prompt, *option)), _sounds(prompt)
            return _cut(_found(both, heard), _found(alone, heard).num_frames)
        runs: list[Run] = []
        for place, segment in enumerate(option):
            if segment.is_speech:
                runs.append((True, _units_of(segment, heard)))
            elif item.option_tokens is not None and len(option) == 1:
                runs.append((False, item.option_tokens[number]))
            else:
                context = said_before((*prompt, *option[:place]))
                runs.append((False, ids_behind(self._tokenizer, context, segment.text or "")))
        return before, runs

    def _prefix(self, item: Item, feed: Feed, lender: Item) -> np.ndarray | None:
        if not feed.prefix or shape_of(item) != "S->T" or lender.drawn_with == item.drawn_with:
            return None
        text = " ".join(segment.text or "" for segment in lender.options[lender.right])
        ids = ids_of(self._tokenizer, text)
        if not feed.prefix_switch:  # as the published script has it: stored texts end with their end id
            ids = np.append(ids, self._space.eos_text)
        return ids[-feed.prefix :]

    # ------------------------------------------------------------------ scores

    def _score(self, options: Sequence[Fed], places: Sequence[tuple[Record, list[int]]]) -> None:
        if not options:
            return
        # Of each prompt the first option behind it; where no option goes on from it, each by itself.
        once: dict[bytes, int] = {}
        first_ones = [once.setdefault(_key(one), place) if self._apart else place for place, one in enumerate(options)]
        prompts_from = [
            one.prompt.start if self._keep_prompts and one.prompt is not None and first_ones[place] == place else None
            for place, one in enumerate(options)
        ]
        wholes = [one.whole for one in options]
        scores = score_ids(self._model, wholes, prompts_from=prompts_from, **self._settings)
        first = 0
        for record, widths in places:
            nll, end, before = [], [], []
            for width in widths:
                rows = range(first, first := first + width)
                nll.append([nats(scores[row].nll) for row in rows])
                end.append([nats(scores[row].end) for row in rows])
                if self._keep_prompts:
                    told = [first_ones[row] for row in rows]  # recordings that were joined have prompts of their own
                    told = told[:1] if len(set(told)) == 1 else told
                    before.append([nats(_before(scores[row])) for row in told])
            numbers = [value for part in (nll, end, before) for variant in part for one in variant for value in one]
            if not np.isfinite(numbers).all():
                record["error"] = "the model cannot produce an id of it at its place (inf or NaN)"
                continue
            record |= {"nll": nll, "end": end, "before": before if self._keep_prompts else None}


def _key(option: Fed) -> bytes:
    """What stands before an option."""
    return np.asarray(option.whole.ids[: option.whole.start], np.int64).tobytes()


def _before(score: IdScores) -> np.ndarray:
    return np.zeros(0, np.float32) if score.before is None else score.before


def _units_of(segment: Segment, heard: Heard) -> np.ndarray:
    if segment.units is not None:
        return segment.units
    return _found(_sounds([segment]), heard).units


def _found(group: tuple[Sound, ...], heard: Heard) -> Units:
    found = heard[group]
    if isinstance(found, str):
        raise InputError(found, group[-1].name, "see the log")
    return found


def _sounds(segments: Segments) -> tuple[Sound, ...]:
    return tuple(segment.sound for segment in segments if segment.sound is not None)


def _is_joined(prompt: Segments, option: Segments) -> bool:
    """Whether prompt and option are recordings that can be one."""
    return bool(prompt) and all(segment.sound is not None for segment in (*prompt, *option))


def _joined(item: Item, feed: Feed) -> list[tuple[tuple[Sound, ...], tuple[Sound, ...]]]:
    """Each prompt with each option, and the prompt alone, where they are joined before they are encoded."""
    if feed.joint != "together":
        return []
    return [
        (_sounds((*prompt, *option)), _sounds(prompt))
        for prompt in item.prompts
        for option in item.options
        if _is_joined(prompt, option)
    ]


def _cut(units: Units, frames: int) -> tuple[list[Run], list[Run]]:
    """Units of a joined recording, cut where the prompt ends; a unit belongs to the side that its middle lies on."""
    middles = np.cumsum(units.durations) - units.durations / 2
    start = int(np.searchsorted(middles, frames))
    if not 0 < start < len(units.units):
        raise InputError("prompt and option have a unit at least", "none on one side", "check the recordings")
    return [(True, units.units[:start])], [(True, units.units[start:])]
