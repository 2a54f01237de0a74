"""Which part of late fusion carries knowledge over from text to speech?

smoltolk quickstart --out quickstart
smoltolk ablate experiments/which_part_does_it.py:experiment --out which-part
"""

from __future__ import annotations

from smoltolk import Experiment, Outcome, recipe_named

# The parts, each taken away or with another in its place.
ARMS = {
    "late": {},
    "early": {"system": "early"},
    "early+": {"system": "early_plus"},
    "no input adapter": {"num_input_layers": 0},
    "no output adapter": {"num_output_layers": 0},
    "neither adapter": {"num_input_layers": 0, "num_output_layers": 0},
    "no selection": {"layer_mix": "last"},
    "static mix": {"layer_mix": "static"},
    "no residual": {"speech_residual": False},
    "no entropy term": {"entropy_weight": 0.0},
}
DATA = {
    "model": {"text_model": "quickstart/backbone"},
    "data": {"shards": "quickstart/shards/train", "text": "quickstart/world/text.txt"},
    "logging": {"held_out": "quickstart/shards/test", "cloze": ["quickstart/world=quickstart/shards/cloze"]},
    "stages": {"stage1": {"learning_rate": 1.5e-3}, "stage2": {"learning_rate": 1.5e-3}},
}
# Facts that were only read, asked by the answer alone; each question with its mirror image.
OUTCOMES = tuple(Outcome(f"cloze:fact_read_answer:{way}") for way in ("S->S", "S->T", "T->S"))


def experiment() -> Experiment:
    """Late fusion, early fusion, and late fusion without each of its parts, each at the rate found for late fusion."""
    return Experiment(
        question="Which part of late fusion carries knowledge over from text to speech?",
        recipe=recipe_named("small").changed(DATA),
        arms={arm: {f"model.{name}": value for name, value in changes.items()} for arm, changes in ARMS.items()},
        vary={"seed": [0, 1, 2]},
        outcomes=(*OUTCOMES, Outcome("nll:speech"), Outcome("nll:text")),
    )
