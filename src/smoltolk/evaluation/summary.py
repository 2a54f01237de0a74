"""The outcome of a run in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smoltolk.evaluation.results import BASELINES, COMPARED, DECIDING, DIRECTIONS, KINDS, validate_results
from smoltolk.evaluation.verdict import compare, judge, points

_SHORT = {"late": "late", "early": "early", "early_plus": "early+"}
_KINDS = {"story": "Stories", "fact_heard": "Facts heard", "fact_read": "Facts read"}


def print_summary(results: Mapping[str, Any], console: Console) -> None:
    """Print the verdict, every cell, and the measures that speak of the rest.

    Args:
        results: as in ``results.json``.
        console: where to.

    Raises:
        InputError: the results break their schema.
    """
    validate_results(results)
    verdict, models = judge(results), results["models"]
    console.print()
    console.print(Text(verdict.headline, style="bold"))
    console.print(Text(verdict.statement))
    for sentence in verdict.sentences:
        console.print(Text(f"  Facts only read, {sentence}", style="dim"))
    console.print()
    console.print(_cells(results))
    console.print()
    console.print(_measures(models))
    console.print()
    chain = results["vocoder"]
    console.print(
        Text(
            f"Word error rate of the judge: synthesizer {100 * chain['wer_natural']:.1f}%, "
            f"spectrogram inverted {100 * chain['wer_copy']:.1f}%, units {100 * chain['wer_units']:.1f}%. "
            f"Units: purity {results['units']['purity']:.2f}, "
            f"{results['units']['units_per_second']:.1f} a second.",
            style="dim",
        )
    )


def _table(title: str) -> Table:
    """A table with a first column for names and one for each system."""
    table = Table(
        title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False,
        pad_edge=False, padding=0,
    )  # fmt: skip
    table.add_column(no_wrap=True)
    for system in COMPARED:
        table.add_column(_SHORT[system], justify="right", no_wrap=True)
    return table


def _cells(results: Mapping[str, Any]) -> Table:
    """Whole percents: the page has the decimals, and a terminal has 80 columns."""
    table = _table("Accuracy, % [95% interval over facts]; chance 50; * named before the run")
    for baseline in BASELINES:
        table.add_column(f"late−{_SHORT[baseline]}", justify="right", no_wrap=True)
    for kind in KINDS:
        table.add_row(Text(_KINDS[kind], style="bold"))
        for way in DIRECTIONS:
            row = [way + " *" * ((kind, way) in DECIDING)]
            for system in COMPARED:
                cell = results["models"][system][kind][way]
                row.append(f"{100 * cell['accuracy']:.0f} [{100 * cell['low']:.0f},{100 * cell['high']:.0f}]")
            for baseline in BASELINES:
                item = compare(results, kind, way, baseline)
                row.append(f"{points(item.difference, 0)} [{points(item.low, 0)},{points(item.high, 0)}]")
            # Plain texts: square brackets are markup otherwise.
            table.add_row(*map(Text, row))
    return table


def _measures(models: Mapping[str, Any]) -> Table:
    table = _table("")
    for title, key, template in (
        ("parameters", "parameters", "{:,}"),
        ("speech, nats per unit", "speech_nll", "{:.3f}"),
        ("text before, nats per token", "text_nll_before", "{:.3f}"),
        ("text after, nats per token", "text_nll_after", "{:.3f}"),
        ("recognition, word error rate", "recognition_wer", "{:.1%}"),
        ("synthesis, word error rate", "synthesis_wer", "{:.1%}"),
        ("training, ids per second", "train_tokens_per_second", "{:,.0f}"),
    ):
        table.add_row(title, *(template.format(models[system][key]) for system in COMPARED))
    return table
