"""Verbs that make models: backbone, train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from smoltolk.cli.options import (
    Continuing,
    Index,
    Logger,
    Mixture,
    PredictSwitch,
    PresetName,
    RowLength,
    Seed,
    Spans,
    Stage1Mixture,
    Text,
    changes_of,
    check_seed_given,
)

app = typer.Typer()

DeviceRows = Annotated[int | None, typer.Option(help="Rows a pass and device; default: 16k ids.")]


@app.command(cls=Continuing)
def backbone(
    text: Annotated[Path, typer.Argument(help=".txt with a document a line, or .jsonl with their text.")],
    out: Annotated[Path, typer.Argument(help="The model directory.")],
    steps: Annotated[int, typer.Option(help="Of training.")] = 200,
    layers: Annotated[int, typer.Option(help="Of the model.")] = 4,
    hidden_size: Annotated[int, typer.Option(help="Width of the model.")] = 128,
    heads: Annotated[int, typer.Option(help="Of attention.")] = 4,
    vocab_size: Annotated[int, typer.Option(help="Of the tokenizer, which is trained on the text too.")] = 1024,
    row_length: Annotated[int, typer.Option(help="Ids of a row.")] = 256,
    rows_per_step: Annotated[int, typer.Option(help="Rows of an optimizer step.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="Peak rate.")] = 3e-3,
    device_rows: DeviceRows = None,
    index: Annotated[Path | None, typer.Option(help="Of the text, on disk; see the docs.")] = None,
    seed: Seed = 0,
) -> None:
    """Train a small Llama on text, where no pretrained text model is at hand.

    The result is an ordinary directory of transformers. To resume an interrupted
    run, give the same command again.

    Example: smoltolk backbone world/text.txt backbone
    """
    from smoltolk.cli.printing import run_job, show
    from smoltolk.common.lock import hold
    from smoltolk.data.texts.text_documents import check_text_there
    from smoltolk.training.recipe import BackboneSize

    check_text_there(text)  # before torch and transformers are loaded
    from smoltolk.training.text_job import TextJob

    with hold(out):
        job = TextJob(
            text, out, size=BackboneSize(hidden_size, layers, heads, vocab_size), steps=steps, row_length=row_length,
            rows_per_step=rows_per_step, learning_rate=learning_rate, device_rows=device_rows, seed=seed, index=index,
        )  # fmt: skip
        if job.figures is None:
            _ = job.corpus
        figures = run_job(job, "backbone")
    show(f"text model in {out}", {"parameters": f"{figures['parameters']:,}", "loss": f"{figures['loss']:.3f}"})


@app.command(cls=Continuing)
def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE|TEXT_MODEL SHARDS OUT", help="See above.", show_default=False),
    ] = None,
    text: Text = None,
    units: Annotated[Path | None, typer.Option(help="The shards must be of these units.")] = None,
    system: Annotated[str | None, typer.Option(help="late (default), early, early_plus, ...")] = None,
    preset: PresetName = None,
    steps: Annotated[int | None, typer.Option(help="Of both stages together.")] = None,
    row_length: RowLength = None,
    rows_per_step: Annotated[int | None, typer.Option(help="Rows of a step, all devices together.")] = None,
    stage1_rate: Annotated[float | None, typer.Option(help="Peak, while the speech part trains.")] = None,
    stage2_rate: Annotated[float | None, typer.Option(help="Peak, while everything trains.")] = None,
    mixture: Mixture = None,
    stage1_mixture: Stage1Mixture = None,
    spans: Spans = None,
    predict_switch: PredictSwitch = False,
    device_rows: DeviceRows = None,
    index: Index = None,
    seed: Annotated[int | None, typer.Option(callback=check_seed_given, help="Of every random choice.")] = None,
    eval_steps: Annotated[int | None, typer.Option(help="Between validations; default: none.")] = None,
    held_out: Annotated[Path | None, typer.Option(help="Shards for it; default: the end of SHARDS.")] = None,
    logger: Logger = None,
    lora: Annotated[str | None, typer.Option(help="Train low-rank matrices, e.g. r=16.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the recipe and its plan, and stop.")] = False,
    mfu: Annotated[float, typer.Option(show_default=False, help="Of --dry-run: share of the peak (0.4).")] = 0.4,
    devices: Annotated[int, typer.Option(show_default=False, help="Of --dry-run: how many (1).")] = 1,
    model: Annotated[Path | None, typer.Option("--from", help="Take the recipe of this model.")] = None,
) -> None:
    """Teach a text model to hear and to speak, in two stages.

    The first word is a recipe (a name, my_runs.py:my_run or run.yaml) or a text
    model, with shards and the model directory behind it. NAME=VALUE changes any
    setting that --dry-run shows. Presets have the figures of the paper (150m,
    400m, 2b) or of the quick start (small). The tasks of stage 2 are speech,
    text, interleaved, recognition (`hear` needs it) and synthesis (`say` needs
    it). To resume an interrupted run, give the same command again.

    Several devices: torchrun --nproc-per-node 8 --no-python smoltolk train ...

    Example: smoltolk train backbone shards model --text world/text.txt
    """
    from smoltolk.cli.printing import run_job, show
    from smoltolk.common.lock import hold
    from smoltolk.common.processes import is_main
    from smoltolk.training.recipes.command import recipe_of_words
    from smoltolk.training.recipes.places import check_planned, check_there, named_places
    from smoltolk.training.recipes.yaml_files import to_yaml
    from smoltolk.training.tuning.settings import parse_lora

    changes = changes_of(
        steps=steps, row_length=row_length, rows_per_step=rows_per_step,
        rates={"stage1": stage1_rate, "stage2": stage2_rate}, mixture=mixture, stage1_mixture=stage1_mixture,
        spans=spans, predict_switch=predict_switch,
    )  # fmt: skip
    options: dict[str, Any] = {
        "data.text": text, "data.units": units, "data.index": index, "model.system": system,
        "hardware.rows_per_device": device_rows, "seed": seed, "logging.eval_steps": eval_steps,
        "logging.held_out": held_out, "logging.loggers": None if logger is None else logger.split(","),
    }  # fmt: skip
    options = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    options["tuning.lora"] = None if lora is None else parse_lora(lora)
    look = check_planned if dry_run else check_there
    tree = recipe_of_words(words or (), model=model, preset=preset, changes=changes, options=options, look=look)
    if dry_run:
        from smoltolk.cli.plan_tables import print_plan
        from smoltolk.training.recipes.plan import plan_of

        print(to_yaml(tree), end="", flush=True)  # by itself it is a recipe
        print_plan(plan_of(tree, mfu=mfu, num_devices=devices))
        return
    # Torch and transformers come with these: what is wrong with the words has been told by now.
    from smoltolk.common.quantities import duration
    from smoltolk.evaluation.in_training import cloze_measure
    from smoltolk.training.job import TrainingJob

    with hold(named_places(tree).out):
        job = TrainingJob(tree, cloze_measure)
        stages = " + ".join(f"{stage.num_steps:,} steps" for stage in job.recipe.stages)
        show(
            f"train {tree.model.system} (recipe {tree.name})",
            {
                "speech": f"{job.shards.num_utterances:,} utterances, {duration(job.shards.seconds)}",
                "stages": f"{stages} of {job.recipe.rows_per_step} rows of {job.recipe.row_length:,} ids",
            },
        )
        for note in job.advice if is_main() else ():
            print(f"  note: {note}", file=sys.stderr)
        if job.figures is None:
            job.open()
        figures = run_job(job, "train")
    rows = {"parameters": f"{figures['parameters']:,}", "ids a second": f"{figures['ids_per_second']:,.0f}"}
    names = [name for name in ("text_loss", "speech_loss") if name in figures]
    show(f"model in {job.out}", rows | {name.replace("_", " "): f"{figures[name]:.3f}" for name in names})
