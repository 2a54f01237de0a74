"""As many rows a pass as fit, found by halving; a trial leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.data.rows.loader import RowCollator
from smoltolk.training import memory_trial
from smoltolk.training.hardware import Hardware
from smoltolk.training.memory_trial import largest_that_fits
from smoltolk.training.stages import run_stage


@pytest.mark.parametrize(
    ("share", "most", "found"), [(8, 100, 8), (8, 5, 4), (12, 5, 3), (9, 4, 3), (7, 6, 1), (1, 1, 1)]
)
def test_rows_are_halved_until_they_fit_and_share_out_a_step(share: int, most: int, found: int) -> None:
    tried: list[int] = []

    def fits(rows: int) -> bool:
        tried.append(rows)
        return rows <= most

    assert largest_that_fits(share, fits) == found == tried[-1]
    assert tried == sorted(set(tried), reverse=True) and all(share % rows == 0 for rows in tried)


def test_memory_for_no_row_is_told() -> None:
    with pytest.raises(InputError, match="memory for a row"):
        largest_that_fits(4, lambda rows: False)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_trial_leaves_no_trace(
    build: Callable, make_recipe: Callable, counting_rows: type, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    model = build()
    rows, collate = counting_rows(model.config.id_space, 8), RowCollator(model.config.id_space)
    before, seen = {name: value.clone() for name, value in model.state_dict().items()}, []

    def forward(module: torch.nn.Module, args: tuple, given: dict) -> None:
        seen.append(len(given["input_ids"]))
        if seen[-1] > most:
            raise torch.OutOfMemoryError("as a device says it")

    handle = model.register_forward_pre_hook(forward, with_kwargs=True)
    device, hardware = torch.device("cpu"), Hardware(autocast=False)
    fits = lambda number: memory_trial._try(model, rows, collate, hardware, device, number, 1000)  # noqa: E731
    assert largest_that_fits(4, fits) == most
    handle.remove()
    assert seen == [number for number in (4, 2, 1) if number > most] + [most] * 2
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_on_a_cpu_the_limit_of_ids_decides(
    build: Callable, make_recipe: Callable, counting_rows: type, tmp_path: Path
) -> None:
    model, plan, seen = build(), make_recipe(1), []
    model.late_fission.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    rows, collate = counting_rows(model.config.id_space, 4), RowCollator(model.config.id_space)
    run_stage(model, plan, plan.stages[0], rows, collate, tmp_path, hardware=Hardware(rows_per_device="auto"))
    assert seen[-1] == plan.rows_per_step


def test_what_is_shared_out_is_not_tried() -> None:
    with pytest.raises(InputError, match="give their number"):
        Hardware(rows_per_device="auto", fsdp=True)
