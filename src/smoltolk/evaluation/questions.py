"""Questions with two answers, joined with the recordings of both, and cut where the answers begin.

A question about a fact is asked twice over: by the whole sentence, and by the answer's word alone, with all that was
said before it as the prompt. A sound tells something of the next one, so a prompt that was recorded with the right
answer behind it hints at that. Both recordings of a prompt are therefore kept, each option is scored behind both, and
what they hint at cancels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.plain_tokens import plain_encoding
from smoltolk.data.shards.parquet import UnitCorpus
from smoltolk.data.world.stories import Cloze

_FACTS = ("fact_heard", "fact_read")  # the last word of their options is the answer


@dataclass(frozen=True, slots=True)
class SpokenCloze:
    """A question with both of its options as text and as units.

    Attributes:
        id, kind, fact: of the :class:`smoltolk.data.world.stories.Cloze`; of an answer alone, id and kind end in
            ``_answer``.
        rival: the fact that the wrong option belongs to, if the mirror image of the question is asked too;
            otherwise ``fact`` again. Both are clusters of the bootstrap.
        prompt_text, right_text, wrong_text: as written.
        prompt_tokens, right_tokens, wrong_tokens: int [n] text ids; prompt and option joined are the tokens
            of the whole text.
        prompt_units, right_units, wrong_units: int [n] units from 0, of several codebooks [n, Q]. The pause before an
            option is part of it. The prompt is from the recording of the right option,
        rival_prompt_units: and this one from that of the wrong option; None: there is no other.
        prompt_seconds: where the prompt ends in the recording of the right option.
        mirror: id of its mirror image; None: it is not asked.
    """

    id: str
    kind: str
    fact: str
    rival: str
    prompt_text: str
    right_text: str
    wrong_text: str
    prompt_tokens: np.ndarray
    right_tokens: np.ndarray
    wrong_tokens: np.ndarray
    prompt_units: np.ndarray
    right_units: np.ndarray
    wrong_units: np.ndarray
    prompt_seconds: float
    rival_prompt_units: np.ndarray | None = None
    mirror: str | None = None

    @property
    def spoken_prompts(self) -> list[np.ndarray]:
        """The prompt's units, once for each recording of it."""
        others = [] if self.rival_prompt_units is None else [self.rival_prompt_units]
        return [self.prompt_units, *others]


def option_id(cloze_id: str, option: str) -> str:
    """Utterance id of one option (``right`` or ``wrong``) of a question."""
    return f"{cloze_id}-{option}"


def option_texts(clozes: Iterable[Cloze]) -> list[tuple[str, str]]:
    """``(utterance id, text)`` of every option with its prompt before it: what has to be spoken."""
    return [
        (option_id(cloze.id, option), " ".join((*cloze.prompt, ending)))
        for cloze in clozes
        for option, ending in (("right", cloze.right), ("wrong", cloze.wrong))
    ]


def option_voices(clozes: Sequence[Cloze]) -> list[int]:
    """A number for each of :func:`option_texts`: both options of a question, and of its mirror image, share a voice."""
    numbers, voice = [], -1
    for position, mirror in enumerate(find_mirrors(clozes)):
        voice += mirror is None or mirror > position
        numbers += [voice, voice]
    return numbers


def spoken_clozes(clozes: Sequence[Cloze], utterances: UnitCorpus, tokenizer: Any) -> list[SpokenCloze]:
    """Join questions with the utterances of their options, cut where the option begins.

    Behind the questions as they are stand those about facts once more, asked by the answer's word alone.

    Args:
        clozes: the questions.
        utterances: holds the utterances that :func:`option_texts` names, with their words.
        tokenizer: fast transformers tokenizer of the text model.

    Raises:
        InputError: an utterance is missing, says something else, or has no unit on one side of the cut.
    """
    aligned = AlignedCorpus(utterances, tokenizer, utterances.metadata.frame_rate)
    join = _Joining(utterances, aligned, tokenizer, {utterances.id(i): i for i in range(len(utterances))})
    mirrors = [None if place is None else clozes[place] for place in find_mirrors(clozes)]
    pairs = list(zip(clozes, mirrors, strict=True))
    whole = [join.whole(cloze, mirror) for cloze, mirror in pairs]
    return whole + [join.answer(cloze, mirror) for cloze, mirror in pairs if cloze.kind in _FACTS]


def find_mirrors(clozes: Sequence[Cloze]) -> list[int | None]:
    """The place of each question's mirror image, which stands beside it; None if there is none.

    Two neighbours mirror each other if what the first one's wrong option has in place of its right one is
    what the second one's right option has in place of its wrong one, and the other way round.
    """
    mirrors: list[int | None] = [None] * len(clozes)
    position = 0
    while position + 1 < len(clozes):
        first, second = clozes[position], clozes[position + 1]
        if first.kind == second.kind and _swapped(first) == _swapped(second)[::-1]:
            mirrors[position : position + 2] = position + 1, position
            position += 1
        position += 1
    return mirrors


