"""Spoken questions -> written answers and their points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smoltolk.common.progress import Bar
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.evaluation.intervals import cluster_bootstrap
from smoltolk.evaluation.runs.records import Record, failures
from smoltolk.evaluation.runs.units_of import UnitSource
from smoltolk.evaluation.scoring import beyond_table
from smoltolk.evaluation.tasks.spoken_answers import ANSWERS, Question, points_of
from smoltolk.inference.generation import generate, to_text
from smoltolk.model.ids import IdSpace

MOST = 64  # text ids of an answer
_ABOUT = {
    "has_answer": "a reference stands in the written answer to a spoken question",
    "letter": "the written answer to a spoken question names the letter of the right option",
}


def answer(
    model: Any,
    tokenizer: Any,
    space: IdSpace,
    units: UnitSource,
    questions: Sequence[Question],
    progress: Bar | None = None,
    *,
    bf16: bool = False,
) -> list[Record]:
    """A record for each question: ``id, references, answer, ended, error``; greedy, at most ``MOST`` ids."""
    found = units.of([(question.sound,) for question in questions])
    records: list[Record] = []
    prompts = []
    for question, heard in zip(questions, found, strict=True):
        record: Record = {"id": question.id, "references": list(question.references), "error": None}
        records.append(record)
        if isinstance(heard, str):
            record["error"] = heard
        elif not len(heard.units):
            record["error"] = "a recording without a unit"
        else:
            prompt = mixed_prompt(space, [(True, heard.units)], continue_in_speech=False)
            record["error"] = beyond_table(model, len(prompt) + MOST)
            if record["error"] is None:
                prompts.append((record, prompt))
    documents = [prompt for _, prompt in prompts]
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        made = generate(model, documents, end_id=space.eos_text, pad_id=space.eos_text, max_new_tokens=MOST)
    for (record, _), one in zip(prompts, made, strict=True):
        record |= {"answer": to_text(one, tokenizer), "ended": one.ended}
    if progress is not None:
        progress.advance(len(questions))
    return records


def answer_points(task: str, records: Sequence[Record]) -> list[float]:
    """Points by the rule of a task; what has no answer, or one in which nothing can be read, is wrong."""
    return [_points(task, record) or 0.0 for record in records]


def answer_results(task: str, records: Sequence[Record], seed: int, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Accuracy with its interval, how often no end came within the limit, and failures. These count as wrong.

    Args:
        task: its name.
        records: of :func:`answer`.
        seed: of the bootstrap.
        notes: for readers.
    """
    points, match = np.array(answer_points(task, records)), ANSWERS[task].match
    unread = sum(record["error"] is None and _points(task, record) is None for record in records)
    wrong = failures(records)
    done = [record for record in records if record["error"] is None]
    if len(records) > 1:
        cell = cluster_bootstrap(points, [record["id"] for record in records], seed=seed).as_dict("accuracy")
    else:
        cell = {"accuracy": float(points.sum()), "low": 0.0, "high": 1.0, "n": len(records)}
    return {
        "about": _ABOUT[match],
        "chance": ANSWERS[task].chance,
        "items": len(records),
        "scored": len(done),
        "failures": wrong,
        "notes": [*notes, *([f"{unread} answers name no letter, or several: wrong"] if unread else [])],
        "no_end": sum(not record["ended"] for record in done) / max(len(done), 1),
        "rules": {match: {"rule": {"match": match, "most_ids": MOST}, "cells": {"S->T": cell}}},
        "published": [],
    }


def _points(task: str, record: Record) -> float | None:
    return points_of(task, record.get("answer", ""), record["references"])
