"""Two-way choices about stories and facts, in four directions: heard or read, answered by speaking or by
writing.

Options are scored behind the same prompt, which is computed once. A spoken prompt is there twice, as it was recorded
with either option, and an option's score is the mean of both. A question counts **single**, by its own two options, and
as a **pair** with its mirror image, where the same two options compete and the other one is right: the two margins are
added, so that what a model thinks of an answer in any case cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_jsonl, write_jsonl
from smoltolk.common.progress import Bar
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.intervals import Interval, choice_outcomes, cluster_bootstrap, paired_difference
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.ids import IdSpace
from smoltolk.report.results import DIRECTIONS

Record = dict[str, Any]


def prompts(item: SpokenCloze, direction: str, space: IdSpace) -> list[Document]:
    """What stands before the options, ``<switch>`` included, once for each recording of a spoken prompt.

    Args:
        item: the question.
        direction: modality of the prompt ``->`` modality of the option.
        space: the id space.
    """
    if direction[0] == "S":
        documents = [Document(space).speech(units) for units in item.spoken_prompts]
    else:
        documents = [Document(space).text(item.prompt_tokens)]
    return documents if direction[0] == direction[-1] else [document.switch() for document in documents]


def option_sequences(
    item: SpokenCloze, direction: str, space: IdSpace, *, end: bool = False
) -> list[tuple[Scored, Scored]]:
    """The right and the wrong option as id sequences, e.g. for ``S->T``: ``<eos speech> units <switch> | text``.

    Args:
        item: the question.
        direction: modality of the prompt ``->`` modality of the option.
        space: the id space.
        end: append the end-of-sequence id.

    Returns:
        Both options behind each of the :func:`prompts`.
    """
    speaks = direction[-1] == "S"
    options = (item.right_units, item.wrong_units) if speaks else (item.right_tokens, item.wrong_tokens)

    def behind(document: Document, content: np.ndarray) -> Scored:
        start = len(document)
        document = document.speech(content) if speaks else document.text(content)
        return Scored.of(document.end() if end else document, start, space)

    # A document grows: each option needs prompts of its own.
    right, wrong = ([behind(prompt, option) for prompt in prompts(item, direction, space)] for option in options)
    return list(zip(right, wrong, strict=True))


@dataclass(frozen=True, slots=True)
class ClozeResult:
    """Accuracies and what they were made of.

    Attributes:
        cells: ``{kind: {direction: {"accuracy", "low", "high", "n", "pair": {the same four}}}}`` as in results.json;
            ``pair`` only where there are several and every question has its mirror image.
        items: one record for each question and direction, as in the log.
        rule: how options were scored.
    """

    cells: dict[str, dict[str, dict[str, Any]]]
    items: list[Record]
    rule: Rule

    def cell(self, kind: str, direction: str) -> list[Record]:
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
            end. Pairs always add nats.
        directions: which of the four.
        batch_tokens, autocast: as for :func:`~smoltolk.evaluation.scoring.score`.
        progress: advanced by :func:`num_options` sequences in all.
        log_path: JSON lines, one for each question and direction: the NLLs of both options behind each prompt (nats),
            their counts, the points, the margin (nats by which the right one is likelier) that pairs add.
    """
    rule = rule or Rule()
    asked = [(way, item) for way in directions for item in items]
    pairs = [option_sequences(item, way, space, end=rule.score_end) for way, item in asked]
    scores = score(
        model,
        [option for behind in pairs for pair in behind for option in pair],
        space=space,
        rule=rule,
        batch_tokens=batch_tokens,
        autocast=autocast,
        progress=progress,
    )
    values, nll, count = (array.reshape(-1, 2) for array in (scores.values(rule), scores.nll, scores.count))
    records, first = [], 0
    for (way, item), behind in zip(asked, pairs, strict=True):
        rows = slice(first, first := first + len(behind))
        right, wrong = values[rows].mean(0)
        records.append(
            {
                "id": item.id,
                "kind": item.kind,
                "fact": item.fact,
                "rival": item.rival,
                "mirror": item.mirror,
                "direction": way,
                "points": float(choice_outcomes(right, wrong, rule.ties)),
                "margin": float((nll[rows, 1] - nll[rows, 0]).mean()),
                "nll_right": nll[rows, 0].tolist(),
                "nll_wrong": nll[rows, 1].tolist(),
                "count_right": int(count[rows.start, 0]),
                "count_wrong": int(count[rows.start, 1]),
            }
        )
    if log_path is not None:
        write_jsonl(log_path, records)
    return _result(records, rule, seed)


def num_options(items: Sequence[SpokenCloze], directions: Sequence[str] = DIRECTIONS) -> int:
    """How many sequences are scored."""
    return sum(2 * (len(item.spoken_prompts) if way[0] == "S" else 1) for way in directions for item in items)


