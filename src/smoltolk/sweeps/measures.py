"""What trained models are asked, item by item, so that two of them can be compared by the same items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_jsonl, write_jsonl
from smoltolk.common.progress import ReportBar
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.data.shards.parquet import UnitCorpus, read_shards
from smoltolk.data.world.world_files import read_clozes
from smoltolk.evaluation.cloze import judged
from smoltolk.evaluation.intervals import cluster_bootstrap, paired_difference
from smoltolk.evaluation.questions import SpokenCloze, spoken_clozes
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.judging import judge
from smoltolk.evaluation.runs.world_answers import RULE, answers_of, of_cell
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.sweeps.experiment import Outcome
from smoltolk.training.loop.settings import Logging
from smoltolk.training.trainer import Report

Record = dict[str, Any]
_ANSWERS = "world.jsonl"  # records of all questions, as `evaluate` leaves them


def questions_of(sources: Logging, tokenizer: Any) -> list[SpokenCloze]:
    """The questions of all sets, in their order.

    Args:
        sources: whose ``cloze`` names ``QUESTIONS=SHARDS``.
        tokenizer: of the text.

    Raises:
        NotFoundError, InputError: no such questions or shards.
    """
    items: list[SpokenCloze] = []
    for one in sources.cloze:
        questions, equals, shards = one.partition("=")
        if not equals:
            raise InputError("a question set is QUESTIONS=SHARDS", repr(one), "name both")
        items += spoken_clozes(read_clozes(Path(questions)), read_shards(shards), tokenizer)
    return items


def measure(
    model: SmolTolkForCausalLM,
    tokenizer: Any,
    sources: Logging,
    outcomes: Sequence[Outcome],
    folder: Path,
    *,
    seed: int = 0,
    report: Report | None = None,
) -> dict[str, float]:
    """Ask a model all that the outcomes want, keep each answer in ``FOLDER/*.jsonl``, and return the outcomes.

    Args:
        model: asked.
        tokenizer: of its text.
        sources: held-out shards and question sets.
        outcomes: what is looked at.
        folder: for the answers.
        seed: of the bootstrap.
        report: called with the questions asked.

    Raises:
        InputError: questions of a kind that no set has.
    """
    if any(not outcome.is_nll for outcome in outcomes):
        ways = tuple(dict.fromkeys(outcome.direction for outcome in outcomes if not outcome.is_nll))
        wanted = {outcome.kind for outcome in outcomes if not outcome.is_nll}
        items = [item for item in questions_of(sources, tokenizer) if item.kind in wanted]
        if missing := wanted - {item.kind for item in items}:
            raise InputError(
                "questions are of the kinds that the sets have", f"none of {sorted(missing)}", "correct it"
            )
        bar = None if report is None else ReportBar(report)
        write_jsonl(folder / _ANSWERS, answers_of(model, items, directions=ways, progress=bar))
    if any(outcome.is_nll for outcome in outcomes):
        units = read_shards(str(sources.held_out))
        for kind in ("speech", "text"):
            if Outcome(f"nll:{kind}") in outcomes:
                write_jsonl(folder / f"{kind}.jsonl", _likelihoods(model, units, tokenizer, kind))
    return {outcome.name: value_of(outcome, folder, seed)["value"] for outcome in outcomes}


def _likelihoods(model: SmolTolkForCausalLM, units: UnitCorpus, tokenizer: Any, kind: str) -> list[Record]:
    """Of each held-out utterance: nats and ids."""
    space = model.config.id_space
    documents: list[Document | np.ndarray] = []
    for number in range(len(units)):
        if kind == "speech":
            documents.append(Document(space).speech(units.units(number)))
        else:
            documents.append(np.array([tokenizer.eos_token_id, *plain_ids(tokenizer, units.text(number))]))
    sequences = [
        Scored.of(document, 1, space) if isinstance(document, Document) else Scored(document, 1)
        for document in documents
    ]
    scores = score(model, sequences, space=space, rule=Rule(normalisation="sum", scope="whole"))
    return [
        {"id": units.id(number), "nll": float(nll), "count": int(count)}
        for number, (nll, count) in enumerate(zip(scores.nll, scores.count, strict=True))
        if count
    ]


def value_of(outcome: Outcome, folder: Path, seed: int) -> dict[str, float]:
    """An outcome of a finished trial, with its 95% interval over items: ``{"value", "low", "high", "n"}``."""
    items = _items(outcome, folder)
    return cluster_bootstrap(items.values, items.clusters, rivals=items.rivals, seed=seed).as_dict()


def difference_between(outcome: Outcome, ones: Sequence[Path], others: Sequence[Path], seed: int) -> dict[str, Any]:
    """What an arm differs by from another one: the mean over seeds at each item, then over items.

    Seeds share their items, so each item's differences are averaged over seeds before items are drawn again: the
    interval is about other items and these trainings; how far trainings differ is seen from the seeds.

    Args:
        outcome: what is looked at.
        ones, others: folders of answers of the two arms, seed by seed.
        seed: of the bootstrap.

    Returns:
        ``{"difference", "low", "high", "n"}``, and ``seeds``, the difference of each.

    Raises:
        InputError: they were not asked the same.
    """
    pairs = [(_items(outcome, one), _items(outcome, other)) for one, other in zip(ones, others, strict=True)]
    same = pairs[0][0]
    if any(each.names != same.names for pair in pairs for each in pair):
        raise InputError(
            "a paired difference needs the same items of both arms",
            f"{outcome.name}: other items in {ones[0].name} or {others[0].name}",
            "ask both the same; name another --out for other questions",
        )
    first, second = (np.mean([pair[which].values for pair in pairs], axis=0) for which in (0, 1))
    found: dict[str, Any] = paired_difference(first, second, same.clusters, rivals=same.rivals, seed=seed).as_dict(
        "difference"
    )
    return found | {"seeds": [float((one.values - other.values).mean()) for one, other in pairs]}


class _Items(NamedTuple):
    """What an outcome is a mean of."""

    names: list[str]
    values: np.ndarray
    clusters: list[str]
    rivals: list[str] | None


def _items(outcome: Outcome, folder: Path) -> _Items:
    if outcome.is_nll:
        rows = list(read_jsonl(folder / f"{outcome.kind}.jsonl"))
        nll, count = (np.array([row[name] for row in rows], np.float64) for name in ("nll", "count"))
        names = [row["id"] for row in rows]
        # Their mean is the likelihood per id. How far an utterance moves it is by how much it is less likely than
        # others of its length, not by its length: those that are drawn again bring their ids with them.
        per_id = nll.sum() / count.sum()
        return _Items(names, per_id + (nll - per_id * count) / count.mean(), names, None)
    asked = judge(of_cell(list(read_jsonl(folder / _ANSWERS)), outcome.kind, outcome.direction), RULE.rule)
    rows, values = judged(asked, RULE.rule)
    names, facts, rivals = ([row[name] for row in rows] for name in ("id", "fact", "rival"))
    return _Items(names, values, facts, rivals)
