"""Two-way choices about stories and facts, in four directions: heard or read, answered by speaking or by
writing.

Both options follow the same prompt, which is computed once. A spoken prompt is always taken from the recording of
the right option, so that nothing in it tells which option is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_jsonl, write_jsonl
from smoltolk.common.progress import Bar
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document
from smoltolk.data.shards.parquet import UnitCorpus
from smoltolk.data.world.stories import Cloze
from smoltolk.evaluation.intervals import choice_outcomes, cluster_bootstrap, paired_difference
from smoltolk.evaluation.results import DIRECTIONS
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.ids import IdSpace


@dataclass(frozen=True, slots=True)
class SpokenCloze:
    """A question with both of its options as text and as units.

    Attributes:
        id, kind, fact: of the :class:`smoltolk.data.world.stories.Cloze`.
        rival: the fact that the wrong option belongs to, if the mirror image of the question is asked too;
            otherwise ``fact`` again. Both are clusters of the bootstrap.
        prompt_text, right_text, wrong_text: as written.
        prompt_tokens, right_tokens, wrong_tokens: int [n] text ids; prompt and option joined are the tokens
            of the whole text.
        prompt_units, right_units, wrong_units: int [n] units from 0, of several codebooks [n, Q]. The pause before an
            option is part of it.
        prompt_seconds: where the prompt ends in the recording of the right option.
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


def spoken_clozes(clozes: Sequence[Cloze], utterances: UnitCorpus, tokenizer: Any) -> list[SpokenCloze]:
    """Join questions with the utterances of their options, cut where the option begins.

    Args:
        clozes: the questions.
        utterances: holds the utterances that :func:`option_texts` names, with their words.
        tokenizer: fast transformers tokenizer of the text model.

    Raises:
        InputError: an utterance is missing, says something else, or has no unit on one side of the cut.
    """
    aligned = AlignedCorpus(utterances, tokenizer, utterances.metadata.frame_rate)
    index = {utterances.id(i): i for i in range(len(utterances))}
    return [
        _join(cloze, rival, utterances, aligned, index)
        for cloze, rival in zip(clozes, find_rivals(clozes), strict=True)
    ]


def find_rivals(clozes: Sequence[Cloze]) -> list[str]:
    """The rival fact of each question: that of its mirror image beside it; its own if there is none.

    Two neighbours mirror each other if what the first one's wrong option has in place of its right one is
    what the second one's right option has in place of its wrong one, and the other way round.
    """
    rivals = [cloze.fact for cloze in clozes]
    position = 0
    while position + 1 < len(clozes):
        first, second = clozes[position], clozes[position + 1]
        if first.kind == second.kind and _swapped(first) == _swapped(second)[::-1]:
            rivals[position : position + 2] = second.fact, first.fact
            position += 1
        position += 1
    return rivals


def _swapped(cloze: Cloze) -> tuple[frozenset[str], frozenset[str]]:
    """Words of the right option alone, and of the wrong option alone."""
    right, wrong = frozenset(cloze.right.split()), frozenset(cloze.wrong.split())
    return right - wrong, wrong - right


def _join(
    cloze: Cloze, rival: str, utterances: UnitCorpus, aligned: AlignedCorpus, index: dict[str, int]
) -> SpokenCloze:
    cut = sum(len(sentence.split()) for sentence in cloze.prompt)
    cuts = {}
    for option, (name, text) in zip(("right", "wrong"), option_texts([cloze]), strict=True):
        found = aligned.text(index[name]) if name in index else "no such utterance"
        if found.split() != text.split():
            raise InputError(
                f"utterance {name!r} must say {text!r}", repr(found), "speak and prepare the questions again"
            )
        i = index[name]
        cuts[option] = {
            "prompt_tokens": aligned.tokens(i, 0, cut),
            "tokens": aligned.tokens(i, cut),
            "prompt_units": aligned.units(i, 0, cut),
            "units": aligned.units(i, cut),
        }
        empty = [part for part, items in cuts[option].items() if len(items) == 0]
        if empty:
            raise InputError(
                f"utterance {name!r} must have something on both sides of word {cut}",
                f"no {empty[0]}",
                "check its word times",
            )
    right, wrong = cuts["right"], cuts["wrong"]
    frames = utterances.durations(index[option_id(cloze.id, "right")])[: len(right["prompt_units"])]
    return SpokenCloze(
        id=cloze.id,
        kind=cloze.kind,
        fact=cloze.fact,
        rival=rival,
        prompt_text=" ".join(cloze.prompt),
        right_text=cloze.right,
        wrong_text=cloze.wrong,
        prompt_tokens=right["prompt_tokens"],
        right_tokens=right["tokens"],
        wrong_tokens=wrong["tokens"],
        prompt_units=right["prompt_units"],
        right_units=right["units"],
        wrong_units=wrong["units"],
        prompt_seconds=float(frames.sum() / utterances.metadata.frame_rate),
    )


