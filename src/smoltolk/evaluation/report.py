"""The page of a run: ``report.html``, one file that needs nothing else, made from ``results.json`` alone."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from smoltolk.common.errors import NotFoundError
from smoltolk.common.files import atomic_file
from smoltolk.evaluation.plots import KIND_TITLES, accuracy_figure, curve_figure, selector_figure
from smoltolk.evaluation.results import (
    BASELINES,
    COMPARED,
    DECIDING,
    DIRECTIONS,
    KINDS,
    difference_key,
    validate_results,
)
from smoltolk.evaluation.verdict import compare, judge, points

__all__ = ["validate_results", "write_report"]

_MEDIA_TYPES = {".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac", ".wav": "audio/wav"}
SYSTEM_TITLES = {"late": "Late fusion", "early": "Early fusion", "early_plus": "Early fusion+"}
_OUTCOMES = {"above": "above", "below": "below", "undecided": "not told apart"}
# What a row of the table of other measures shows: title, key of a model, kind of number, key of its interval.
_MEASURES = (
    ("Parameters", "parameters", "count", None),
    ("Speech, nats per unit (held out)", "speech_nll", "nats", None),
    ("Text before, nats per token", "text_nll_before", "nats", None),
    ("Text after, nats per token", "text_nll_after", "nats", None),
    ("Recognition, word error rate", "recognition_wer", "percent", "recognition_wer"),
    ("Recognition, no end within the limit", "recognition_failures", "percent", None),
    ("Synthesis, word error rate of the judge", "synthesis_wer", "percent", "synthesis_wer"),
    ("Synthesis, no end within the limit", "synthesis_failures", "percent", None),
    ("Training, ids per second", "train_tokens_per_second", "count", None),
    ("Training, seconds per step", "seconds_per_step", "seconds", None),
)


def write_report(results: Mapping[str, Any], out_dir: Path | str) -> Path:
    """Write ``out_dir/report.html``: words, tables, figures and sound in one file.

    Args:
        results: as in ``results.json``. Beyond the required keys it shows ``differences``, ``curves``,
            ``selector``, ``samples`` (their audio is read relative to ``out_dir``), ``settings`` and
            ``notes``.
        out_dir: of the run.

    Returns:
        The path of the page.

    Raises:
        InputError: the results break their schema.
        NotFoundError: a sample's audio file is missing.
    """
    validate_results(results)
    out_dir = Path(out_dir)
    page = _environment(out_dir).get_template("report.html.j2").render(_context(results))
    path = out_dir / "report.html"
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _environment(audio_root: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("smoltolk.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        percent=percent,
        points=points,
        arrow=arrow,
        duration=duration,
        number=number,
        figure=_figure,
        words=lambda text: arrow(text).replace("'", "’"),
    )
    environment.globals["sound"] = lambda name: _sound(audio_root, name)
    return environment


def _context(results: Mapping[str, Any]) -> dict[str, Any]:
    verdict = judge(results)
    models = results["models"]
    deciding = [[item for item in verdict.comparisons if (item.kind, item.direction) == cell] for cell in DECIDING]
    seconds = {name: value for name, value in results["seconds"].items() if name != "total"}
    return {
        "results": results,
        "models": models,
        "verdict": verdict,
        "deciding": deciding,
        "outcomes": _OUTCOMES,
        "systems": SYSTEM_TITLES,
        "kinds": KIND_TITLES,
        "directions": DIRECTIONS,
        "is_deciding": lambda kind, way: (kind, way) in DECIDING,
        "differences": {
            (kind, way): [compare(results, kind, way, baseline) for baseline in BASELINES]
            for kind in KINDS
            for way in DIRECTIONS
        },
        "paired": all(difference_key(baseline) in results.get("differences", {}) for baseline in BASELINES),
        "measures": _measures(models),
        "accuracy_svg": Markup(accuracy_figure(results)),
        "curves_svg": Markup(curve_figure(results["curves"])) if results.get("curves") else "",
        "selector_svg": Markup(selector_figure(results["selector"])) if results.get("selector") else "",
        "samples": _grouped(results.get("samples", ())),
        "seconds": seconds,
        "longest": max(seconds.values(), default=0) or 1,
        "total": results["seconds"].get("total"),
        "settings": _groups(results.get("settings", {})),
        "notes": results.get("notes", ()),
    }


def _measures(models: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table of other measures, those that every system has."""
    rows = []
    for title, key, kind, interval in _MEASURES:
        if all(key in models[system] for system in COMPARED):
            cells = []
            for system in COMPARED:
                model = models[system]
                bounds = [model.get(f"{interval}_{side}") for side in ("low", "high")]
                cells.append({"value": model[key], "bounds": None if interval is None or None in bounds else bounds})
            rows.append({"title": title, "kind": kind, "cells": cells})
    return rows


def _grouped(samples: Any) -> list[list[Mapping[str, Any]]]:
    """Samples of one prompt and direction together, in the order in which they first come."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for sample in samples:
        groups.setdefault((sample["direction"], sample["id"]), []).append(sample)
    return list(groups.values())


def _groups(settings: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """Settings as titled groups of plain pairs; nested names are joined by a middle dot."""
    plain = {name: str(value) for name, value in settings.items() if not isinstance(value, Mapping)}
    groups = [("general", plain)] if plain else []
    return groups + [(name, _flat(value)) for name, value in settings.items() if isinstance(value, Mapping)]


def _flat(settings: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} · {inner}": text for inner, text in _flat(value).items()}
        else:
            flat[name] = str(value)
    return flat


def _sound(root: Path, name: str) -> str:
    """An audio file as a ``data:`` address."""
    path = root / name
    if not path.is_file():
        raise NotFoundError(
            f"the sample {name} must lie in the run's directory", f"no file {path}", "make the samples again"
        )
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:{_MEDIA_TYPES.get(path.suffix, 'audio/wav')};base64,{content}"


def percent(fraction: float, digits: int = 1) -> str:
    """``0.8125`` -> ``81.2``; without the sign, which stands in the column's head."""
    return f"{100 * fraction:.{digits}f}"


def arrow(direction: str) -> str:
    """``S->T`` -> ``S → T``."""
    return direction.replace("->", " → ")


def duration(seconds: float) -> str:
    """``131`` -> ``2 min 11 s``; parts of a second below ten."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def number(value: float) -> str:
    """A count with thin spaces between thousands; other numbers with four digits that matter."""
    if float(value).is_integer() or abs(value) >= 10_000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.4g}"


def _figure(value: float, kind: str) -> str:
    formats = {
        "count": lambda: number(round(value)),
        "nats": lambda: f"{value:.3f}",
        "percent": lambda: f"{percent(value)}%",
        "seconds": lambda: f"{value:.3f} s",
    }
    return formats[kind]()
