"""Text tasks in a run: each task of each model is kept as soon as it is done, so an interrupted run goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smoltolk.common.files import read_json, write_json
from smoltolk.evaluation.runs.request import Request
from smoltolk.evaluation.runs.results import TEXTS
from smoltolk.evaluation.runs.work import Work
from smoltolk.evaluation.tasks.text_retention import text_scores
from smoltolk.evaluation.text_model import load_text_model
from smoltolk.inference.parts import load_model

Scores = dict[str, dict[str, dict[str, float]]]


def text_results(request: Request, work: Work) -> Scores:
    """Scores of text tasks, ``after`` of the model and ``before`` of the text model it was made from.

    Args:
        request: names the models.
        work: names the tasks.

    Returns:
        ``{task: {"after" | "before": {metric: value}}}``, as it lies in ``RUN/text.json``.
    """
    models: dict[str, Callable[[], tuple[Any, Any]]] = {"after": lambda: load_model(request.model)}
    if request.before is not None:
        models["before"] = lambda: load_text_model(str(request.before))
    place = request.out / TEXTS
    scores: Scores = read_json(place) if place.is_file() else {}
    for when, load in models.items():
        missing = [name for name in work.texts if when not in scores.get(name, {})]
        if missing:
            model, tokenizer = load()
            for name in missing:
                found = text_scores(model, tokenizer, [name], work.harness, limit=request.limit)
                scores.setdefault(name, {})[when] = found.get(name, {})
                write_json(place, scores)
    return {name: scores[name] for name in work.texts}
