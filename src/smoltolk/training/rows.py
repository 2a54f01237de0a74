"""The rows of a stage: one place makes them, for training and for whoever wants to look at them."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import derive
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.inspection import plain_space
from smoltolk.data.rows.mixture import Stream, Task, TextSource
from smoltolk.data.rows.row_source import MINIMUM, RowSettings, RowSource
from smoltolk.model.ids import IdSpace
from smoltolk.training.recipe import Recipe, Stage


def id_space(text_config: PreTrainedConfig, tokenizer: Any, num_units: int, num_codebooks: int = 1) -> IdSpace:
    """The id space of a model that is yet to be made of a text model, as ``from_text_model`` will lay it out.

    Args:
        text_config: of the text model.
        tokenizer: for its end of sequence.
        num_units, num_codebooks: of the units.
    """
    num_ids = text_config.get_text_config().vocab_size
    return plain_space(tokenizer, num_units, num_codebooks, num_text_ids=num_ids)


def row_source(
    stage: Stage,
    recipe: Recipe,
    space: IdSpace,
    speech: AlignedCorpus,
    text: TextSource | AlignedCorpus | None,
    seed: int,
) -> RowSource:
    """The rows of one stage.

    Args:
        stage, recipe: mixture and form.
        space: of the model; or any other, which moves ids and changes nothing else.
        speech: aligned utterances, for every task but text.
        text: running text for the text task; the utterances' own text if None.
        seed: of the run. Each stage has rows of its own; equal seeds give equal rows to every system.

    Raises:
        InputError: nothing for one of the mixture's tasks.
    """
    streams = []
    for name, weight in stage.mixture.items():
        task = Task(name)
        streams.append(Stream(task, text if task is Task.TEXT and text is not None else speech, weight))
    settings = RowSettings(
        length=recipe.row_length,
        spans=recipe.spans,
        predict_switch=recipe.predict_switch,
        prompted_length=recipe.prompted_length,
        minimum=min(MINIMUM, recipe.row_length),
    )
    return RowSource(streams, space, seed=derive(seed, stage.name), settings=settings)


def stage_named(recipe: Recipe, name: str) -> Stage:
    """The stage of that name.

    Raises:
        InputError: the recipe has none.
    """
    for stage in recipe.stages:
        if stage.name == name:
            return stage
    raise InputError(
        f"a stage is one of {', '.join(stage.name for stage in recipe.stages)}", repr(name), "choose one of them"
    )
