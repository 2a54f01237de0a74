"""The verb that compares trainings: of the quick start's systems, or of any recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli.options import Continuing, check_seed

app = typer.Typer()


@app.command(cls=Continuing)
def ablate(
    words: Annotated[
        list[str],
        typer.Argument(metavar="OUT|RECIPE [NAME=VALUE]...", help="A run directory; or a recipe, with --out."),
    ],
    vary: Annotated[list[str] | None, typer.Option(help="Of a recipe: NAME=VALUE,VALUE; seed varies too.")] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(help="Of a recipe: nll:speech, nll:text or cloze:KIND:S->T.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Of a recipe: the run directory.")] = None,
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Of a recipe: keep what was trained.")] = False,
    scale: Annotated[str, typer.Option(help="tiny, small or medium, as of the quick start.")] = "small",
    seeds: Annotated[str, typer.Option(help="Of worlds and models; the first one chooses rates.")] = "0,1,2",
    variants: Annotated[str | None, typer.Option(help="In the order of work; default: all.")] = None,
    rates: Annotated[str | None, typer.Option(help="Learning rates to choose from, e.g. 1.5e-3,3e-3.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of both stages together; default: the scale's.")] = None,
    data: Annotated[list[Path] | None, typer.Option(help="A quick start of a seed, whose data is used.")] = None,
) -> None:
    """Train variants of one recipe side by side and compare them.

    OUT alone: late fusion, its baselines and its ablations on the quick start's
    data, asked as the quick start asks; with --rates each variant is trained at
    each on the first seed, and all seeds take the one that knows most heard facts.

    RECIPE --vary ... --out DIR: any recipe, or an experiment in a file of your own
    (file.py:function). Every combination is trained with every seed on the same
    data and asked the same; DIR/results.md holds the outcomes, declared before the
    first run, with paired differences to the first combination. A training that
    fails is listed with its reason, and the others go on.

    Example: smoltolk ablate ablation --variants late,early --data quickstart --seeds 0
    """
    from smoltolk.common.errors import InputError

    if vary or out is not None or outcome:
        if out is None:
            raise InputError("what is compared of a recipe lies in a directory", "no --out", "add --out DIR")
        from smoltolk.sweeps.sweep import experiment_of_words, sweep

        results = sweep(experiment_of_words(words, vary or (), outcome or ()), out, keep_models=keep_models)
        if results["failed"]:
            raise typer.Exit(1)
        return
    if len(words) != 1:
        raise InputError(
            "ablate takes one run directory, or a recipe with --vary and --out",
            " ".join(words),
            "write e.g. `smoltolk ablate smoltolk-150m data.shards=shards --vary seed=0,1 --out DIR`",
        )
    _quick_start(Path(words[0]), scale, seeds, variants, rates, steps, data or [])


def _quick_start(
    out: Path, scale: str, seeds: str, variants: str | None, rates: str | None, steps: int | None, data: list[Path]
) -> None:
    from smoltolk.common.errors import InputError
    from smoltolk.quickstart.names import check_scale

    check_scale(scale)  # a wrong name is told before anything large is loaded
    from smoltolk.quickstart.ablation import ablate as run
    from smoltolk.quickstart.variants import IN_TURN

    try:
        numbers = [int(seed) for seed in seeds.split(",")]
        tried = [float(rate) for rate in rates.split(",")] if rates else []
    except ValueError as error:
        raise InputError("seeds and rates are numbers with commas between", str(error), "write e.g. 0,1,2") from error
    for number in numbers:
        check_seed(number)
    names = IN_TURN if variants is None else [name.strip() for name in variants.split(",")]
    run(out, scale=scale, seeds=numbers, variants=names, rates=tried, steps=steps, data=data)
