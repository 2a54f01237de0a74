"""Which part of late fusion carries knowledge over from text to speech?

smoltolk quickstart --out quickstart
smoltolk ablate experiments/which_part_does_it.py:experiment --out which-part
"""

from __future__ import annotations

from smoltolk.sweeps.experiment import Experiment, Outcome
from smoltolk.training.recipes.binding import changed
from smoltolk.training.recipes.presets import ABLATIONS, quick

DATA = {
    "model": {"text_model": "quickstart/backbone"},
    "data": {"shards": "quickstart/shards/train", "text": "quickstart/world/text.txt"},
    "logging": {"held_out": "quickstart/shards/test", "cloze": ["quickstart/world=quickstart/shards/cloze"]},
}
# Facts that were only read, asked by the answer alone; each question with its mirror image.
OUTCOMES = tuple(Outcome(f"cloze:fact_read_answer:{way}") for way in ("S->S", "S->T", "T->S"))


def experiment() -> Experiment:
    """Late fusion, early fusion, and late fusion without each of its parts, each at the rate found for late fusion."""
    taken = {name: changes for name, changes in ABLATIONS.items() if name.startswith(("no-", "static"))}
    arms = {"late": {}, "early": {"system": "early"}, "early+": {"system": "early_plus"}, **taken}
    return Experiment(
        question="Which part of late fusion carries knowledge over from text to speech?",
        recipe=changed(quick(300, 2200, 1.5e-3), DATA),
        arms={arm: {f"model.{name}": value for name, value in changes.items()} for arm, changes in arms.items()},
        vary={"seed": [0, 1, 2]},
        outcomes=(*OUTCOMES, Outcome("nll:speech"), Outcome("nll:text")),
    )
