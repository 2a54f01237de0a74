"""Steps that train a language model: the backbone, and the systems around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from smoltolk.common.devices import best_device
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.mixture import TextSource
from smoltolk.data.shards.parquet import read_shards
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.speech_steps import text_documents
from smoltolk.training.backbone import load_text_config, load_tokenizer, new_backbone, pretrain, train_tokenizer
from smoltolk.training.checks import check_fit
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.run import Run
from smoltolk.training.systems import num_parameters, settings_of
from smoltolk.training.trainer import Report

# Rates of the paper's 150M model: a pretrained model bears less than a small one trained from nothing.
_PRETRAINED_RATES = {"text": 3e-4, "stage1": 3e-3, "stage2": 3e-4}


def recipes(settings: Settings) -> tuple[Recipe, Recipe]:
    """Of the text model and of all systems."""
    both = (settings.scale.text, settings.scale.speech)
    if settings.text_model is None:
        return both
    text, speech = (replace(recipe, stages=tuple(map(_for_pretrained, recipe.stages))) for recipe in both)
    return text, speech


def _for_pretrained(stage: Stage) -> Stage:
    return replace(stage, learning_rate=_PRETRAINED_RATES[stage.name])


def check_own_text_model(settings: Settings) -> None:
    """Tell before the work begins that a text model of one's own cannot be used.

    Raises:
        NotFoundError, InputError: no tokenizer, or see :func:`~smoltolk.training.checks.check_fit`.
    """
    if settings.text_model is not None:
        tokenizer = load_tokenizer(settings.text_model)
        check_fit(load_text_model(settings.text_model), tokenizer, *recipes(settings))


def train_backbone(settings: Settings, report: Report) -> dict[str, Any]:
    """A text model that knows the world: a small one from nothing, or one's own that reads the world's text."""
    recipe, _ = recipes(settings)
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
    return train_system(
        settings, system, recipes(settings)[1], settings.work / system, settings.model(system), report, settings.seed
    )


def train_system(
    settings: Settings,
    system: str,
    recipe: Recipe,
    work: Path,
    out: Path,
    report: Report,
    seed: int,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a system by a recipe.

    Args:
        settings: of the run whose backbone, speech and text it is.
        system: as :mod:`smoltolk.training.systems` names it.
        recipe: of the training.
        work, out: for checkpoints, and for the model.
        report: called with the steps done.
        seed: of new parameters and rows.
        more: settings of the model beyond the system's.
    """
    scale, tokenizer = settings.scale, load_tokenizer(settings.backbone)
    units = read_shards(settings.shards("train"))
    made = settings_of(
        system,
        load_text_config(str(settings.backbone)),
        num_input_layers=scale.num_input_layers,
        num_output_layers=scale.num_output_layers,
    )
    run = Run(
        text_model=str(settings.backbone),
        tokenizer=tokenizer,
        system=system,
        settings=made | dict(more or {}),
        recipe=recipe,
        units=units.metadata,
        speech=AlignedCorpus(units, tokenizer, units.metadata.frame_rate),
        text=TextSource(settings.text, tokenizer),
        seed=seed,
    )
    trained = run.train(work, out, report)
    return {
        "parameters": trained.num_parameters,
        "train_seconds": trained.seconds,
        "train_tokens": trained.num_ids,
        "history": trained.history,
    }
