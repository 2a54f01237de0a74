"""What a run will take, before it begins: parameters, ids, FLOPs, memory on each device, hours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from smoltolk.common.errors import InputError
from smoltolk.common.object_stores import is_remote, local_copy
from smoltolk.data.rows.aligned import AlignedCorpus, Texts
from smoltolk.data.rows.index import aligned_shards, stays_on_disk
from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.data.shards.shard_set import SHARD_ENDINGS, ShardSet, look_over
from smoltolk.data.texts.reading import read_documents
from smoltolk.inference.parts import load_config
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.loss import NUMBERS_AT_ONCE
from smoltolk.training.backbone import load_tokenizer
from smoltolk.training.loop.speed import peak_of_device
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.recipes.rehearsal import Rehearsal, likely_batch, rehearse
from smoltolk.training.recipes.shapes import NUM_UNITS, model_config, parameters_by_group, shapes_of, text_config_of
from smoltolk.training.recipes.tree import RunRecipe
from smoltolk.training.rows import row_source
from smoltolk.training.stages import rows_of_a_pass
from smoltolk.training.tuning.starting import going_on, is_smoltolk, knows

A100_PEAK = 312e12  # bfloat16 FLOPs a second, where nobody names a device
_MOST_PASSES = 12  # of real rows, that the largest is taken of
# A GPU makes more logits at a time than a CPU (see smoltolk.model.loss): so many numbers more, each once in bfloat16,
# once in float32 and once as a gradient in bfloat16.
_MORE_LOGITS_ON_A_GPU, _BYTES_OF_A_LOGIT = (1 << 28) - NUMBERS_AT_ONCE, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """What a stage will take.

    Attributes:
        name: of the stage.
        num_steps: optimizer steps.
        rows_of_a_pass: on each device.
        ids: seen in all, padding included.
        ids_by_task: the same by the weights of the mixture.
        flops: of all devices.
        hours: at the MFU.
        rehearsal: of one pass.
        memory: bytes on each device at the worst moment.
    """

    name: str
    num_steps: int
    rows_of_a_pass: int
    ids: int
    ids_by_task: dict[str, int]
    flops: float
    hours: float
    rehearsal: Rehearsal
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will take.

    Attributes:
        parameters: by group; see :data:`smoltolk.training.recipe.Group`.
        num_devices, mfu, peak_flops: what hours are counted with; the peak is of each device.
        from_rows: memory is that of the run's first rows, not of rows such as its mixture has.
        stages: in order.
    """

    parameters: dict[str, int]
    num_devices: int
    mfu: float
    peak_flops: float
    from_rows: bool
    stages: tuple[StagePlan, ...]

    @property
    def num_parameters(self) -> int:
        """In all, shared ones once."""
        return sum(self.parameters.values())

    @property
    def hours(self) -> float:
        """Of all stages."""
        return sum(stage.hours for stage in self.stages)


class _Built(NamedTuple):
    """A model that trains, and whether its speech part has learned nothing yet."""

    config: SmolTolkConfig
    speech_is_new: bool


def plan_of(tree: RunRecipe, *, mfu: float = 0.4, num_devices: int = 1, on_gpu: bool | None = None) -> Plan:
    """Plan a run. Shards and tokenizer are read if they are there and small; the hub is not asked about presets.

    Args:
        tree: of the run.
        mfu: share of the peak that is expected of the devices.
        num_devices: that share the rows of a step.
        on_gpu: plan for GPUs; None: as ``tree.hardware.device`` says, else for GPUs.

    Raises:
        NotFoundError, InputError: as a training of it would find, as far as it is looked at; a share or a number of
            devices that cannot be.
    """
    if not 0 < mfu <= 1:
        raise InputError("a share of the peak lies above 0, and is 1 at most", f"{mfu}", "give e.g. 0.4")
    if num_devices < 1:
        raise InputError("a run takes a device at least", f"{num_devices}", "give 1 or more")
    hardware, shards = tree.hardware, _shards_there(tree)
    built = _built(tree, shards)
    config, recipe = built.config, going_on(tree.recipe(), built)
    rows = rows_of_a_pass(recipe, hardware, num_devices)
    real = _first_rows(tree, recipe, config, shards, rows)
    peak = tree.logging.peak_flops or peak_of_device() or A100_PEAK
    on_gpu = hardware.device != "cpu" if on_gpu is None else on_gpu
    if hardware.autocast is None and on_gpu:  # of today's
        hardware = replace(hardware, autocast=True)
    stages = []
    for stage in recipe.stages:
        batch = real.get(stage.name) or likely_batch(config, recipe, stage, rows)
        rehearsal = rehearse(
            config, recipe, stage, batch, hardware, tree.tuning.lora, speech_is_new=built.speech_is_new
        )
        ids = stage.num_steps * recipe.rows_per_step * recipe.row_length
        flops = rehearsal.flops / (rows * recipe.row_length) * ids
        total = sum(stage.mixture.values())
        stages.append(
            StagePlan(
                name=stage.name,
                num_steps=stage.num_steps,
                rows_of_a_pass=rows,
                ids=ids,
                ids_by_task={task: round(ids * weight / total) for task, weight in stage.mixture.items()},
                flops=flops,
                hours=flops / (num_devices * peak * mfu) / 3600,
                rehearsal=rehearsal,
                memory=_memory(tree, config, rehearsal, rows, num_devices, on_gpu=on_gpu),
            )
        )
    return Plan(
        parameters=parameters_by_group(shapes_of(config)),
        num_devices=num_devices,
        mfu=mfu,
        peak_flops=peak,
        from_rows=bool(real),
        stages=tuple(stages),
    )


