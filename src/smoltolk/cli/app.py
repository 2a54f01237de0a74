"""All verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli import (
    ablation_verbs,
    analysis_verbs,
    bundle_verbs,
    convert_verbs,
    corpus_verbs,
    demo_verbs,
    dialogue_verbs,
    evaluate_verbs,
    inspect_verbs,
    model_verbs,
    report_verbs,
    serve_verbs,
    shard_verbs,
    speech_verbs,
    talk_verbs,
    tune_verbs,
    unit_verbs,
    vocoder_verbs,
)
from smoltolk.cli.options import Continuing, Seed
from smoltolk.common.stopping import BEGINS_ANEW, say_when_stopped

app = typer.Typer(
    name="smoltolk",
    help="Turn a pretrained text language model into one that also hears and speaks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    say_when_stopped(BEGINS_ANEW)
    if version:
        from smoltolk import __version__

        print(__version__)
        raise typer.Exit


@app.command(cls=Continuing)
def quickstart(
    out: Annotated[
        Path, typer.Option(help="Run directory; the same command continues there after an interruption.")
    ] = Path("quickstart"),
    scale: Annotated[
        str, typer.Option(help="tiny (two minutes), small (sixteen) or medium (hours; a GPU helps).")
    ] = "small",
    seed: Seed = 0,
    text_model: Annotated[
        str | None, typer.Option(help="Hub id or directory of a text model; by default a small one is trained.")
    ] = None,
) -> None:
    """Build a talking model from nothing and measure what it learned."""
    from smoltolk.quickstart.names import check_scale

    check_scale(scale)  # a wrong name is told before anything large is loaded
    from smoltolk.quickstart.story import quickstart as run

    run(out, scale=scale, seed=seed, text_model=text_model)


# Without a name, their verbs become verbs of the root.
for verbs in (
    ablation_verbs,
    corpus_verbs,
    speech_verbs,
    unit_verbs,
    vocoder_verbs,
    shard_verbs,
    inspect_verbs,
    model_verbs,
    analysis_verbs,
    evaluate_verbs,
    report_verbs,
    convert_verbs,
    bundle_verbs,
    talk_verbs,
    serve_verbs,
    tune_verbs,
    demo_verbs,
    dialogue_verbs,
):
    app.add_typer(verbs.app)
