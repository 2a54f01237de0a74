"""One log over all stages, held-out rows of every task, and what is kept beside the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.hardware import Hardware
from smoltolk.training.loop.log import RunLog
from smoltolk.training.loop.settings import Logging
from smoltolk.training.workplace import RECORD


def test_a_log_counts_over_all_stages(run_with: Callable, tmp_path: Path) -> None:
    settings = Logging(eval_steps=4, eval_rows=2, milestones=(8,), loggers=("none",), samples=2)
    mixture = {"speech": 1.0, "text": 1.0, "recognition": 1.0}
    run = run_with(settings, tmp_path / "work", mixture)
    run.train(tmp_path / "work", tmp_path / "model")
    record = tmp_path / "work" / RECORD
    lines = list(RunLog(record / "log.jsonl"))
    train = [(line["step"], line["stage"]) for line in lines if line["kind"] == "train"]
    assert train == [(step, "stage1" if step <= 6 else "stage2") for step in range(1, 13)]
    held = [line for line in lines if line["kind"] == "held_out"]
    assert [line["step"] for line in held] == [4, 6, 8, 12]
    tasks = ("speech/speech_nll", "text/text_nll", "recognition/speech_nll", "recognition/text_nll", "recognition_wer")
    assert all(line[name] > 0 for line in held for name in tasks)
    assert held[1]["text/text_nll"] == pytest.approx(held[0]["text/text_nll"])  # stage 1 trains the speech part alone
    assert held[3]["text/text_nll"] < held[1]["text/text_nll"]
    assert (record / "samples" / "000012" / "recognition.jsonl").is_file()
    for kept in ("best", "milestones/000008"):
        assert SmolTolkForCausalLM.from_pretrained(record / kept).config.num_units == run.units.num_units
        assert (record / kept / "tokenizer.json").is_file()


def test_what_is_held_out_is_not_trained_on(run_with: Callable, tmp_path: Path) -> None:
    all_of_it = run_with(Logging(loggers=("none",)), tmp_path).speech
    run = run_with(Logging(eval_steps=4, loggers=("none",)), tmp_path)
    trained, held = run.speech, run.loop.speech
    assert len(trained) + len(held) == len(all_of_it) and len(held) == 1
    assert [trained.text(number) for number in range(len(trained))] + [held.text(0)] == [
        all_of_it.text(number) for number in range(len(all_of_it))
    ]


def test_a_task_that_cannot_be_held_out_is_told(
    run_with: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = run_with(Logging(eval_steps=4, loggers=("none",)), tmp_path, {"speech": 1.0, "synthesis": 1.0})
    rows = run.loop.rows(run.recipe, run.build().config.id_space, 0)
    if "synthesis" not in rows.rows:
        assert "synthesis is not validated" in capsys.readouterr().err
    assert len(rows.rows["speech"]) >= 1


def test_question_sets_need_somebody_who_asks(run_with: Callable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="somebody who asks"):
        run_with(Logging(eval_steps=4, cloze=("world=shards",)), tmp_path)


@pytest.mark.parametrize("rows_per_device", [2, 1])
def test_losses_of_tasks_are_parts_of_the_loss(run_with: Callable, tmp_path: Path, rows_per_device: int) -> None:
    work = tmp_path / "work"
    run = run_with(Logging(loggers=("none",), log_steps=6), work, {"speech": 1.0, "text": 2.0, "recognition": 1.0})
    run = replace(run, hardware=Hardware(autocast=False, rows_per_device=rows_per_device))
    run.train(work, tmp_path / "model")
    first = next(line for line in RunLog(work / RECORD / "log.jsonl") if line["step"] == 3)
    space, stage = run.build().config.id_space, run.recipe.stages[0]
    counts: dict[tuple[str, bool], int] = {}
    for number in range(6):  # three steps of two rows
        row = run.rows(stage, run.build()).row(number)
        predicted = row.labels[1:][row.labels[1:] != -100]
        for is_speech in (False, True):
            there = int(((predicted >= space.speech_offset) == is_speech).sum())
            counts[str(row.task), is_speech] = counts.get((str(row.task), is_speech), 0) + there
    for is_speech, name in ((False, "text_loss"), (True, "speech_loss")):
        parts = {task: count for (task, kind), count in counts.items() if kind == is_speech and count}
        assert {line for line in first if line.endswith(f"/{name}")} == {f"{task}/{name}" for task in parts}
        mean = sum(first[f"{task}/{name}"] * count for task, count in parts.items()) / sum(parts.values())
        assert mean == pytest.approx(first[name], rel=1e-5)
