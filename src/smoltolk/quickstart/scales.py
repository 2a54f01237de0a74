"""How large a quick start is. What was measured at these settings stands in docs/log.md."""

from __future__ import annotations

from dataclasses import dataclass

from smoltolk.quickstart.names import check_scale
from smoltolk.training.presets import text_recipe
from smoltolk.training.recipe import BackboneSize, Recipe
from smoltolk.training.recipes.binding import changed
from smoltolk.training.recipes.presets import quick
from smoltolk.training.recipes.tree import RunRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes of every step.

    Attributes:
        num_people: of the world; each has four facts, half of which are only read.
        num_stories: spoken for training.
        num_voices: that speak them.
        num_encoder_stories: of these, with their phones, train the unit encoder.
        encoder_steps, vocoder_steps: of their training.
        num_vocoder_stories: spoken in one voice for the vocoder.
        backbone: the small Llama; a text model of one's own has its own size.
        text: recipe of the backbone's pretraining on the world's text.
        speech: recipe of all systems: of each, only ``model.system`` is another.
        num_story_clozes, num_fact_clozes: questions (facts: for heard and for only read ones each).
        num_test_stories: held-out stories for likelihoods; a sentence of each is transcribed and spoken.
        num_samples: continuations in the report.
    """

    num_people: int
    num_stories: int
    num_voices: int
    num_encoder_stories: int
    encoder_steps: int
    vocoder_steps: int
    num_vocoder_stories: int
    backbone: BackboneSize
    text: Recipe
    speech: RunRecipe
    num_story_clozes: int
    num_fact_clozes: int
    num_test_stories: int
    num_samples: int = 4

    @property
    def num_asked(self) -> int:
        """Questions: in four directions, those about facts by sentence and by answer."""
        return 4 * (self.num_story_clozes + 4 * self.num_fact_clozes)


SCALES = {
    "tiny": Scale(
        num_people=12,
        num_stories=150,
        num_voices=12,
        num_encoder_stories=60,
        encoder_steps=30,
        vocoder_steps=30,
        num_vocoder_stories=12,
        backbone=BackboneSize(hidden_size=64, num_layers=2, num_heads=2, vocab_size=600),
        text=text_recipe(30),
        speech=quick(20, 60, 3e-3),
        num_story_clozes=24,
        num_fact_clozes=24,
        num_test_stories=6,
        num_samples=2,
    ),
    "small": Scale(
        num_people=240,
        num_stories=3200,
        num_voices=16,
        num_encoder_stories=480,
        encoder_steps=300,
        vocoder_steps=250,
        num_vocoder_stories=150,
        backbone=BackboneSize(hidden_size=128, num_layers=4, num_heads=4, vocab_size=1024),
        text=text_recipe(600),
        speech=quick(300, 2200, 3e-3),
        num_story_clozes=300,
        num_fact_clozes=480,
        num_test_stories=100,
    ),
    "medium": Scale(
        num_people=576,
        num_stories=30_000,
        num_voices=16,
        num_encoder_stories=1600,
        encoder_steps=1500,
        vocoder_steps=2000,
        num_vocoder_stories=800,
        backbone=BackboneSize(hidden_size=256, num_layers=8, num_heads=8, vocab_size=2048),
        text=text_recipe(2000, 2e-3),
        speech=changed(
            quick(1000, 9000, 1.5e-3),
            {"model": {"num_output_layers": 2}, "optimisation": {"rows_per_step": 16, "save_steps": 500}},
        ),
        num_story_clozes=1000,
        num_fact_clozes=2304,
        num_test_stories=300,
        num_samples=8,
    ),
}


def scale_named(name: str) -> Scale:
    """The scale of that name.

    Raises:
        InputError: there is none.
    """
    check_scale(name)
    return SCALES[name]
