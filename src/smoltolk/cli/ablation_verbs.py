"""The verb that explains the quick start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli.options import Continuing, check_seed

app = typer.Typer()


@app.command(cls=Continuing)
def ablate(
    out: Annotated[Path, typer.Argument(help="Run directory; the same command continues there.")],
    scale: Annotated[str, typer.Option(help="tiny, small or medium, as of the quick start.")] = "small",
    seeds: Annotated[str, typer.Option(help="Of worlds and models; the first one chooses rates.")] = "0,1,2",
    variants: Annotated[str | None, typer.Option(help="In the order of work; default: all.")] = None,
    rates: Annotated[str | None, typer.Option(help="Learning rates to choose from, e.g. 1.5e-3,3e-3.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of both stages together; default: the scale's.")] = None,
    data: Annotated[list[Path] | None, typer.Option(help="A quick start of a seed, whose data is used.")] = None,
) -> None:
    """Train late fusion, its baselines and its ablations on the quick start's data.

    Each is asked as the quick start asks; OUT/ablation.md and .svg hold what is
    known so far, .json every figure. With --rates each variant is trained at each
    on the first seed, and all seeds take the one that knows most heard facts.

    Example: smoltolk ablate ablation --variants late,early --data quickstart --seeds 0
    """
    from smoltolk.common.errors import InputError
    from smoltolk.quickstart.scales import scale_named

    scale_named(scale)  # a wrong name is told before anything large is loaded
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
    run(out, scale=scale, seeds=numbers, variants=names, rates=tried, steps=steps, data=data or ())
