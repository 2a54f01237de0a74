"""Which trainings there are, in which order, at which rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_json
from smoltolk.quickstart.scales import SCALES
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.trials import Ablation, Trial, best_rate, heard_facts, jobs_of, time_factor


def ablation(out: Path, **changes: Any) -> Ablation:
    given = {"scale_name": "small", "seeds": (4, 5), "variants": ("late", "early"), "rates": (1e-3, 3e-3)}
    return Ablation(out, **(given | changes))


def made_up(heard: float, speech_nll: float = 1.0, **more: Any) -> dict[str, Any]:
    """Figures of a trial; the outcomes speak for the worse rate."""
    ways = ("S->S", "S->T", "T->S")
    figures = {
        "fact_heard_answer": {way: {"accuracy": 0.0, "pair": {"accuracy": heard}} for way in (*ways, "T->T")},
        "fact_read_answer": {way: {"accuracy": 0.0, "pair": {"accuracy": 1 - heard}} for way in ways},
        "speech_nll": speech_nll,
    }
    return figures | more


def finish(asked: Ablation, trial: Trial, figures: dict[str, Any]) -> None:
    write_json(asked.out / "steps" / f"{trial.name}.json", {"seconds": 1.0, "figures": figures})


def test_the_rate_is_chosen_by_heard_facts_never_by_the_outcomes():
    assert best_rate({1e-3: made_up(0.7), 3e-3: made_up(0.9, 2.0), 6e-3: made_up(0.8)}) == 3e-3
    assert best_rate({1e-3: made_up(0.9, 1.2), 3e-3: made_up(0.9, 1.1), 6e-3: made_up(0.9, 1.3)}) == 3e-3


def test_heard_facts_are_a_mean_over_what_has_speech():
    figures = made_up(0.5)
    figures["fact_heard_answer"]["S->T"]["pair"]["accuracy"] = 0.8
    figures["fact_heard_answer"]["T->T"]["pair"]["accuracy"] = 0.0
    assert heard_facts(figures) == pytest.approx(0.6)


def test_a_rate_is_known_when_all_were_tried_and_its_trial_is_taken_over(tmp_path):
    asked = ablation(tmp_path)
    first, second = asked.tuning("late").values()
    assert asked.rate("late") is None and asked.trial("late", 4) is None
    finish(asked, first, made_up(0.9))
    assert asked.rate("late") is None
    finish(asked, second, made_up(0.8))
    assert asked.rate("late") == 1e-3
    assert asked.trial("late", 4) == first and asked.trial("late", 5) == Trial("late", 5)
    assert asked.rate("early") is None


def test_without_rates_it_is_the_recipes(tmp_path):
    asked = ablation(tmp_path, rates=())
    assert asked.rate("late") == asked.recipe.stages[-1].learning_rate
    assert asked.trial("late", 4) == Trial("late", 4)


def test_the_order_of_work(tmp_path):
    data = {seed: Settings(tmp_path, "small", seed) for seed in (4, 5)}
    jobs = jobs_of(ablation(tmp_path), data)
    assert [job.name for job in jobs] == [
        "late-4-rate-0.001", "late-4-rate-0.003", "late-5", "early-4-rate-0.001", "early-4-rate-0.003", "early-5",
    ]  # fmt: skip
    assert [job.after for job in jobs[:3]] == [(), (), ("late-4-rate-0.001", "late-4-rate-0.003")]
    assert [job.arguments[1].seed for job in jobs] == [4, 4, 5, 4, 4, 5]
    plain = jobs_of(ablation(tmp_path, rates=()), data)
    assert [job.name for job in plain] == ["late-4", "late-5", "early-4", "early-5"]
    assert all(job.after == () for job in plain)


def test_as_much_compute_waits_for_what_it_is_measured_by(tmp_path):
    asked = ablation(tmp_path, variants=("late", "early", "early_same_compute"), rates=())
    data = {seed: Settings(tmp_path, "small", seed) for seed in (4, 5)}
    assert [job.after for job in jobs_of(asked, data)][-2:] == [("late-4", "early-4")] * 2
    finish(asked, Trial("late", 4), made_up(0.5, train_seconds=300.0, steps=2000))
    finish(asked, Trial("early", 4), made_up(0.5, train_seconds=160.0, steps=2000))
    assert time_factor(asked, "late", "early") == 1.88
    with pytest.raises(InputError, match="needs late and early"):
        ablation(tmp_path, variants=("late", "early_same_compute"))


def test_steps_are_those_of_the_recipe(tmp_path):
    assert ablation(tmp_path, num_steps=800).recipe.num_steps == 800
    assert ablation(tmp_path).recipe == SCALES["small"].speech.recipe()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"seeds": ()}, "seeds are there"),
        ({"seeds": (1, 1)}, "each once"),
        ({"variants": ("late", "late")}, "each once"),
        ({"variants": ("later",)}, "late, early"),
        ({"rates": (1e-3, -1e-3)}, "above 0"),
        ({"rates": (float("nan"),)}, "above 0"),
        ({"num_steps": 1}, "1 steps"),
        ({"scale_name": "huge"}, "tiny, small, medium"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, changes, found):
    with pytest.raises(InputError, match=found):
        ablation(tmp_path, **changes)
