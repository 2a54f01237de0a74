"""Train a system through its stages, from shards and text to a model directory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json
from smoltolk.common.seeds import derive
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.data.rows.mixture import Stream, Task, TextSource
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.trainer import Report, load_history, run_stage, save_once


def row_source(
    stage: Stage,
    recipe: Recipe,
    model: SmolTolkForCausalLM,
    speech: AlignedCorpus,
    text: TextSource | AlignedCorpus | None,
    seed: int,
) -> RowSource:
    """The rows of one stage.

    Args:
        stage, recipe: mixture and form.
        model: for its id space.
        speech: aligned utterances, for every task but text.
        text: running text for the text task; the utterances' own text if None.
        seed: of the rows; equal seeds give equal rows to every system with the same id space.
    """
    streams = []
    for name, weight in stage.mixture.items():
        if name not in set(Task):
            raise InputError(f"a mixture names tasks: {', '.join(Task)}", repr(name), "correct the recipe")
        task = Task(name)
        streams.append(Stream(task, text if task is Task.TEXT and text is not None else speech, weight))
    settings = RowSettings(length=recipe.row_length, spans=recipe.spans, prompted_length=recipe.prompted_length)
    return RowSource(streams, model.config.id_space, seed=derive(seed, stage.name), settings=settings)


def train_system(
    model: SmolTolkForCausalLM,
    stage1_names: set[str],
    recipe: Recipe,
    speech: AlignedCorpus,
    text: TextSource | AlignedCorpus | None,
    tokenizer: PreTrainedTokenizerBase,
    work_dir: Path,
    out_dir: Path,
    *,
    seed: int = 0,
    report: Report | None = None,
    device_rows: int | None = None,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train all stages and save the model with its tokenizer.

    A stage that was finished is loaded, one that was interrupted goes on from its last whole checkpoint.

    Args:
        model: trained in place.
        stage1_names: parameters that a ``speech`` stage trains.
        recipe: the stages.
        speech, text, tokenizer: the data.
        work_dir: for checkpoints and finished stages.
        out_dir: the model directory.
        seed: of the rows.
        report: called with the steps done over all stages.
        device_rows: as for :func:`~smoltolk.training.trainer.run_stage`.
        extra: what else ``training.json`` beside the model shall hold, e.g. whose units it speaks.

    Under ``torchrun`` or ``accelerate launch`` every process calls this; the first one writes the directories.

    Returns:
        ``history`` (a dict per logged step, counted over all stages), ``train_seconds`` and ``num_ids``.
    """
    history: list[dict[str, Any]] = []
    steps_before, seconds = 0, 0.0
    for stage in recipe.stages:
        folder = work_dir / stage.name
        if (folder / "model").is_dir():
            model.load_state_dict(SmolTolkForCausalLM.from_pretrained(folder / "model").state_dict())
            entries = load_history(folder)
        else:
            rows = RowDataset(
                row_source(stage, recipe, model, speech, text, seed), stage.num_steps * recipe.rows_per_step
            )
            start, shifted = time.monotonic(), _shifted(report, steps_before)
            entries = run_stage(
                model, recipe, stage, rows, RowCollator(model.config.id_space), folder,
                speech_names=stage1_names, seed=seed, report=shifted, device_rows=device_rows,
            )  # fmt: skip
            save_once(model, folder / "model", {"seconds": time.monotonic() - start})
        history += [{**entry, "step": entry["step"] + steps_before, "stage": stage.name} for entry in entries]
        steps_before += stage.num_steps
    model.requires_grad_(True)
    save_once(model, out_dir, {**(extra or {}), "seed": seed, "history": history}, tokenizer)
    for stage in recipe.stages:
        seconds += _seconds(work_dir / stage.name)
    return {"history": history, "train_seconds": seconds, "num_ids": recipe.num_ids}


def _seconds(folder: Path) -> float:
    return float(read_json(folder / "model" / "training.json")["seconds"])


def _shifted(report: Report | None, before: int) -> Report | None:
    return None if report is None else lambda step, text: report(before + step, text)
