"""Each logger gets every number once, also of a run that was killed and goes on."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from smoltolk.common.errors import MissingExtraError
from smoltolk.training.loop import writers as writers_module
from smoltolk.training.loop.writers import check_writers, numbers_of, open_writers

ROUNDS = ((0, range(1, 7)), (4, range(5, 9)))  # killed after step 6, and taken up at 4


def write(name: str, folder: Path) -> None:
    for before, steps in ROUNDS:
        (writer,) = open_writers((name,), folder, "smoltolk-test", "run", before, {"seed": 0})
        for step in steps:
            writer.write({"train/loss": 10.0 * before + step}, step)
        writer.close()


def test_numbers_of_a_line() -> None:
    line = {
        "step": 3,
        "stage": "s",
        "kind": "held_out",
        "speech_nll": 2,
        "selector_weights": [0.25, 0.75],
        "text_nll": None,
    }
    assert numbers_of(line) == {"speech_nll": 2.0, "selector_weights/1": 0.25, "selector_weights/2": 0.75}
    assert "loss" not in numbers_of({"step": 1, "loss": float("nan")})


def test_tensorboard_has_each_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write("tensorboard", tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in events] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 45),
        (6, 46),
        (7, 47),
        (8, 48),
    ]


def test_wandb_keeps_its_files_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    write("wandb", tmp_path)
    assert len(list((tmp_path / "wandb").glob("offline-run-*-run/*.wandb"))) >= 1


def test_trackio_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    for module in ("trackio.utils", "trackio.sqlite_storage"):
        if hasattr(importlib.import_module(module), "TRACKIO_DIR"):
            monkeypatch.setattr(f"{module}.TRACKIO_DIR", tmp_path)
    write("trackio", tmp_path)
    logs = SQLiteStorage.get_logs("smoltolk-test", "run")
    assert {row["step"]: row["train/loss"] for row in logs} == {
        1: 1, 2: 2, 3: 3, 4: 4, 5: 45, 6: 46, 7: 47, 8: 48
    }  # fmt: skip


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, purpose: str) -> None:
        raise MissingExtraError(purpose, module, "pip")

    monkeypatch.setattr(writers_module, "require", missing)
    monkeypatch.setattr(writers_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="the logger wandb"):
        check_writers(("wandb",))
    (told,) = check_writers(("tensorboard",))
    assert "smoltolk[log]" in told
    assert open_writers(("tensorboard",), Path("nowhere"), "p", "n", 0, {}) == []