def _memory(
    tree: RunRecipe, config: SmolTolkConfig, found: Rehearsal, rows: int, num_devices: int, *, on_gpu: bool
) -> int:
    """Bytes on each device."""
    share = num_devices if tree.hardware.fsdp else 1
    held = replace(
        found,
        weights=-(-found.weights // share),
        gradients=-(-found.gradients // share),
        optimizer=-(-found.optimizer // share),
    )
    accumulates = tree.optimisation.rows_per_step > rows * num_devices
    most = held.most(accumulates)
    if num_devices > 1 and not tree.hardware.fsdp:
        most += found.gradients  # what is sent to the others lies beside what is held
    if on_gpu:
        numbers = min(_MORE_LOGITS_ON_A_GPU, rows * tree.data.row_length * config.vocab_size)
        most += numbers * _BYTES_OF_A_LOGIT
    return most


def _shards_there(tree: RunRecipe) -> ShardSet | None:
    shards = tree.data.shards
    if shards is None or not (is_remote(shards) or Path(shards).exists()):
        return None
    return look_over(local_copy(shards, SHARD_ENDINGS))


def _built(tree: RunRecipe, shards: ShardSet | None) -> _Built:
    """What trains: a model to go on with, or what the settings make of the text model."""
    name = tree.tuning.start or tree.model.text_model
    if tree.tuning.start is not None or (name is not None and Path(name).is_dir() and is_smoltolk(name)):
        config = load_config(str(name))
        config.predict_switch |= tree.model.predict_switch
        is_new = shards is not None and not knows(config, shards.metadata)
        if shards is not None and is_new:
            config.num_units, config.num_codebooks = shards.metadata.num_units, shards.metadata.num_codebooks
        return _Built(config, is_new)
    num_units, num_codebooks = NUM_UNITS, 1
    if shards is not None:
        num_units, num_codebooks = shards.metadata.num_units, shards.metadata.num_codebooks
    text_config = text_config_of(name)
    return _Built(model_config(tree.model, text_config, num_units=num_units, num_codebooks=num_codebooks), True)


def _first_rows(
    tree: RunRecipe, recipe: Recipe, config: SmolTolkConfig, shards: ShardSet | None, num_rows: int
) -> dict[str, dict[str, Any]]:
    """By stage, of its first passes the one with the most speech; nothing without shards, or where they are many."""
    text_model = tree.tuning.start or tree.model.text_model
    at_hand = text_model is not None and Path(text_model).is_dir()
    if shards is None or not at_hand or stays_on_disk(shards, tree.data.index):
        return {}
    tokenizer = load_tokenizer(str(text_model))
    speech = aligned_shards(shards, tokenizer)
    written = None
    if tree.data.text is not None:
        written = AlignedCorpus(Texts(read_documents(local_copy(tree.data.text))), tokenizer, 1.0)
    return {
        stage.name: _largest(stage, recipe, config, speech, written, tree.seed, num_rows) for stage in recipe.stages
    }


def _largest(
    stage: Stage,
    recipe: Recipe,
    config: SmolTolkConfig,
    speech: AlignedCorpus,
    text: AlignedCorpus | None,
    seed: int,
    num_rows: int,
) -> dict[str, Any]:
    passes = min(_MOST_PASSES, stage.num_steps * recipe.rows_per_step // num_rows)
    source = row_source(stage, recipe, config.id_space, speech, text, seed)
    rows, collate = RowDataset(source, passes * num_rows), RowCollator(config.id_space)
    batches = (collate(rows[number * num_rows + one] for one in range(num_rows)) for number in range(passes))
    return max(batches, key=lambda batch: sum(span.mask.numel() for span in batch["spans"]))
