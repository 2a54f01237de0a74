"""Error rates of recognition and synthesis as markdown and as rows for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smoltolk.report.wording import number, percent


def transcription_markdown(found: Mapping[str, Any]) -> str:
    """A section for each task: figures, and beneath them what they are of.

    Args:
        found: ``transcription`` of the results of :func:`smoltolk.evaluation.runs.evaluating.evaluate`.
    """
    parts = []
    for name, task in found.items():
        rows = "\n".join(f"| {what} | {value} |" for what, value in transcription_rows(task).items())
        parts += [f"## {name}: {task['about']}", f"| | [95% interval] |\n| --- | --- |\n{rows}"]
        parts.append("\n".join(f"- {line}" for line in _about(task)))
    return "\n\n".join(parts)


def transcription_rows(task: Mapping[str, Any]) -> dict[str, str]:
    """Figures of one task by their names, e.g. ``{"WER, %": "12.5 [10.1, 15.2]"}``."""
    rows = {f"{what.upper()}, %": _rate(task[what]) for what in ("wer", "cer")}
    rows["no end, %"] = percent(task["no_end"])
    if task["units_per_second"] is not None:
        rows["units a second"] = number(round(task["units_per_second"]))
    for name, one in task.get("quality", {}).get("means", {}).items():
        rows[name] = f"{one['value']:.4g}" + _interval(one, lambda value: f"{value:.4g}")
    return rows


def _rate(one: Mapping[str, Any]) -> str:
    return percent(one["value"]) + _interval(one, percent)


def _interval(one: Mapping[str, Any], shown: Any) -> str:
    return "" if one["low"] is None else f" [{shown(one['low'])}, {shown(one['high'])}]"


def _about(task: Mapping[str, Any]) -> list[str]:
    rates = task["wer"], task["cer"]
    words, characters = (f"{one['errors']:,} errors in {one['of']:,}" for one in rates)
    lines = [f"{task['wer']['n']:,} utterances; {words} words, {characters} characters", *task["notes"]]
    failed = sum(task["failures"].values())
    if failed:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in list(task["failures"].items())[:5])
        lines.append(f"{failed} of {task['items']} items were not scored ({reasons})")
    lines.append(f"{task['normalisation']}; at most {task['most_ids']} ids; what came to no end counts as it is")
    if "judge" in task:
        lines.append(f"judge: {task['judge']}")
    if "quality" in task:
        lines.append(f"measured by `{task['quality']['command']}`")
    return lines
