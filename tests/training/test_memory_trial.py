"""As many rows a pass as fit, found by halving; a trial leaves no trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json
from smoltolk.data.rows.loader import RowCollator
from smoltolk.training.hardware import Hardware
from smoltolk.training.memory_trial import largest_that_fits, rows_by_trial
from smoltolk.training.stages import run_stage

PROCESS = Path(__file__).parent / "processes" / "rows_of_a_pass.py"


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


class Device:
    """A device that has room for so many rows; counts what is tried on it."""

    def __init__(self, most: int):
        self.most, self.seen = most, []

    def __call__(self, module: torch.nn.Module, args: tuple, given: dict) -> None:
        assert "tasks" not in given  # for the log alone
        if torch.is_grad_enabled():  # no trial of the attention
            self.seen.append(len(given["input_ids"]))
            if self.seen[-1] > self.most:
                raise torch.OutOfMemoryError("as a device says it")


class TaskRows(torch.utils.data.Dataset):
    """Rows that tell their tasks, as those of a training do."""

    def __init__(self, rows: torch.utils.data.Dataset):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.rows[index] | {"tasks": torch.tensor(0)}


@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_trial_leaves_no_trace(build: Callable, counting_rows: type, tmp_path: Path, most: int) -> None:
    model, device = build(), Device(most)
    rows, collate = TaskRows(counting_rows(model.config.id_space, 8)), RowCollator(model.config.id_space)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    handle = model.register_forward_pre_hook(device, with_kwargs=True)
    assert rows_by_trial(model, rows, collate, Hardware(autocast=False), 4, tmp_path) == most
    handle.remove()
    assert device.seen == [number for number in (4, 2, 1) if number > most] + [most] * 2
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_fails_otherwise_is_not_taken_for_a_lack_of_memory(
    build: Callable, counting_rows: type, tmp_path: Path
) -> None:
    model = build()

    def broken(*_: Any) -> None:
        raise RuntimeError("shapes that do not fit")

    model.register_forward_pre_hook(broken)
    rows, collate = counting_rows(model.config.id_space, 8), RowCollator(model.config.id_space)
    with pytest.raises(RuntimeError, match="do not fit"):
        rows_by_trial(model, rows, collate, Hardware(autocast=False), 4, tmp_path)


def test_a_stage_that_resumes_keeps_the_rows_it_found(
    build: Callable, make_recipe: Callable, counting_rows: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hardware, "tries_rows", property(lambda hardware: hardware.rows_per_device == "auto"))
    plan, hardware = make_recipe(4, save_steps=2), Hardware(autocast=False, rows_per_device="auto")

    def train(most: int, folder: str, report: Callable = lambda step, note: None, **more: Any) -> list[int]:
        model, device = build(), Device(most)
        model.register_forward_pre_hook(device, with_kwargs=True)
        rows, collate = counting_rows(model.config.id_space, 16), RowCollator(model.config.id_space)
        how = replace(hardware, **more)
        run_stage(model, plan, plan.stages[0], rows, collate, tmp_path / folder, hardware=how, report=report)
        return device.seen

    def kill(step: float, note: str) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(2, "a", kill)
    assert read_json(tmp_path / "a" / "rows_of_a_pass.json")["rows"] == 2
    assert train(4, "a") == [2] * 4  # two steps of two passes, and no trial
    with pytest.raises(KeyboardInterrupt):
        train(2, "b", kill)
    assert train(4, "b", gradient_checkpointing=True)[:2] == [4, 4]  # there was less room then


def test_two_processes_take_the_rows_that_both_have_room_for(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    done = subprocess.run(
        [sys.executable, str(PROCESS), port, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0 2 2 [4, 4, 2, 2]", "1 2 2 [4, 2, 2]"]
    assert [path.name for path in tmp_path.glob("*/*")] == ["rows_of_a_pass.json"]
    assert done.stderr.count("2 rows a pass fit") == 1


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
