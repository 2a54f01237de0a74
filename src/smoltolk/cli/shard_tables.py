"""What the verbs of shards print: tables of files, of a row, and the tree of a mixture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.tree import Tree

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

    from smoltolk.data.rows.inspection import DocumentView, RowView
    from smoltolk.data.rows.mixture_view import StreamView
    from smoltolk.data.shards.validation import ShardReport


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
    """What the row is, what it holds, and where it stands among the others of its stream: three lines."""
    documents = f"{len(view.documents)} document{'s' * (len(view.documents) > 1)}"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in view.counts.items())
    among = "" if view.share == 1 else f" of its stream ({view.share:.1%} of all rows)"
    place = f"number {view.number + 1:,}{among}; its text has no end"
    if view.num_utterances >= 0:
        passes = f"in pass {view.epoch + 1:,} over the {view.num_utterances:,} utterances{among}"
        place = f"number {view.number + 1:,} of {view.rows_per_epoch:,} {passes}"
    return "\n".join(
        (
            f"[bold]row {view.index}[/bold]: {view.task}, {view.length:,} ids, {documents}",
            f"  {kinds}; {view.num_predicted:,} are predicted",
            f"  {place}",
        )
    )


_STYLES = {"text": "blue", "speech": "yellow", "control": "magenta", "end": "dim", "padding": "dim"}


def document_table(view: DocumentView, number: int, *, full: bool = False) -> Table:
    """The runs of one document; the names of the columns stand over the first.

    Args:
        view: the document.
        number: its place in the row, from 1.
        full: all ids of each run, on as many lines as they need.
    """
    from smoltolk.data.rows.inspection import shown_ids  # here, because `shards validate` needs no transformers

    length = f", {len(view.words)} words, {view.length:.2f} s" if view.length else ""
    filling = "" if view.owned else " (fills the row up)"
    title = escape(f"{number}. {view.name}{length}{filling}")
    table = Table(
        title=title, title_justify="left", box=None, title_style="bold", show_header=number == 1, pad_edge=False
    )
    for name, width in (("positions", 9), ("kind", 7), ("predicted", 10), ("seconds", 13)):  # as wide in every table
        table.add_column(name, no_wrap=True, width=width, header_style="dim")
    table.add_column("content", ratio=3, header_style="dim")
    table.add_column("ids", ratio=2, header_style="dim", style="dim")
    for run in view.runs:
        size, ids, style = run.stop - run.start, shown_ids(run), _STYLES[run.kind]
        table.add_row(
            f"{run.start}-{run.stop - 1}" if size > 1 else f"{run.start}",
            f"[{style}]{run.kind}[/{style}]",
            f"{run.num_predicted} of {size}",
            "" if run.seconds is None else f"{run.seconds[0]:.2f}-{run.seconds[1]:.2f}",
            f"[{style}]{escape(run.text)}[/{style}]",
            " ".join(ids) if full else _OneLine(ids),
        )
    return table


class _OneLine:
    """As many items as fit into the width there is, and how many more there are."""

    def __init__(self, items: list[str]):
        self._items = items

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[str]:
        shown, width = len(self._items), options.max_width
        while shown > 1 and len(self._line(shown)) > width:
            shown -= 1
        yield self._line(shown)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(16, options.max_width), min(len(self._line(len(self._items))), options.max_width))

    def _line(self, shown: int) -> str:
        left = len(self._items) - shown
        return " ".join(self._items[:shown]) + (f" ... {left:,} more" if left else "")


def mixture_tree(views: Sequence[StreamView], length: int) -> Tree:
    """Streams, and the corpora in each, with shares and token counts."""
    tree = Tree(f"mixture of rows of {length:,} ids")
    for view in views:
        head = f"[bold]{view.share:6.1%}[/bold]  {view.task}"
        if view.num_utterances < 0:
            tree.add(f"{head}: text without end")
            continue
        left_out = f", {view.num_left_out:,} cannot be used" if view.num_left_out else ""
        sizes = [f"{view.num_text:,} text tokens"] if view.num_text else []
        units = "units" if view.num_codebooks == 1 else f"frames of {view.num_codebooks} units"
        sizes += [f"{view.num_speech:,} {units}"] if view.num_speech else []
        branch = tree.add(
            f"{head}: {view.num_utterances:,} utterances ({view.seconds / 3600:.2f} h){left_out};"
            f" {', '.join(sizes)};"
            f" {view.rows_per_epoch:,} rows an epoch ({view.rows_per_epoch * length:,} ids)"
        )
        for name, count, share in view.sources:
            branch.add(escape(f"{share:6.1%}  {name or 'without a name'}: {count:,} utterances"))
    return tree
