"""Which learning rate does each system want?

smoltolk quickstart --out quickstart
smoltolk ablate experiments/which_learning_rate.py:experiment --out rates
"""

from __future__ import annotations

from smoltolk import Experiment, Outcome, recipe_named


def experiment() -> Experiment:
    """Three systems at three rates; facts that were heard decide, so that those only read stay unseen by the choice."""
    data = {
        "model": {"text_model": "quickstart/backbone"},
        "data": {"shards": "quickstart/shards/train", "text": "quickstart/world/text.txt"},
        "logging": {"held_out": "quickstart/shards/test", "cloze": ["quickstart/world=quickstart/shards/cloze"]},
    }
    systems = ("late", "early", "early_plus")
    rates = (3e-3, 1.5e-3, 6e-3)
    return Experiment(
        question="Which learning rate does each system want?",
        recipe=recipe_named("small").changed(data),
        arms={
            f"{system}, {rate:g}": {
                "model.system": system,
                "stages.0.learning_rate": rate,
                "stages.1.learning_rate": rate,
            }
            for system in systems
            for rate in rates
        },
        outcomes=tuple(map(Outcome, ("cloze:fact_heard_answer:S->S", "nll:speech"))),
    )
