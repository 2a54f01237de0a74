"""The results of ``smoltolk evaluate`` as markdown: a row for each cell, a column for each rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smoltolk.report.markdown import in_cell, table
from smoltolk.report.titles import cell_title
from smoltolk.report.transcription_table import transcription_markdown
from smoltolk.report.wording import percent


def task_markdown(results: Mapping[str, Any]) -> str:
    """All of a run: what was measured, accuracies with intervals, published figures beside them, failures.

    Args:
        results: of :func:`smoltolk.evaluation.runs.evaluating.evaluate` or of a stored run that was judged again.
    """
    model, units = results["model"], results["units"]
    head = [
        f"Model `{model['name']}` ({model['fingerprint'][:16]})",
        f"units {units['fingerprint'][:16]}" if units else "no recordings",
        f"{results['precision']}, seed {results['seed']}, smoltolk {results['version']}",
    ]
    parts = ["# Evaluation", " · ".join(head)]
    if results["tasks"]:
        parts.append("Accuracy in % with its 95% interval by bootstrap; n counts what is averaged.")
    for name, task in results["tasks"].items():
        parts += [f"## {name}: {task['about']}", _cells(task), *_about(task)]
    if results.get("transcription"):
        parts.append(transcription_markdown(results["transcription"]))
    if results.get("text"):
        parts += ["## Text", _texts(results["text"])]
    return "\n\n".join(parts) + "\n"


def shown_cell(cell: Mapping[str, Any]) -> str:
    """``55.2 [53.0, 57.4]``; without bounds where there are none, e.g. of a single recording."""
    bounds = "" if cell["low"] is None else f" [{percent(cell['low'])}, {percent(cell['high'])}]"
    return percent(cell["accuracy"]) + bounds


def _cells(task: Mapping[str, Any]) -> str:
    rules = task["rules"]
    first = next(iter(rules.values()))["cells"]
    rows = []
    for cell, found in first.items():
        others = [figure for figure in task["published"] if figure["cell"] == cell]
        told = "; ".join(f"{one['system']} {percent(one['accuracy'])} ({one['rule']})" for one in others)
        title = in_cell(cell_title(cell))
        rows.append([title, str(found["n"]), *(shown_cell(rule["cells"][cell]) for rule in rules.values()), told])
        for part, name in (("pair", "in pairs"), ("in_vocabulary", "in vocabulary"), ("by_pair", "over pairs")):
            if found.get(part):
                each = [shown_cell(rule["cells"][cell][part]) for rule in rules.values()]
                rows.append([f"{title}, {name}", str(found[part]["n"]), *each, ""])
    if any("mean" in rule for rule in rules.values()):
        rows.append(["mean of cells", "", *(percent(rule["mean"]) for rule in rules.values()), ""])
    heads = ["", "n", *rules, "published (rule)"]
    if not any(row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return table(heads, rows)


def _about(task: Mapping[str, Any]) -> list[str]:
    lines = [f"chance is {percent(task['chance'], 0)}"] if task["chance"] else []
    lines += task["notes"]
    failed = sum(task["failures"].values())
    if failed:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in list(task["failures"].items())[:5])
        lines.append(f"{failed} of {task['items']} items were not scored ({reasons})")
    if "no_end" in task:
        lines.append(f"{percent(task['no_end'])}% of the answers came to no end within the limit")
    for rule, found in task["rules"].items():
        lines.append(f"rule `{rule}`: " + ", ".join(f"{key} {value}" for key, value in found["rule"].items()))
    feeds = {str(feed): shape for shape, feed in task.get("feeds", {}).items()}
    for shape in feeds.values():
        fed = task["feeds"][shape]
        lines.append("fed: " + ", ".join(f"{key} {value}" for key, value in fed.items()))
    return ["\n".join(f"- {line}" for line in lines)] if lines else []


def _texts(texts: Mapping[str, Any]) -> str:
    rows = []
    for name, found in texts.items():
        for metric in _metrics(found):
            each = [_metric(found.get(when), metric) for when in ("before", "after")]
            rows.append([in_cell(name), in_cell(metric), *each])
    heads = ["task", "metric", "text model before", "this model"]
    if not any(row[2] for row in rows):  # it was not measured
        heads, rows = [*heads[:2], heads[3]], [[*row[:2], row[3]] for row in rows]
    return table(heads, rows)


def text_rows(found: Mapping[str, Any]) -> dict[str, str]:
    """Metrics of one text task by their names, e.g. ``{"acc": "0.4100 ± 0.0098 (text model before: 0.4200)"}``."""
    rows = {}
    for metric in _metrics(found):
        before = _metric(found.get("before"), metric)
        rows[metric] = _metric(found["after"], metric) + (f" (text model before: {before})" if before else "")
    return rows


def _metrics(found: Mapping[str, Any]) -> list[str]:
    return [key for key in found["after"] if not key.endswith("_stderr") and key != "sample_len"]


def _metric(scores: Mapping[str, float] | None, metric: str) -> str:
    if not scores or metric not in scores:
        return ""
    spread = scores.get(f"{metric}_stderr")
    return f"{scores[metric]:.4f}" + (f" ± {1.96 * spread:.4f}" if spread else "")
