"""The outcome of a run in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smoltolk.report.comparison import Comparison, compare
from smoltolk.report.results import (
    BASELINES,
    COMPARED,
    DIRECTIONS,
    OUTCOMES,
    cell_of,
    is_declared,
    shown_systems,
    validate_results,
)
from smoltolk.report.titles import KIND_TITLES, SYSTEM_SHORT
from smoltolk.report.verdict import Verdict, judge
from smoltolk.report.wording import points, world_words

# A terminal has 80 columns and no end of lines; of answers alone it shows what decides.
_GROUPS = (
    ("story", False),
    ("fact_heard", False),
    ("fact_read", False),
    ("fact_heard_answer", True),
    ("fact_read_answer", True),
)


def print_summary(results: Mapping[str, Any], console: Console) -> None:
    """Print the verdict and the outcomes that decide, every cell, and the measures that speak of the rest.

    Args:
        results: as in ``results.json``.
        console: where to.

    Raises:
        InputError: the results break their schema.
    """
    validate_results(results)
    verdict, chain = judge(results), results["vocoder"]
    console.print()
    console.print(Text(verdict.headline, style="bold"))
    console.print(Text(verdict.statement))
    console.print(Text(verdict.limits, style="dim"))
    if words := world_words(results.get("world", {})):
        console.print(Text(words, style="dim"))
    _print_titled("Named before the run: facts only read, % of pairs [95% interval]; chance 50", console)
    console.print(_outcomes(results))
    _print_titled("The same, late fusion's lead in points; * the interval leaves zero out", console)
    console.print(_leads(verdict))
    _print_titled("Accuracy, % [95% interval over facts]; chance 50; * named before the run", console)
    _print_cells(results, console)
    console.print()
    console.print(_measures(results))
    console.print()
    console.print(
        Text(
            f"Word error rate of the judge: synthesizer {100 * chain['wer_natural']:.1f}%, "
            f"spectrogram inverted {100 * chain['wer_copy']:.1f}%, units {100 * chain['wer_units']:.1f}%. "
            f"Units: purity {results['units']['purity']:.2f}, "
            f"{results['units']['units_per_second']:.1f} a second.",
            style="dim",
        )
    )


def _print_titled(title: str, console: Console) -> None:
    """A table's own title would be broken at the table's width."""
    console.print()
    console.print(Text(title, style="bold"))


def _table(columns: Sequence[str], widths: Sequence[int] | None = None) -> Table:
    """A table with a first column for names."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for index, column in enumerate(("", *columns)):
        width = None if widths is None else widths[index]
        table.add_column(column, justify="right" if index else "left", no_wrap=True, width=width)
    return table


def _names(results: Mapping[str, Any]) -> list[str]:
    return [SYSTEM_SHORT[system] for system in shown_systems(results)]


def _outcomes(results: Mapping[str, Any]) -> Table:
    table = _table(_names(results))
    for outcome in OUTCOMES:
        cells = (cell_of(results, s, outcome.kind, outcome.direction, pair=True) for s in shown_systems(results))
        table.add_row(outcome.title, *(Text(_accuracy(cell)) for cell in cells))
    return table


def _leads(verdict: Verdict) -> Table:
    """Late fusion's lead in points; a star where the interval leaves zero out."""
    columns = ["late−chance", *(f"late−{SYSTEM_SHORT[baseline]}" for baseline in BASELINES)]
    table = _table(columns)
    for ruling in verdict.rulings:
        starred = (_lead(item) + (" *" if item.finding != "undecided" else "  ") for item in ruling.comparisons)
        table.add_row(ruling.outcome.title, *map(Text, starred))
    return table


def _print_cells(results: Mapping[str, Any], console: Console) -> None:
    """Whole percents: the page has the decimals. Differences stand where there is room for them."""
    systems = shown_systems(results)
    baselines = BASELINES if systems == COMPARED else ()
    head = ["", *_names(results), *(f"late−{SYSTEM_SHORT[baseline]}" for baseline in baselines)]
    groups = {
        KIND_TITLES[kind] + (", in pairs" if pair else ""): [
            [
                way + " *" * (pair and is_declared(kind, way)),
                *(_accuracy(cell_of(results, system, kind, way, pair)) for system in systems),
                *(_lead(compare(results, kind, way, baseline, pair)) for baseline in baselines),
            ]
            for way in DIRECTIONS
        ]
        for kind, pair in _GROUPS
    }
    # A name of a group is wider than any column: groups are tables of the same widths, with their names between.
    lines = [head, *(row for rows in groups.values() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    console.print(_table(head[1:], widths))
    for name, rows in groups.items():
        table = _table(head[1:], widths)
        table.show_header = False
        for row in rows:
            # Plain texts: square brackets are markup otherwise.
            table.add_row(*map(Text, row))
        console.print(Text(name, style="bold"))
        console.print(table)


def _accuracy(cell: Mapping[str, Any]) -> str:
    return f"{100 * cell['accuracy']:.0f} [{100 * cell['low']:.0f},{100 * cell['high']:.0f}]"


def _lead(item: Comparison) -> str:
    return f"{points(item.difference, 0)} [{points(item.low, 0)},{points(item.high, 0)}]"


def _measures(results: Mapping[str, Any]) -> Table:
    table, models = _table(_names(results)), results["models"]
    for title, key, template in (
        ("parameters", "parameters", "{:,}"),
        ("speech, nats per unit", "speech_nll", "{:.3f}"),
        ("text before, nats per token", "text_nll_before", "{:.3f}"),
        ("text after, nats per token", "text_nll_after", "{:.3f}"),
        ("recognition, word error rate", "recognition_wer", "{:.1%}"),
        ("synthesis, word error rate", "synthesis_wer", "{:.1%}"),
        ("training, ids per second", "train_tokens_per_second", "{:,.0f}"),
    ):
        table.add_row(title, *(template.format(models[system][key]) for system in shown_systems(results)))
    return table
