"""Records -> points, by a rule; no model is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.feeds import Feed
from smoltolk.evaluation.runs.presets import NamedRule
from smoltolk.evaluation.runs.records import Record, is_scored

Row = dict[str, Any]


def judge(records: Sequence[Record], rule: Rule) -> list[Row]:
    """Points of every record that was scored.

    Returns:
        Rows as :func:`smoltolk.evaluation.cloze.cell_of` takes them (``fact`` is the cluster), and ``values``: what
        the rule makes of each option, lower being likelier; ``strata`` and ``question``.

    Raises:
        InputError: the rule needs NLLs that the run did not keep.
    """
    rows = []
    for record in records:
        if not is_scored(record):
            continue
        sums, counts = _sums(record, rule)
        values = (sums / counts if rule.normalisation == "mean" else sums).mean(0)
        nats = sums.mean(0)
        right = record["right"]
        rows.append(
            {
                "id": record["id"],
                "cell": record["cell"],
                "question": record["question"],
                "fact": record["cluster"],
                "rival": record["rival"],
                "mirror": record["mirror"],
                "strata": record["strata"],
                "points": points(values, right, rule.ties),
                "margin": float(nats[1 - right] - nats[right]) if len(nats) == 2 else 0.0,
                "values": values.tolist(),
            }
        )
    return rows


def points(values: np.ndarray, right: int, ties: str) -> float:
    """What a choice is worth: 1 if the right option is the likeliest.

    Args:
        values: float [options], lower is likelier; equal to twelve digits is a tie.
        right: the right one.
        ties: as a :class:`~smoltolk.evaluation.rules.Rule` has it.
    """
    best = np.flatnonzero(np.isclose(values, values.min(), rtol=1e-12, atol=0))
    if right not in best:
        return 0.0
    if len(best) == 1:
        return 1.0
    return {"0.5": 1 / len(best), "wrong": 0.0, "first": float(best[0] == right)}[ties]


def check_feed(rule: NamedRule, fed: Feed, shape: str, run: str) -> None:
    """Refuse a rule that would have had to be fed otherwise.

    Args:
        rule: what a run is to be judged by.
        fed: what it was fed.
        shape: of its items, e.g. ``S->T``.
        run: its name, for the message.

    Raises:
        InputError: naming what differs.
    """
    needs = _needs(rule, fed, shape)
    if needs:
        raise InputError(
            f"the rule {rule.name!r} needs items of {shape} that were fed with {', '.join(needs)}",
            f"{run} was fed otherwise: {fed.as_dict()}",
            f"run the model again with --rule {rule.name}, or change the rule, e.g. ours,normalisation=sum",
        )


def check_rules(feeds: Mapping[str, Mapping[str, Feed]], rules: Sequence[NamedRule], *, keep_prompts: bool) -> None:
    """Refuse rules that a run could not be judged by, before it is begun.

    Args:
        feeds: what the shapes of each task's items will be fed, by the name of the task.
        rules: the first one has decided that.
        keep_prompts: whether prompts will be scored too.

    Raises:
        InputError: naming the first such rule.
    """
    for name, of_task in feeds.items():
        for (shape, feed), rule in product(of_task.items(), rules):
            has_prompt = not _is_alone(shape)
            wanted = rule.for_item(name, has_prompt)
            needs = _needs(wanted, feed, shape)
            if needs:
                raise InputError(
                    f"the first rule of a run, here {rules[0].name!r}, decides what is fed",
                    f"{rule.name!r} needs {name} of {shape} fed with {', '.join(needs)}",
                    f"measure it by a run of its own: --rule {rule.name}",
                )
            if has_prompt and wanted.rule.scope == "whole" and not keep_prompts:
                raise InputError(
                    "a rule about the whole sequence needs the prompts' own NLLs",
                    f"{rule.name!r} and --no-prompts",
                    "leave --no-prompts out",
                )


def _needs(rule: NamedRule, fed: Feed, shape: str) -> list[str]:
    """What items of a shape would have had to be fed with."""
    wanted, needs = rule.feed, []
    if wanted.begin != fed.begin:
        needs.append(f"begin={wanted.begin}")
    if rule.rule.score_end and not fed.end:
        needs.append("end=yes")
    if shape == "S->T":
        needs += [
            f"{name}={getattr(wanted, name)}"
            for name in ("prefix", "prefix_switch")
            if getattr(wanted, name) != getattr(fed, name) and (name == "prefix" or wanted.prefix)
        ]
    if shape == "S->S" and wanted.joint != fed.joint:
        needs.append(f"joint={wanted.joint}")
    return needs


def _is_alone(shape: str) -> bool:
    """Whether options of a shape have no prompt."""
    return shape.startswith("->")


def _sums(record: Record, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """Nats and how many ids they are of, [recordings of the prompt, options]."""
    before = record["before"]
    if before is None and _is_alone(record["shape"]):  # without a prompt there is nothing to keep
        before = [[[]] for _ in record["nll"]]
    if rule.scope == "whole" and before is None:
        raise InputError(
            "a rule about the whole sequence needs the prompts' own NLLs",
            "the run left them out (--no-prompts)",
            "run the model again without that option",
        )
    sums, counts = [], []
    for variant, options in enumerate(record["nll"]):
        row = []
        for number, nll in enumerate(options):
            values = list(nll)
            if rule.scope == "whole":
                prompts = before[variant]
                values = [*prompts[number if len(prompts) > 1 else 0], *values]
            if rule.score_end:
                values += record["end"][variant][number]
            row.append(np.array(values[: rule.first], np.float64))
        sums.append([one.sum() for one in row])
        counts.append([len(one) for one in row])
    return np.array(sums), np.array(counts)
