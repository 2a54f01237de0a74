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
from smoltolk.evaluation.tasks.spoken_answers import Question, has_answer
from smoltolk.inference.generation import generate, to_text
from smoltolk.model.ids import IdSpace

MOST = 64  # text ids of an answer


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
    """A record for each question: ``id, references, answer, ended, points, error``; greedy, at most ``MOST`` ids."""
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
            prompts.append((record, mixed_prompt(space, [(True, heard.units)], continue_in_speech=False)))
    documents = [prompt for _, prompt in prompts]
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        made = generate(model, documents, end_id=space.eos_text, pad_id=space.eos_text, max_new_tokens=MOST)
    for (record, _), one in zip(prompts, made, strict=True):
        text = to_text(one, tokenizer)
        record |= {"answer": text, "ended": one.ended, "points": float(has_answer(text, record["references"]))}
    if progress is not None:
        progress.advance(len(questions))
    return records


def answer_results(records: Sequence[Record], seed: int, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Accuracy with its interval, how often no end came within the limit, and failures. These count as wrong.

    Points are worked out anew from the answers.
    """
    points = np.array([float(has_answer(record.get("answer", ""), record["references"])) for record in records])
    wrong = failures([{"nll": 0, **record} for record in records])
    done = [record for record in records if record["error"] is None]
    if len(records) > 1:
        cell = cluster_bootstrap(points, [record["id"] for record in records], seed=seed).as_dict("accuracy")
    else:
        cell = {"accuracy": float(points.sum()), "low": 0.0, "high": 1.0, "n": len(records)}
    return {
        "about": "a reference stands in the written answer to a spoken question",
        "chance": 0.0,
        "items": len(records),
        "scored": len(done),
        "failures": wrong,
        "notes": list(notes),
        "no_end": sum(not record["ended"] for record in done) / max(len(done), 1),
        "rules": {"has_answer": {"rule": {"match": "has_answer", "most_ids": MOST}, "cells": {"S->T": cell}}},
        "published": [],
    }
