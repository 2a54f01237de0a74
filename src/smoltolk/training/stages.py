"""One stage of training: from the settings of a recipe to a trained model and its log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.files import atomic_directory, read_json, write_json
from smoltolk.common.processes import is_main, num_processes
from smoltolk.training.attending import attending
from smoltolk.training.hardware import Hardware
from smoltolk.training.memory_trial import rows_by_trial
from smoltolk.training.optimization import build_optimizer, set_trainable
from smoltolk.training.processes import wait_for_all
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.sharding import is_sharded, shard, whole_state
from smoltolk.training.trainer import LinesBeforeCheckpoints, Report, Reporter, SmolTolkTrainer

# Processes a device that make rows ahead of the steps: a GPU would wait for them, a CPU needs its cores for the steps.
# Rows are functions of their number, so that they are the same with any number of processes.
ROW_WORKERS = {"cuda": 2, "cpu": 0}
_IDS_AT_ONCE = 16_384
_LOG = "log.json"
_WRAPPING = ("forward", "_original_forward", "_is_accelerate_prepared")  # what accelerate sets on a model itself


class StageLog(NamedTuple):
    """What a stage leaves beside its model.

    Attributes:
        history: one dict per logged step.
        seconds: that it trained, interruptions left out.
    """

    history: list[dict[str, Any]]
    seconds: float


def run_stage(
    model: PreTrainedModel,
    recipe: Recipe,
    stage: Stage,
    dataset: Dataset,
    collate: Callable[[Sequence[Any]], dict],
    out_dir: Path,
    *,
    hardware: Hardware | None = None,
    seed: int = 0,
    report: Report | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> StageLog:
    """Train one stage, from its last whole checkpoint if it was interrupted.

    This is where it is decided how a training computes: on the device, in the precision and with the attention that the
    hardware names, or the quickest there. Afterwards the model computes as it did before, so that what is evaluated
    next in this process is evaluated in its own precision.

    Args:
        model: trained in place; of a ``speech`` stage, a SmolTolk model.
        recipe, stage: what to do.
        dataset: row i at place i, at least ``num_steps * rows_per_step`` of them.
        collate: rows to a batch.
        out_dir: for checkpoints, and at the end for the log.
        hardware: how it computes; None: in the recipe's precision, on what is there.
        seed: of the Trainer.
        report: called after every step.
        callbacks: more of them, of the Trainer.

    Raises:
        InputError: rows that cannot be shared out evenly.
    """
    hardware = hardware or Hardware(autocast=recipe.bf16)
    rows = rows_of_a_pass(recipe, hardware)
    set_trainable(model, stage)
    with attending(model, hardware), _as_it_was(model):
        if hardware.tries_rows:
            if hardware.gradient_checkpointing:
                model.gradient_checkpointing_enable()
            rows = rows_by_trial(model, dataset, collate, hardware, recipe.rows_per_step // num_processes(), out_dir)
        if hardware.fsdp and num_processes() > 1:
            shard(model, hardware.kind)
        trainer = SmolTolkTrainer(
            model=model,
            args=_arguments(model, recipe, stage, hardware, rows, out_dir, seed),
            train_dataset=dataset,
            data_collator=collate,
            optimization=lambda trained: build_optimizer(trained, recipe, stage),
            callbacks=[LinesBeforeCheckpoints(), *callbacks, *([Reporter(report)] if report else [])],
        )
        trainer.remove_callback(PrinterCallback)
        with _compiling(hardware):
            trainer.resume(out_dir)
    log = StageLog([entry for entry in trainer.state.log_history if "loss" in entry], trainer.seconds)
    if is_main():
        write_json(out_dir / _LOG, log._asdict())
    return log


def rows_of_a_pass(recipe: Recipe, hardware: Hardware, num_devices: int | None = None) -> int:
    """Rows of one forward pass on each device.

    Args:
        recipe: how many rows a step has, and how long they are.
        hardware: how many of them at most.
        num_devices: that share the rows of a step; None: the processes.

    Raises:
        InputError: rows that cannot be shared out evenly.
    """
    world = num_devices or num_processes()
    rows = hardware.rows_per_device
    rows = min(rows if isinstance(rows, int) else rows_that_fit(recipe, world), recipe.rows_per_step // world)
    if rows < 1 or recipe.rows_per_step % (rows * world):
        share = recipe.rows_per_step // world
        fix = f"take a multiple of {world} rows a step, e.g. --rows-per-step {max(1, share) * world}"
        if share and recipe.rows_per_step % world == 0:
            fits = max(number for number in range(1, rows) if share % number == 0)
            fix = f"change the rows a pass (--device-rows {fits}), or the rows a step (--rows-per-step)"
        raise InputError(
            "the rows of a step must be a multiple of those of a forward pass times the processes",
            f"{recipe.rows_per_step} rows a step, {rows} a pass, {world} processes",
            fix,
        )
    return rows


def rows_that_fit(recipe: Recipe, num_devices: int | None = None) -> int:
    """Rows of one forward pass: as many as have 16,384 ids together and share out the rows of a step evenly."""
    share = max(1, recipe.rows_per_step // (num_devices or num_processes()))
    most = max(1, _IDS_AT_ONCE // recipe.row_length)
    return max(rows for rows in range(1, min(most, share) + 1) if share % rows == 0)


def _arguments(
    model: PreTrainedModel, recipe: Recipe, stage: Stage, hardware: Hardware, rows: int, out_dir: Path, seed: int
) -> TrainingArguments:
    cuda = hardware.kind == "cuda"
    arguments = TrainingArguments(
        output_dir=str(out_dir),
        max_steps=stage.num_steps,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=recipe.rows_per_step // (rows * num_processes()),
        ddp_find_unused_parameters=finds_unused(model),
        logging_nan_inf_filter=False,  # the trainer stops at them
        max_grad_norm=recipe.max_grad_norm,
        bf16=hardware.computes_bfloat16,
        activation_checkpointing=hardware.gradient_checkpointing,
        torch_compile=hardware.compile,
        use_cpu=not cuda,
        logging_steps=max(1, stage.num_steps // 100),
        save_steps=recipe.save_steps,
        save_total_limit=None,  # our Trainer clears away old ones itself, when the new one is whole
        disable_tqdm=True,
        report_to=[],
        seed=seed,
        data_seed=seed,
        dataloader_num_workers=ROW_WORKERS[hardware.kind],
        dataloader_pin_memory=cuda,
        remove_unused_columns=False,
        use_cache=True,  # written into the model's settings: without it the saved model would decode without a cache
        # Trainer's own clean-up of logs: our report shows them.
        log_level="error",
    )
    # Several GPUs are for several processes: in one, transformers would cut every batch apart, and its spans not.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def finds_unused(model: nn.Module) -> bool:
    """Whether a batch may leave parameters without a gradient: those of experts that nothing was sent to, no others."""
    return any("expert" in name for name, _ in model.named_modules())


@contextmanager
def _compiling(hardware: Hardware) -> Iterator[None]:
    """Tell what ``torch.compile`` lacks where it is asked for; it finds that out at the first step."""
    try:
        yield
    except RuntimeError as error:
        from torch._dynamo.exc import BackendCompilerFailed  # takes a second

        if not (hardware.compile and isinstance(error, BackendCompilerFailed)):
            raise
        raise InputError(
            "torch.compile needs a C++ compiler and the headers of Python, and for a GPU Triton",
            first_line(getattr(error, "inner_exception", error)),
            "install them (Debian: g++ and python3-dev), or leave hardware.compile out",
        ) from error


@contextmanager
def _as_it_was(model: PreTrainedModel) -> Iterator[None]:
    """Take off, after the block, what accelerate wraps around a model (its autocast would stay on in evaluations), and
    let layers keep their states again."""
    held = {name: model.__dict__[name] for name in _WRAPPING if name in model.__dict__}
    checkpointed = model.is_activation_checkpointing
    try:
        yield
    finally:
        for name in _WRAPPING:
            model.__dict__.pop(name, None)
        model.__dict__.update(held)
        if model.is_activation_checkpointing and not checkpointed:
            model.activation_checkpointing_disable()


def save_model(
    model: PreTrainedModel,
    folder: Path,
    extra: dict[str, Any] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """Write a model directory that appears whole or not at all: the first process does, the others wait for it.

    Args:
        model: in transformers' own format.
        folder: replaced if it exists.
        extra: what else is known about it, as ``training.json``.
        tokenizer: of its text side.
    """
    state = whole_state(model) if is_sharded(model) else None  # all processes have a part of it
    if is_main():
        with atomic_directory(folder) as temporary:
            model.save_pretrained(temporary, state_dict=state)
            if tokenizer is not None:
                tokenizer.save_pretrained(temporary)
            if extra is not None:
                write_json(temporary / "training.json", extra)
    wait_for_all()


def load_log(folder: Path) -> StageLog:
    """The log that :func:`run_stage` left in a stage's directory."""
    return StageLog(**read_json(folder / _LOG))
