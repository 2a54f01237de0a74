"""Preferences from a file to a model: better answers gain, held-out pairs are asked, a kill changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.inference.lora import is_lora
from smoltolk.inference.parts import load_model
from smoltolk.training.tuning.preference_scores import answer_margins
from smoltolk.training.tuning.settings import Amount, LoraSettings, Preference

pytest.importorskip("trl", reason="the extra 'trl', see `make more`")

from smoltolk.training.tuning.prefer_job import PreferJob

LORA = LoraSettings(r=4)


class Killed(Exception):
    """By a test."""


@pytest.fixture
def job(
    talking: Path, preferences: Path, phone_units_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., PreferJob]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def make(out: Path, **changes: Any) -> PreferJob:
        given = {"steps": 6, "rows_per_step": 2, "save_steps": 2, "learning_rate": 3e-3}
        amount = Amount(**(given | changes.pop("amount", {})))
        return PreferJob(talking, preferences, out, **({"units": phone_units_dir, "amount": amount} | changes))

    return make


def same(one: Path, other: Path) -> bool:
    first, second = (load_model(folder)[0].state_dict() for folder in (one, other))
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("lora", [None, LORA])
def test_killed_and_gone_on_with(lora: LoraSettings | None, job: Callable[..., PreferJob], tmp_path: Path) -> None:
    """The model that it is held against stays the one that it began with."""
    amount = {"learning_rate": 3e-3 if lora is None else 3e-2}
    whole = job(tmp_path / "whole", lora=lora, amount=amount).run()
    assert is_lora(tmp_path / "whole") == (lora is not None) and not (tmp_path / "whole" / "ref").exists()
    history = json.loads((tmp_path / "whole" / "training.json").read_text())["history"]
    assert history[0]["loss"] == pytest.approx(np.log(2), abs=1e-3)
    assert history[-1]["loss"] < history[0]["loss"] - 0.01 and history[-1]["rewards/margins"] > 0

    def kill(step: float, text: str) -> None:
        if step == 5:
            raise Killed

    with pytest.raises(Killed):
        job(tmp_path / "parts", lora=lora, amount=amount).run(kill)
    seen: list[float] = []
    figures = job(tmp_path / "parts", lora=lora, amount=amount).run(lambda step, text: seen.append(step))
    assert seen == [5, 6]
    assert {**figures, "seconds": 0} == {**whole, "seconds": 0}
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_the_better_answers_win(job: Callable[..., PreferJob], talking: Path, tmp_path: Path) -> None:
    amount = {"steps": 20, "learning_rate": 1e-2}
    learned = job(tmp_path / "out", amount=amount, preference=Preference(hold_out=0.0))
    learned.run()
    (before, _), (after, per_id) = (
        answer_margins(load_model(folder)[0], learned.open()) for folder in (talking, tmp_path / "out")
    )
    assert (after > before + 1).all() and (per_id > 0).all()


def test_what_is_held_out_is_not_learned_from(job: Callable[..., PreferJob], tmp_path: Path) -> None:
    learned, out = job(tmp_path / "out", preference=Preference(hold_out=0.34)).parts()
    assert (len(learned), len(out)) == (4, 2) and not {id(one) for one in out} & {id(one) for one in learned}
    again = job(tmp_path / "out", preference=Preference(hold_out=0.34)).parts()[1]
    assert [len(one) for one in again] == [len(one) for one in out]


def test_refused(job: Callable[..., PreferJob], dialogues: Path, talking: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="worse answer"):
        PreferJob(talking, dialogues, tmp_path / "out")
