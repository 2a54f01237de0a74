"""What does it cost, and what does it give, to train less on rows in which text and speech take turns?

smoltolk quickstart --out quickstart
smoltolk ablate experiments/what_does_the_mixture_cost.py:experiment --out mixture
"""

from __future__ import annotations

from smoltolk import Experiment, Outcome, recipe_named

TASKS = ("speech", "text", "interleaved", "recognition", "synthesis")
WEIGHTS = {
    "interleaved 4": (0.5, 0.75, 4, 0.5, 0.5),
    "recognition 1": (0.25, 0.5, 4, 1, 0.5),
    "interleaved 3": (0.5, 0.75, 3, 1, 1),
    "interleaved 1.25": (1, 0.75, 1.25, 1.5, 1),
}


def experiment() -> Experiment:
    """Late fusion with four mixtures in stage 2."""
    data = {
        "model": {"text_model": "quickstart/backbone"},
        "data": {"shards": "quickstart/shards/train", "text": "quickstart/world/text.txt"},
        "logging": {"held_out": "quickstart/shards/test", "cloze": ["quickstart/world=quickstart/shards/cloze"]},
    }
    mixtures = {name: dict(zip(TASKS, weights, strict=True)) for name, weights in WEIGHTS.items()}
    return Experiment(
        question="What does it cost to train less on rows in which text and speech take turns?",
        recipe=recipe_named("small").changed(data),
        arms={name: {"stages.1.mixture": mixture} for name, mixture in mixtures.items()},
        outcomes=tuple(map(Outcome, ("cloze:fact_read_answer:S->S", "cloze:fact_read_answer:T->S", "nll:speech"))),
    )