def _result(records: list[Record], rule: Rule, seed: int) -> ClozeResult:
    result = ClozeResult({}, records, rule)
    for kind, way in dict.fromkeys((row["kind"], row["direction"]) for row in records):
        result.cells.setdefault(kind, {})[way] = cell_of(result.cell(kind, way), rule, seed)
    return result


def cell_of(rows: list[Record], rule: Rule, seed: int) -> dict[str, Any]:
    """Accuracy of some records with its interval, single and (if each has its mirror image) as pairs.

    Args:
        rows: with ``id``, ``fact``, ``rival``, ``mirror``, ``points`` and ``margin``.
        rule: what a tie is worth.
        seed: of the bootstrap.
    """
    cell: dict[str, Any] = _bootstrap(rows, _column(rows, "points"), seed).as_dict("accuracy")
    pairs = _paired(rows)
    if pairs:
        cell["pair"] = _bootstrap(pairs, _pair_points(pairs, rule), seed).as_dict("accuracy")
    return cell


def judged(rows: list[Record], rule: Rule) -> tuple[list[Record], np.ndarray]:
    """What a cell's accuracy is a mean of: pairs of mirror images where each question has one, else questions.

    Args:
        rows: of one kind and direction.
        rule: what a tie is worth.

    Returns:
        the items, with their ``id``, ``fact`` and ``rival``, and their points, float64 [n].
    """
    pairs = _paired(rows)
    return (pairs, _pair_points(pairs, rule)) if pairs else (rows, _column(rows, "points"))


def _paired(rows: list[Record]) -> list[Record]:
    """One record for each two questions that mirror each other, with both of their margins; none if one is alone.

    Nor of a single pair, which has no interval.
    """
    by_id = {row["id"]: row for row in rows}
    if len(rows) < 4 or any(row.get("mirror") not in by_id for row in rows):
        return []
    pairs = []
    for row in rows:
        other = by_id[row["mirror"]]
        if row["id"] < other["id"]:
            pairs.append({**row, "margin": row["margin"] + other["margin"]})
    return pairs


def _pair_points(pairs: list[Record], rule: Rule) -> np.ndarray:
    margins = _column(pairs, "margin")
    return choice_outcomes(np.where(np.abs(margins) < 1e-9, 0.0, -margins), np.zeros(len(margins)), rule.ties)


def _bootstrap(rows: list[Record], values: np.ndarray, seed: int) -> Interval:
    return cluster_bootstrap(values, _column(rows, "fact"), seed=seed, rivals=_column(rows, "rival"))


def _column(rows: list[Record], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def differences(first: ClozeResult, second: ClozeResult, *, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """``first - second`` in every cell, paired by question, with 95% intervals over facts.

    Returns:
        ``{kind: {direction: {"difference", "low", "high", "n", "pair": {the same four}}}}``.

    Raises:
        InputError: the two were not measured on the same questions.
    """
    return {
        kind: {
            way: difference_of(first.cell(kind, way), second.cell(kind, way), first.rule, seed, f"{kind} {way}")
            for way in ways
        }
        for kind, ways in first.cells.items()
    }


def difference_of(one: list[Record], other: list[Record], rule: Rule, seed: int, name: str) -> dict[str, Any]:
    """What two systems differ by in one cell, single and as pairs.

    Args:
        one, other: records of the same questions in the same order.
        rule, seed: as for :func:`cell_of`.
        name: of the cell, for the message.

    Raises:
        InputError: other questions.
    """
    if [row["id"] for row in one] != [row["id"] for row in other]:
        raise InputError(
            "a paired difference needs the same questions in the same order",
            f"{len(one)} and {len(other)} questions of {name}, or other ones",
            "evaluate both systems on the same list",
        )
    found: dict[str, Any] = _difference(one, _column(one, "points"), _column(other, "points"), seed)
    pairs, others = _paired(one), _paired(other)
    if pairs:
        found["pair"] = _difference(pairs, _pair_points(pairs, rule), _pair_points(others, rule), seed)
    return found


def _difference(rows: list[Record], first: np.ndarray, second: np.ndarray, seed: int) -> dict[str, float]:
    facts, rivals = _column(rows, "fact"), _column(rows, "rival")
    return paired_difference(first, second, facts, rivals=rivals, seed=seed).as_dict("difference")


def load_log(path: Path | str, *, seed: int, rule: Rule | None = None) -> ClozeResult:
    """Read a log of :func:`evaluate_clozes` back, so that cells and differences can be worked out again."""
    return _result(list(read_jsonl(path)), rule or Rule(), seed)
