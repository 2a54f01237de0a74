"""What the verbs of shards print: tables of files, of a row, and the tree of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

if TYPE_CHECKING:
    from smoltolk.data.rows.inspection import DocumentView, RowView, StreamView
    from smoltolk.data.shards.validation import ShardReport

_IDS_SHOWN = 12


def validation_table(reports: Sequence[ShardReport]) -> Table:
    """A line for each shard, and their sum."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("shard", no_wrap=True)
    for name in ("utterances", "words", "units", "hours"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state")
    for report in reports:
        numbers = (report.num_utterances, report.num_words, report.num_units)
        state = "good" if not report.problems else f"{len(report.problems)} problems"
        row = [f"{number:,}" for number in numbers]
        table.add_row(escape(report.name), *row, f"{report.seconds / 3600:.2f}", state)
    sums = [sum(getattr(r, name) for r in reports) for name in ("num_utterances", "num_words", "num_units")]
    bad = sum(bool(report.problems) for report in reports)
    hours = sum(report.seconds for report in reports) / 3600
    table.add_section()
    table.add_row("all", *(f"{number:,}" for number in sums), f"{hours:.2f}", f"{bad} bad" if bad else "good")
    return table


def row_head(view: RowView) -> str:
    """What the row is, in one line."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in view.counts.items())
    return (
        f"row {view.index}: {view.task}, {view.length:,} ids ({kinds}), {view.num_predicted:,} predicted,"
        f" {len(view.documents)} documents"
    )


def document_table(view: DocumentView, number: int) -> Table:
    """The runs of one document."""
    length = f", {len(view.words)} words, {view.length:.2f} s" if view.length else ""
    filling = "" if view.owned else " (fills the row up)"
    title = escape(f"{number}. {view.name}{length}{filling}")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for name in ("positions", "kind", "predicted", "seconds"):
        table.add_column(name, no_wrap=True)
    table.add_column("content", ratio=3)
    table.add_column("ids", ratio=2)
    for run in view.runs:
        size = run.stop - run.start
        ids = " ".join(map(str, run.ids[:_IDS_SHOWN].tolist())) + (" ..." if size > _IDS_SHOWN else "")
        table.add_row(
            f"{run.start}-{run.stop - 1}" if size > 1 else f"{run.start}",
            run.kind,
            f"{run.num_predicted} of {size}",
            "" if run.seconds is None else f"{run.seconds[0]:.2f}-{run.seconds[1]:.2f}",
            escape(run.text),
            ids,
        )
    return table


def mixture_tree(views: Sequence[StreamView], length: int) -> Tree:
    """Streams, and the corpora in each, with shares and token counts."""
    tree = Tree(f"mixture of rows of {length:,} ids")
    for view in views:
        head = f"[bold]{view.share:6.1%}[/bold]  {view.task}"
        if view.num_utterances < 0:
            tree.add(f"{head}: text without end")
            continue
        left_out = f", {view.num_left_out:,} cannot be used" if view.num_left_out else ""
        branch = tree.add(
            f"{head}: {view.num_utterances:,} utterances ({view.seconds / 3600:.2f} h){left_out};"
            f" {view.num_text:,} text tokens, {view.num_speech:,} units;"
            f" {view.rows_per_epoch:,} rows an epoch ({view.rows_per_epoch * length:,} ids)"
        )
        for name, count, share in view.sources:
            branch.add(escape(f"{share:6.1%}  {name or 'without a name'}: {count:,} utterances"))
    return tree