def option_sequences(item: SpokenCloze, direction: str, space: IdSpace, *, end: bool = False) -> tuple[Scored, Scored]:
    """The right and the wrong option as id sequences, e.g. for ``S->T``: ``<eos speech> units <switch> |
    text``.

    Args:
        item: the question.
        direction: modality of the prompt ``->`` modality of the option.
        space: the id space.
        end: append the end-of-sequence id.
    """
    listens, speaks = direction[0] == "S", direction[-1] == "S"
    options = []
    for tokens, units in ((item.right_tokens, item.right_units), (item.wrong_tokens, item.wrong_units)):
        document = Document(space)
        document = document.speech(item.prompt_units) if listens else document.text(item.prompt_tokens)
        if listens != speaks:
            document = document.switch()
        start = len(document)
        document = document.speech(units) if speaks else document.text(tokens)
        options.append(Scored.of(document.end() if end else document, start, space))
    return options[0], options[1]


@dataclass(frozen=True, slots=True)
class ClozeResult:
    """Accuracies and what they were made of.

    Attributes:
        cells: ``{kind: {direction: {"accuracy", "low", "high", "n"}}}`` as in results.json.
        items: one record for each question and direction, as in the log.
        rule: how options were scored.
    """

    cells: dict[str, dict[str, dict[str, float]]]
    items: list[dict[str, Any]]
    rule: Rule

    def cell(self, kind: str, direction: str) -> list[dict[str, Any]]:
        """The records of one cell."""
        return [row for row in self.items if (row["kind"], row["direction"]) == (kind, direction)]


def evaluate_clozes(
    model: nn.Module,
    items: Sequence[SpokenCloze],
    space: IdSpace,
    *,
    seed: int,
    rule: Rule | None = None,
    directions: Sequence[str] = DIRECTIONS,
    batch_tokens: int = 4096,
    autocast: bool = False,
    progress: Bar | None = None,
    log_path: Path | str | None = None,
) -> ClozeResult:
    """Accuracy for every kind of question and every direction, with 95% intervals over facts.

    Args:
        model: scored as :func:`smoltolk.evaluation.scoring.score` does.
        items: questions of one or several kinds.
        space: the model's id space.
        seed: of the bootstrap.
        rule: default :class:`~smoltolk.evaluation.rules.Rule`: mean NLL of the continuation, without its
            end.
        directions: which of the four.
        batch_tokens, autocast: as for :func:`~smoltolk.evaluation.scoring.score`.
        progress: advanced by ``2 * len(items) * len(directions)`` sequences in all.
        log_path: JSON lines, one for each question and direction: both NLLs (nats), their counts, the points.
    """
    rule = rule or Rule()
    pairs = [option_sequences(item, way, space, end=rule.score_end) for way in directions for item in items]
    scores = score(
        model,
        [option for pair in pairs for option in pair],
        space=space,
        rule=rule,
        batch_tokens=batch_tokens,
        autocast=autocast,
        progress=progress,
    )
    values, nll, count = (array.reshape(-1, 2) for array in (scores.values(rule), scores.nll, scores.count))
    points = choice_outcomes(values[:, 0], values[:, 1], rule.ties)
    records = [
        {
            "id": item.id,
            "kind": item.kind,
            "fact": item.fact,
            "rival": item.rival,
            "direction": way,
            "points": float(points[row]),
            "nll_right": float(nll[row, 0]),
            "nll_wrong": float(nll[row, 1]),
            "count_right": int(count[row, 0]),
            "count_wrong": int(count[row, 1]),
        }
        for row, (way, item) in enumerate((way, item) for way in directions for item in items)
    ]
    if log_path is not None:
        write_jsonl(log_path, records)
    return _result(records, rule, seed)


def _result(records: list[dict[str, Any]], rule: Rule, seed: int) -> ClozeResult:
    result = ClozeResult({}, records, rule)
    for kind, way in dict.fromkeys((row["kind"], row["direction"]) for row in records):
        rows = result.cell(kind, way)
        interval = cluster_bootstrap(
            _column(rows, "points"), _column(rows, "fact"), seed=seed, rivals=_column(rows, "rival")
        )
        result.cells.setdefault(kind, {})[way] = interval.as_dict("accuracy")
    return result


def _column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def differences(first: ClozeResult, second: ClozeResult, *, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """``first - second`` in every cell, paired by question, with 95% intervals over facts.

    Returns:
        ``{kind: {direction: {"difference", "low", "high", "n"}}}``.

    Raises:
        InputError: the two were not measured on the same questions.
    """
    table: dict[str, dict[str, dict[str, float]]] = {}
    for kind, ways in first.cells.items():
        table[kind] = {}
        for way in ways:
            one, other = first.cell(kind, way), second.cell(kind, way)
            if [row["id"] for row in one] != [row["id"] for row in other]:
                raise InputError(
                    "a paired difference needs the same questions in the same order",
                    f"{len(one)} and {len(other)} questions of {kind} {way}, or other ones",
                    "evaluate both systems on the same list",
                )
            interval = paired_difference(
                _column(one, "points"),
                _column(other, "points"),
                _column(one, "fact"),
                seed=seed,
                rivals=_column(one, "rival"),
            )
            table[kind][way] = interval.as_dict("difference")
    return table


def load_log(path: Path | str, *, seed: int, rule: Rule | None = None) -> ClozeResult:
    """Read a log of :func:`evaluate_clozes` back, so that cells and differences can be worked out again."""
    return _result(list(read_jsonl(path)), rule or Rule(), seed)
