"""Steps that train a language model: the backbone, and the systems around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from smoltolk.common.devices import best_device
from smoltolk.common.files import write_text
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.mixture import TextSource
from smoltolk.data.shards.parquet import read_shards
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.speech_steps import text_documents
from smoltolk.training.backbone import load_text_config, load_tokenizer, new_backbone, pretrain, train_tokenizer
from smoltolk.training.checks import check_fit
from smoltolk.training.recipe import Recipe
from smoltolk.training.recipes.places import named_places
from smoltolk.training.recipes.tree import RunRecipe
from smoltolk.training.recipes.yaml_files import RECIPE_FILE, to_yaml
from smoltolk.training.run import Run
from smoltolk.training.systems import num_parameters
from smoltolk.training.trainer import Report

# Rates of the paper's 150M model: a pretrained model bears less than a small one trained from nothing.
_PRETRAINED_RATES = {"text": 3e-4, "stage1": 3e-3, "stage2": 3e-4}


def text_recipe_of(settings: Settings) -> Recipe:
    """Of the text model's reading."""
    return _bearable(settings, settings.scale.text)


def speech_recipe_of(settings: Settings, system: str) -> RunRecipe:
    """Of a system, with all its places.

    Args:
        settings: of the run whose backbone and speech it is.
        system: as :mod:`smoltolk.training.systems` names it.
    """
    tree = settings.scale.speech
    return replace(
        tree.with_recipe(_bearable(settings, tree.recipe())),
        model=replace(tree.model, text_model=str(settings.backbone), system=system),
        data=replace(tree.data, shards=str(settings.shards("train"))),
        seed=settings.seed,
        out=str(settings.model(system)),
    )


def _bearable(settings: Settings, recipe: Recipe) -> Recipe:
    """A recipe at rates that the run's text model bears."""
    if settings.text_model is None:
        return recipe
    stages = (replace(stage, learning_rate=_PRETRAINED_RATES[stage.name]) for stage in recipe.stages)
    return replace(recipe, stages=tuple(stages))


def check_own_text_model(settings: Settings) -> None:
    """Tell before the work begins that a text model of one's own cannot be used.

    Raises:
        NotFoundError, InputError: no tokenizer, or see :func:`~smoltolk.training.checks.check_fit`.
    """
    if settings.text_model is not None:
        tokenizer = load_tokenizer(settings.text_model)
        recipes = text_recipe_of(settings), speech_recipe_of(settings, "late").recipe()
        check_fit(load_text_model(settings.text_model), tokenizer, *recipes)


def train_backbone(settings: Settings, report: Report) -> dict[str, Any]:
    """A text model that knows the world: a small one from nothing, or one's own that reads the world's text."""
    recipe = text_recipe_of(settings)
    if settings.text_model is None:
        size = settings.scale.backbone
        tokenizer = train_tokenizer((settings.text(i) for i in range(2000)), size.vocab_size)
        model: PreTrainedModel = new_backbone(tokenizer, size, settings.seed)
    else:
        tokenizer = load_tokenizer(settings.text_model)
        model = load_text_model(settings.text_model)
    history = pretrain(
        model, tokenizer, settings.text, recipe, settings.work / "backbone", settings.backbone,
        seed=settings.seed, report=report,
    )  # fmt: skip
    # As it is loaded, as all systems are measured too: what comes before and after is computed alike.
    measured = load_text_model(str(settings.backbone)).to(best_device())
    before = held_out_nll(measured, text_documents(settings, tokenizer), None, "text")
    return {
        "parameters": num_parameters(model),
        "tokens": recipe.num_ids,
        "text_nll": before.nll,
        "last_loss": history[-1]["loss"],
    }


def train_one(settings: Settings, system: str, report: Report) -> dict[str, Any]:
    """Train one system on the backbone: the same rows in the same order for all of them."""
    return train_by(settings, speech_recipe_of(settings, system), settings.work / system, report)


def train_by(settings: Settings, tree: RunRecipe, work: Path, report: Report) -> dict[str, Any]:
    """Train by a recipe on the world's endless text.

    Args:
        settings: of the run whose text it is.
        tree: of the training, with its places; of the model directory too.
        work: for checkpoints.
        report: called with the steps done.
    """
    places = named_places(tree)
    tokenizer, units = load_tokenizer(places.text_model), read_shards(places.shards)
    run = Run(
        text_model=places.text_model,
        tokenizer=tokenizer,
        system=tree.model.system,
        settings=tree.model.settings(load_text_config(places.text_model)),
        recipe=tree.recipe(),
        units=units.metadata,
        speech=AlignedCorpus(units, tokenizer, units.metadata.frame_rate),
        text=TextSource(settings.text, tokenizer),
        seed=tree.seed,
        hardware=tree.hardware,
    )
    trained = run.train(work, places.out, report)
    write_text(places.out / RECIPE_FILE, to_yaml(tree))
    return {
        "parameters": trained.num_parameters,
        "train_seconds": trained.seconds,
        "train_tokens": trained.num_ids,
        "history": trained.history,
    }
