"""What cannot be is refused by name."""

from __future__ import annotations

import pytest

from smoltolk.common.errors import InputError
from smoltolk.training.loop.settings import Logging


@pytest.mark.parametrize(
    "wrong", [{"eval_steps": 0}, {"log_steps": -1}, {"eval_rows": 0}, {"milestone_steps": 0}, {"samples": -1}]
)
def test_numbers_are_positive(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Logging(**wrong)


@pytest.mark.parametrize("wrong", [("tensorbord",), ("none", "wandb")])
def test_loggers_have_names(wrong: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="tensorboard, trackio, wandb, none"):
        Logging(loggers=wrong)


def test_milestones_are_named_or_regular() -> None:
    settings = Logging(milestones=(5,), milestone_steps=100)
    assert [step for step in (1, 5, 99, 100, 101, 200) if settings.is_milestone(step)] == [5, 100, 200]
    assert not Logging().is_milestone(100)


def test_only_the_split_of_the_training_data_decides_what_comes_out() -> None:
    assert Logging().decides == Logging(eval_steps=5, held_out="shards").decides == {}
    assert Logging(eval_steps=5, eval_rows=3).decides == {"held_out_rows": 3}
