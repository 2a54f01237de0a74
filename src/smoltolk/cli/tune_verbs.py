"""Verbs that tune a model that is there: tune, prefer, lora."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smoltolk.cli.options import Continuing, Logger, PredictSwitch, Seed, sharing

if TYPE_CHECKING:
    from smoltolk.training.tuning.jobs import DialogueJob

app = typer.Typer()
lora_app = typer.Typer(no_args_is_help=True, help="LoRA: small matrices beside the weights of a model.")
app.add_typer(lora_app, name="lora")


def _given(
    model: Annotated[str, typer.Argument(help="Directory or hub id of a SmolTolk model, or directory of a LoRA.")],
    rows: Annotated[Path, typer.Argument(help=".jsonl or .json with rows of messages and audios.")],
    out: Annotated[Path, typer.Argument(help="Directory of the model, or with --lora of the LoRA.")],
    units: Annotated[
        Path | None, typer.Option(help="Directory of the model's units; needed where there are recordings.")
    ] = None,
    lora: Annotated[
        str | None, typer.Option(metavar="r=16,...", help="Train a LoRA: r, alpha, dropout, targets, whole.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Times that each row is seen; default: 3, of pairs 2.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps, in place of --epochs.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate; default: by the model's size and --lora.")
    ] = None,
    row_length: Annotated[
        int | None, typer.Option(help="Most ids of a dialogue; default: by the model's size.")
    ] = None,
    rows_per_step: Annotated[int | None, typer.Option(help="Rows (pairs) of a step; default: 8 (16).")] = None,
    logger: Logger = None,
    seed: Seed = 0,
) -> dict[str, Any]:
    """What tuning and preferring have in common, as their jobs take it."""
    from smoltolk.training.loop.settings import Logging
    from smoltolk.training.tuning.settings import Amount, parse_lora

    amount = Amount(
        epochs=epochs, steps=steps, learning_rate=learning_rate, row_length=row_length, rows_per_step=rows_per_step
    )
    return {
        "model": model, "rows": rows, "out": out, "units": units, "amount": amount, "seed": seed,
        "lora": None if lora is None else parse_lora(lora),
        "logging": None if logger is None else Logging(loggers=tuple(logger.split(","))),
    }  # fmt: skip


@app.command(cls=Continuing)
@sharing(_given)
def tune(given: dict[str, Any], predict_switch: PredictSwitch = False) -> None:
    """Teach a model to answer, by rows of turns in text and speech.

    A row is as LLaMA-Factory and ms-swift have it: messages with a role and a
    content, in which each <audio> stands for the next of audios. Only answers
    are learned. An interrupted run goes on where it was.

    Example: smoltolk tune model rows.jsonl tuned --units units --lora r=16
    """
    from smoltolk.common.lock import hold
    from smoltolk.training.tuning.places import check_dialogues_there

    check_dialogues_there(given["model"], given["rows"], given["units"])  # before torch is loaded
    from smoltolk.training.tuning.tune_job import TuneJob

    with hold(given["out"]):
        _run(TuneJob(**given, predict_switch=predict_switch))


@app.command(cls=Continuing)
@sharing(_given)
def prefer(
    given: dict[str, Any],
    beta: Annotated[float, typer.Option(help="How dearly it is paid to leave the model.")] = 0.1,
    loss: Annotated[str, typer.Option(help="Of TRL: sigmoid (DPO), ipo, hinge, apo_zero, ...")] = "sigmoid",
    answer_weight: Annotated[float, typer.Option(help="Of the better answers' own loss beside it.")] = 0.0,
    hold_out: Annotated[float, typer.Option(help="Share of pairs asked about before and after, not learned.")] = 0.1,
) -> None:
    """Teach a model which of two answers is better (DPO).

    A row is one of `tune` with the better answer last and the worse one in
    rejected_response (its recordings in rejected_audios), in rejected_messages,
    or both in chosen and rejected. An interrupted run goes on where it was.

    Example: smoltolk prefer tuned pairs.jsonl preferring --units units
    """
    from smoltolk.common.lock import hold
    from smoltolk.training.tuning.places import check_dialogues_there

    check_dialogues_there(given["model"], given["rows"], given["units"], preferences=True)  # before torch is loaded
    from smoltolk.training.tuning.prefer_job import PreferJob
    from smoltolk.training.tuning.settings import Preference

    preference = Preference(beta=beta, loss=loss, answer_weight=answer_weight, hold_out=hold_out)
    with hold(given["out"]):
        _run(PreferJob(**given, preference=preference))


@lora_app.command("merge")
def merge(
    lora: Annotated[Path, typer.Argument(help="Directory of the LoRA.")],
    out: Annotated[Path, typer.Argument(help="Directory of the model, new or empty.")],
) -> None:
    """Put a LoRA into the weights of its model: an ordinary model directory.

    Example: smoltolk lora merge tuned whole
    """
    from smoltolk.cli.printing import show
    from smoltolk.inference.lora_files import write_merged

    model = write_merged(lora, out)
    show(f"model in {out}", {"parameters": f"{sum(one.numel() for one in model.parameters()):,}"})


@lora_app.command("unmerge")
def unmerge(
    model: Annotated[Path, typer.Argument(help="Directory of a model in whose weights the LoRA lies.")],
    lora: Annotated[Path, typer.Argument(help="Directory of the LoRA.")],
    out: Annotated[Path, typer.Argument(help="Directory of the model without it, new or empty.")],
) -> None:
    """Take a LoRA out of the weights again.

    Example: smoltolk lora unmerge whole tuned plain
    """
    from smoltolk.cli.printing import show
    from smoltolk.inference.lora_files import write_unmerged

    made = write_unmerged(model, lora, out)
    show(f"model in {out}", {"parameters": f"{sum(one.numel() for one in made.parameters()):,}"})


def _run(job: DialogueJob) -> None:
    """Prepare, train and print."""
    from smoltolk.cli.printing import run_job, show, tell_rejected
    from smoltolk.common.processes import is_main
    from smoltolk.common.progress import bar

    if job.figures is None:
        if job.num_recordings and is_main():
            with bar("recordings", job.num_recordings, "recordings") as progress:
                job.open(progress)
        job.open()
        tell_rejected(job.rejected[:5])
        unit = "pairs" if job.PREFERENCES else f"rows of {job.row_length:,} ids"
        show(
            f"{job.VERB} {job.model_name}",
            {
                "dialogues": f"{len(job.open()):,}",
                "steps": f"{job.num_steps:,} of {job.rows_per_step} {unit}, rate {job.learning_rate:g}",
            },
        )
        for note in job.notes if is_main() else ():
            print(f"  note: {note}", file=sys.stderr)
    figures = run_job(job, job.VERB)
    rows = {
        "trained": f"{figures['trained']:,} of {figures['parameters']:,} parameters",
        "loss": f"{figures['loss']:.3f}",
    }
    if figures["rejected"]:
        rows["rejected"] = f"{figures['rejected']}, reasons in {job.out / 'rejected.jsonl'}"
    for when in ("before", "after"):
        if figures.get(when):
            share = ", ".join(f"{100 * value:.1f}% {name.replace('_', ' ')}" for name, value in figures[when].items())
            rows[f"preferred {when}"] = f"{share} of {figures['held_out']} held-out pairs"
    show(f"{job.out}, {'a model' if job.lora is None else 'a LoRA'}", rows)
