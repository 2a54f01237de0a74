"""The page of a run: ``report.html``, one file that needs nothing else, made from ``results.json`` alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from smoltolk.common.errors import NotFoundError
from smoltolk.common.files import write_text
from smoltolk.common.quantities import duration
from smoltolk.report import outcome_plots, plots, titles, wording
from smoltolk.report.comparison import compare
from smoltolk.report.embedding import data_address
from smoltolk.report.measures import measures
from smoltolk.report.results import (
    BASELINES,
    DIRECTIONS,
    KINDS,
    LENS,
    LENS_WAYS,
    cell_of,
    difference_key,
    is_declared,
    layer_names,
    shown_systems,
    validate_results,
)
from smoltolk.report.verdict import judge

__all__ = ["validate_results", "write_report"]


def write_report(results: Mapping[str, Any], out_dir: Path | str) -> Path:
    """Write ``out_dir/report.html``: words, tables, figures and sound in one file.

    Args:
        results: as in ``results.json``. Beyond the required keys it shows further systems, ``differences``,
            ``world``, ``curves``, ``selector``, ``samples`` (their audio is read relative to ``out_dir``),
            ``settings`` and ``notes``.
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
    write_text(path, page)
    return path


def _environment(audio_root: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("smoltolk.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        percent=wording.percent,
        points=wording.points,
        arrow=wording.arrow,
        duration=duration,
        number=wording.number,
        measure=wording.measure,
        words=lambda text: wording.arrow(text).replace("'", "’"),
    )
    environment.globals["sound"] = lambda name: _sound(audio_root, name)
    return environment


def _context(results: Mapping[str, Any]) -> dict[str, Any]:
    shown = shown_systems(results)
    seconds = {name: value for name, value in results["seconds"].items() if name != "total"}
    return {
        "results": results,
        "models": results["models"],
        "verdict": judge(results),
        "systems": {system: titles.SYSTEM_TITLES[system] for system in shown},
        "legends": {system: titles.SYSTEM_LEGENDS[system] for system in shown},
        "titles": titles,
        "world": wording.world_words(results.get("world", {})),
        "kinds": {kind: titles.KIND_TITLES[kind] for kind in KINDS},
        "directions": DIRECTIONS,
        "is_declared": is_declared,
        "cell": lambda system, kind, way, pair: cell_of(results, system, kind, way, pair),
        "leads": lambda kind, way, pair: [compare(results, kind, way, baseline, pair) for baseline in BASELINES],
        "paired": all(difference_key(baseline) in results.get("differences", {}) for baseline in BASELINES),
        "lens_rows": _lens_rows(results),
        "measures": measures(results),
        "outcomes_svg": _both(outcome_plots.outcomes_svg, results),
        "lens_svg": _both(outcome_plots.lens_svg, results),
        "accuracy_svg": _both(plots.accuracy_svg, results),
        "curves_svg": Markup(plots.curves_svg(results)),
        "selector_svg": Markup(plots.selector_svg(results)),
        "samples": _grouped(results.get("samples", ())),
        "seconds": seconds,
        "longest": max(seconds.values(), default=0) or 1,
        "total": results["seconds"].get("total"),
        "settings": _groups(results.get("settings", {})),
        "notes": results.get("notes", ()),
    }


def _both(draw: Callable[..., str], results: Mapping[str, Any]) -> Markup:
    """A figure for wide screens and one for phones, of which the page shows the one that fits."""
    wide, narrow = draw(results), draw(results, narrow=True)
    return Markup(f'<div class="on-wide">{wide}</div><div class="on-phone">{narrow}</div>')


def _lens_rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every cell of the lens: a group for each direction and score, in it a row for each layer of the deepest
    system, with None where another has no such layer; ``lasts`` has the layers that were named before the run."""
    groups = []
    for way in LENS_WAYS:
        cells = [results["models"][system][LENS][way] for system in shown_systems(results)]
        names = [layer_names(cell) for cell in cells]
        for pair in (True, False):
            layers = {
                name: [(cell[name]["pair"] if pair else cell[name]) if name in cell else None for cell in cells]
                for name in max(names, key=len)
            }
            lasts = [one[-1] for one in names] if pair and is_declared(LENS, way) else [None] * len(names)
            groups.append({"title": titles.LENS_TITLES[way], "pair": pair, "layers": layers, "lasts": lasts})
    return groups


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
    return data_address(path.read_bytes(), path.suffix)
