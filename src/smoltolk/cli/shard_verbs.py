"""Verbs of shards: prepare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Workers = Annotated[int | None, typer.Option(help="Processes; default: one per processor; 0: no others.")]


@app.command()
def prepare(
    corpus: Annotated[Path, typer.Argument(help="Corpus of `speak` or `corpus`.")],
    units: Annotated[Path, typer.Argument(help="Directory of the units.")],
    out: Annotated[Path, typer.Argument(help="Directory of the shards; an interrupted one goes on.")],
    workers: Workers = None,
) -> None:
    """Turn a corpus into shards: its units and words, in Parquet.

    Example: smoltolk prepare speech units shards
    """
    from smoltolk.cli.printing import show_counts
    from smoltolk.data.prepare import prepare as prepare_corpus

    show_counts(prepare_corpus(corpus, units, out, workers=workers), out)