def _swapped(cloze: Cloze) -> tuple[frozenset[str], frozenset[str]]:
    """Words of the right option alone, and of the wrong option alone."""
    right, wrong = frozenset(cloze.right.split()), frozenset(cloze.wrong.split())
    return right - wrong, wrong - right


@dataclass(frozen=True, slots=True)
class _Cut:
    """One option's recording, cut in two."""

    prompt_tokens: np.ndarray
    tokens: np.ndarray
    prompt_units: np.ndarray
    units: np.ndarray
    seconds: float


@dataclass(frozen=True, slots=True)
class _Joining:
    utterances: UnitCorpus
    aligned: AlignedCorpus
    tokenizer: Any
    index: dict[str, int]

    def whole(self, cloze: Cloze, mirror: Cloze | None) -> SpokenCloze:
        """The question as it is: its options are sentences."""
        start = _num_words(cloze.prompt)
        cuts = [self._cut(name, text, start, bare=False) for name, text in option_texts([cloze])]
        texts = " ".join(cloze.prompt), cloze.right, cloze.wrong
        return _joined(cloze, mirror, texts, cuts, "")

    def answer(self, cloze: Cloze, mirror: Cloze | None) -> SpokenCloze:
        """The question asked by the last word alone, without its full stop and the silence behind it."""
        before = cloze.right.split()[:-1]
        start = _num_words(cloze.prompt) + len(before)
        cuts = [self._cut(name, text, start, bare=True) for name, text in option_texts([cloze])]
        right, wrong = (_bare(option.split()[-1]) for option in (cloze.right, cloze.wrong))
        texts = " ".join((*cloze.prompt, *before)), right, wrong
        return _joined(cloze, mirror, texts, cuts, "_answer")

    def _cut(self, name: str, text: str, start: int, *, bare: bool) -> _Cut:
        found = self.aligned.text(self.index[name]) if name in self.index else "no such utterance"
        if found.split() != text.split():
            raise InputError(
                f"utterance {name!r} must say {text!r}", repr(found), "speak and prepare the questions again"
            )
        i = self.index[name]
        cut = _Cut(
            prompt_tokens=self.aligned.tokens(i, 0, start),
            tokens=self.aligned.tokens(i, start),
            prompt_units=self.aligned.units(i, 0, start),
            units=self.aligned.units(i, start),
            seconds=self._seconds(i, start),
        )
        if bare:
            tokens, units = self._bare_tokens(i, cut), self._bare_units(i, cut)
            cut = _Cut(cut.prompt_tokens, tokens, cut.prompt_units, units, cut.seconds)
        sides = {"prompt_tokens": cut.prompt_tokens, "tokens": cut.tokens, "prompt_units": cut.prompt_units}
        empty = [part for part, items in {**sides, "units": cut.units}.items() if len(items) == 0]
        if empty:
            raise InputError(
                f"utterance {name!r} must have something on both sides of word {start}",
                f"no {empty[0]}",
                "check its word times",
            )
        return cut

    def _seconds(self, i: int, start: int) -> float:
        frames = self.utterances.durations(i)[: len(self.aligned.units(i, 0, start))]
        return float(frames.sum() / self.utterances.metadata.frame_rate)

    def _bare_tokens(self, i: int, cut: _Cut) -> np.ndarray:
        text = self.aligned.text(i)
        spans = plain_encoding(self.tokenizer, [text], return_offsets_mapping=True)["offset_mapping"][0]
        end = len(_bare(text))
        return cut.tokens[: sum(start < end for start, _ in spans) - len(cut.prompt_tokens)]

    def _bare_units(self, i: int, cut: _Cut) -> np.ndarray:
        durations = self.utterances.durations(i)
        centres = (np.cumsum(durations) - durations / 2) / self.utterances.metadata.frame_rate
        inside = int(np.sum(centres < self.utterances.words(i)[2][-1]))
        return cut.units[: max(1, inside - len(cut.prompt_units))]


def _joined(
    cloze: Cloze, mirror: Cloze | None, texts: tuple[str, str, str], cuts: list[_Cut], suffix: str
) -> SpokenCloze:
    right, wrong = cuts
    return SpokenCloze(
        id=cloze.id + suffix,
        kind=cloze.kind + suffix,
        fact=cloze.fact,
        rival=cloze.fact if mirror is None else mirror.fact,
        prompt_text=texts[0],
        right_text=texts[1],
        wrong_text=texts[2],
        prompt_tokens=right.prompt_tokens,
        right_tokens=right.tokens,
        wrong_tokens=wrong.tokens,
        prompt_units=right.prompt_units,
        right_units=right.units,
        wrong_units=wrong.units,
        prompt_seconds=right.seconds,
        rival_prompt_units=wrong.prompt_units,
        mirror=None if mirror is None else mirror.id + suffix,
    )


def _num_words(sentences: Sequence[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


def _bare(text: str) -> str:
    """Without what stands behind the last letter or digit."""
    return re.sub(r"\W+$", "", text)
