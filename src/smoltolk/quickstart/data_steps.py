"""All that is made before systems are trained: the world, its speech, units, a backbone and shards."""

from __future__ import annotations

from typing import Any

from smoltolk.common.run_directory import Job, RunDirectory
from smoltolk.quickstart import speech_steps
from smoltolk.quickstart.model_steps import train_backbone
from smoltolk.quickstart.settings import Settings
from smoltolk.training.workplace import ID_LAYOUT

DATA_STEPS = ("world", "speech", "units", "backbone", "shards")


def run_record(settings: Settings) -> dict[str, Any]:
    """What ``run.json`` of a quick start's directory says."""
    return {
        "scale": settings.scale_name,
        "seed": settings.seed,
        "text_model": settings.text_model,
        "id_layout": ID_LAYOUT,
    }


def make_data(settings: Settings, run: RunDirectory, *more: Job) -> None:
    """Do :data:`DATA_STEPS`, those that are not done yet.

    Args:
        settings: of the run.
        run: its directory.
        more: done side by side with the units and the backbone.
    """
    run.step(
        "world",
        "World: facts that may be heard, and facts that may only be read",
        lambda: speech_steps.make_world(settings),
    )
    run.step("speech", "Speech: stories and questions in many voices", lambda: speech_steps.make_speech(settings))
    units, text = settings.scale.encoder_steps, settings.scale.text.num_steps
    run.side_by_side(
        [
            Job("units", "Units: a phone encoder", units, speech_steps.fit_units, (settings,)),
            Job("backbone", "Backbone: a text model reads", text, train_backbone, (settings,)),
            *more,
        ]
    )
    run.step("shards", "Shards: what was spoken, as units with words", lambda: speech_steps.make_shards(settings))
