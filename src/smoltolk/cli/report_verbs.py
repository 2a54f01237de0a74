"""The verb that puts runs on one page: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Directories that other verbs left.", metavar="RUN...")],
    out: Annotated[Path, typer.Option(help="The page, a .html file.")],
    markdown: Annotated[Path | None, typer.Option(help="The same as .md, figures beside it.")] = None,
    embed: Annotated[float, typer.Option(min=0, help="Megabytes of sound inside the page; others are linked.")] = 20,
) -> None:
    """Put runs on one page that needs nothing else: tables, figures, sound.

    RUN: of evaluate, analyse, quickstart or ablate, or a trained model (its
    curves). Evaluations stand side by side, with paired differences to the
    first one. Recordings in RUN/samples can be played.

    Example: smoltolk report run-late run-early models/late --out page.html
    """
    from smoltolk.cli.printing import show
    from smoltolk.common.errors import InputError
    from smoltolk.overview.run import found_in

    for option, path, suffix in (("--out", out, ".html"), ("--markdown", markdown, ".md")):
        if path is not None and path.suffix != suffix:
            raise InputError(f"{option} is a {suffix} file", str(path), f"name it e.g. page{suffix}")
    found_in(runs)  # before anything large is loaded
    from smoltolk.overview.writing import write_overview

    linked = write_overview(runs, out, markdown, embed)
    rows = {"page": str(out)}
    if markdown is not None:
        rows["markdown"] = str(markdown)
    if linked:
        rows["linked"] = f"{linked} recordings, which must stay where they are"
    show(f"{len(runs)} run{'s' * (len(runs) != 1)}", rows)
