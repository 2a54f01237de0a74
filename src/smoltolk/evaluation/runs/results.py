"""Records of a run -> its results, by one rule or several; the model is not needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json, read_jsonl
from smoltolk.evaluation.published import published
from smoltolk.evaluation.quality import TIMEOUT
from smoltolk.evaluation.runs.aggregates import cells_of
from smoltolk.evaluation.runs.answering import answer_results
from smoltolk.evaluation.runs.feeds import Feed
from smoltolk.evaluation.runs.judging import check_feed, judge
from smoltolk.evaluation.runs.presets import NamedRule, rule_named
from smoltolk.evaluation.runs.records import Record, failures, is_scored, why_none
from smoltolk.evaluation.runs.run_place import RUN
from smoltolk.evaluation.runs.transcribing import heard_again, quality_results, transcription_results
from smoltolk.evaluation.runs.voices import listener, texts_of
from smoltolk.evaluation.tasks.names import TASKS
from smoltolk.evaluation.tasks.said_texts import SAID_TEXTS, SYNTHESIS
from smoltolk.evaluation.tasks.spoken_answers import ANSWERS
from smoltolk.evaluation.tasks.task import Task
from smoltolk.evaluation.tasks.zerospeech import write_submission
from smoltolk.speech.recognition.recognisers import Recogniser

Results = dict[str, Any]
TEXTS = "text.json"  # of a run: the scores of its text tasks


def beside(rule: NamedRule) -> list[NamedRule]:
    """A rule and the same with the other normalisation: a result tells both."""
    other = "sum" if rule.rule.normalisation == "mean" else "mean"
    changes = [part for part in rule.name.split(",") if not part.startswith("normalisation=")]
    return [rule, rule_named(",".join([*changes, f"normalisation={other}"]))]


def task_results(
    task: Task,
    records: Sequence[Record],
    rules: Sequence[NamedRule],
    feeds: Mapping[str, Feed],
    *,
    seed: int,
    run: str,
    notes: Sequence[str] = (),
) -> Results:
    """What a task came to.

    Args:
        task: which.
        records: of all its items.
        rules: to judge by.
        feeds: what each shape of items was fed.
        seed: of the bootstrap.
        run: its name, for messages.
        notes: of its layout.

    Raises:
        InputError: a rule that needs another feed, or not a single item was scored.
    """
    reason = why_none(records)
    if reason is not None:
        raise none_scored({task.name: reason})
    wrong = failures(records)
    found: dict[str, Any] = {}
    for named_rule in rules:
        rows = []
        for has_prompt in (True, False):
            chosen = [record for record in records if record["shape"].startswith("->") != has_prompt]
            rule = named_rule.for_item(task.name, has_prompt)
            for shape in {record["shape"] for record in chosen}:
                check_feed(rule, feeds[shape], shape, run)
            rows += judge(chosen, rule.rule)
        cells = cells_of(rows, task.aggregate, rule.rule, seed)
        found[named_rule.name] = {"rule": rule.rule.as_dict(), "cells": cells}
        if len(cells) > 1:
            found[named_rule.name]["mean"] = sum(cell["accuracy"] for cell in cells.values()) / len(cells)
    return {
        "about": task.about,
        "chance": task.chance,
        "items": len(records),
        "scored": len(records) - sum(wrong.values()),
        "failures": wrong,
        "notes": list(notes),
        "feeds": {shape: feed.as_dict() for shape, feed in feeds.items()},
        "rules": found,
        "published": [asdict(figure) for figure in published(task.name)],
    }


def stored_results(
    run: Path,
    about: Mapping[str, Any],
    names: Sequence[str],
    rules: Sequence[NamedRule],
    *,
    seed: int | None = None,
    judge: Recogniser | None = None,
    quality: str | None = None,
    quality_timeout: float = TIMEOUT,
) -> Results:
    """What the records of a run come to.

    Args:
        run: the directory.
        about: its ``run.json``.
        names: of the tasks of choices and of spoken questions, in order; those that have no records yet are left out.
        rules: to judge by.
        seed: of the bootstrap of these; None: the run's.
        judge: hears the stored wav files anew; None: who heard them in the run.
        quality, quality_timeout: as for :func:`smoltolk.evaluation.runs.transcribing.quality_results`.

    Returns:
        What describes the run, ``tasks`` and, where there are such, ``transcription`` and ``failed``: why not a single
        item of a task has a score.

    Raises:
        InputError: a rule that needs what the run did not feed or keep, or no task has a score.
    """
    tasks: Results = {}
    said: Results = {}
    failed: dict[str, str] = {}
    for name in [*names, *SAID_TEXTS]:
        place = run / f"{name}.jsonl"
        if not place.is_file():
            continue
        records: list[Record] = list(read_jsonl(place))
        notes = about["notes"].get(name, ())
        drawn = about["seed"] if seed is None else seed
        reason = why_none(records)
        if name in ANSWERS:
            tasks[name] = answer_results(name, records, drawn, notes)
        elif reason is not None:
            failed[name] = reason
        elif name in TASKS:
            fed = {shape: Feed(**values) for shape, values in about["feeds"][name].items()}
            tasks[name] = task_results(TASKS[name], records, rules, fed, seed=drawn, run=str(run), notes=notes)
        else:
            found = _transcribed(run, about, name, records, judge)
            if name == SYNTHESIS:
                measured = quality_results(run, records, about["seed"], quality, quality_timeout)
                found |= {} if measured is None else {"quality": measured}
            said[name] = found
    if failed and not tasks and not said:
        raise none_scored(failed)
    return head_of(about) | {"tasks": tasks} | _some(transcription=said, failed=failed)


def none_scored(failed: Mapping[str, str]) -> InputError:
    """What is said of tasks without a single score, by their names and reasons."""
    name, reason = next(iter(failed.items()))
    return InputError(f"an item of {name} must be scored", f"all failed: {reason}", "see the records of the run")


def _some(**parts: Results) -> Results:
    return {name: part for name, part in parts.items() if part}


def _transcribed(
    run: Path, about: Mapping[str, Any], name: str, records: Sequence[Record], judge: Recogniser | None
) -> Results:
    """Error rates of recognition or synthesis."""
    heard_by = None
    if name == SYNTHESIS:
        heard_by = about["synthesis"]["judge"] if judge is None else judge.name
        records = records if judge is None else heard_again(run, records, judge)
    return transcription_results(name, records, about["seed"], notes=about["notes"].get(name, ()), judge=heard_by)


def about_stored(run: Path) -> dict[str, Any]:
    """What a stored run says of itself; ``rule`` names the one that it was fed for.

    Raises:
        NotFoundError: no run there.
    """
    if not (run / RUN).is_file():
        raise NotFoundError("--from names the directory of a run", f"no {RUN} in {run}", "check the path")
    return dict(read_json(run / RUN))


def judge_again(
    run: Path,
    rules: Sequence[NamedRule],
    seed: int | None = None,
    *,
    judge: str | None = None,
    judge_texts: Path | None = None,
    quality: str | None = None,
    quality_timeout: float = TIMEOUT,
) -> Results:
    """A stored run by other rules; what was spoken by another judge, or measured by another command.

    Raises:
        NotFoundError: no run there.
        InputError: a rule that needs what the run did not feed or keep.
    """
    about = about_stored(run)
    spoken = (run / f"{SYNTHESIS}.jsonl").is_file()
    if not spoken and (judge is not None or quality is not None):
        raise InputError("what was spoken is heard and measured again", f"no {SYNTHESIS} in {run}", "leave it out")
    listens = None
    if judge is not None:
        texts = [record["reference"] for record in read_jsonl(run / f"{SYNTHESIS}.jsonl")]
        listens = listener(judge, texts_of(judge_texts, texts))
    found = stored_results(
        run,
        about,
        [*TASKS, *ANSWERS],
        rules,
        seed=seed,
        judge=listens,
        quality=quality,
        quality_timeout=quality_timeout,
    )
    texts_told = read_json(run / TEXTS) if (run / TEXTS).is_file() else {}
    if not found["tasks"] and "transcription" not in found and not texts_told:
        raise NotFoundError("a run has a finished task at least", f"none in {run}", "let it finish first")
    return found | _some(text=texts_told)


def head_of(about: Mapping[str, Any]) -> Results:
    """What a result says of its run."""
    return {key: about[key] for key in ("version", "model", "units", "seed", "limit", "precision")}


def submissions(task: Task, records: Sequence[Record], rule: NamedRule, out: Path) -> Path | None:
    """Write the files of the official scorer, where a task has one; None if some items have no score.

    Raises:
        InputError: the rule needs what the run did not keep.
    """
    if task.name not in ("swuggy", "sblimp") or not all(map(is_scored, records)):
        return None
    rows = judge(records, rule.for_item(task.name, has_prompt=False).rule)
    return write_submission(records, [[-value for value in row["values"]] for row in rows], out / "submission")
