"""The loss of a step and its parts in the log do not depend on how its rows are shared out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from transformers import TrainingArguments

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.loader import RowCollator
from smoltolk.model.ids import IdSpace
from smoltolk.training.hardware import Hardware
from smoltolk.training.stages import run_stage
from smoltolk.training.trainer import SmolTolkTrainer

PARTS = ("loss", "text_loss", "speech_loss", "selector_entropy")


@pytest.fixture(scope="module")
def uneven_rows(counting_rows: type) -> type:
    """Every second row predicts text alone, the others speech alone; the k-th row of a step has 5 k ids of padding."""

    class UnevenRows(counting_rows):
        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            row = super().__getitem__(index)
            speech = row["labels"] >= self.space.speech_offset
            row["labels"] = row["labels"].masked_fill(speech if index % 2 else ~speech, -100)
            length = len(row["labels"]) - 5 * (index % 4) * (index % 2)
            row["labels"][length:], row["attention_mask"][length:] = -100, 0
            row["input_ids"][length:], row["document_ids"][length:] = self.space.eos_text, 1
            return row

    return UnevenRows


@pytest.mark.parametrize("settings", [{}, {"entropy_weight": 5.0}, {"layer_mix": "static"}, {"layer_mix": "last"}])
def test_one_pass_or_several(
    build: Callable, make_recipe: Callable, uneven_rows: type, tmp_path: Path, settings: dict
) -> None:
    logs, weights = [], []
    for device_rows in (4, 2, 1):
        model, plan = build(**settings), make_recipe(6)
        rows = uneven_rows(model.config.id_space, 6 * plan.rows_per_step)
        out, collate = tmp_path / str(device_rows), RowCollator(model.config.id_space)
        history = run_stage(
            model,
            plan,
            plan.stages[0],
            rows,
            collate,
            out,
            hardware=Hardware(autocast=False, rows_per_device=device_rows),
        ).history
        logs.append(torch.tensor([[entry.get(name, 0.0) for name in PARTS] for entry in history]))
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    for log, weight in zip(logs[1:], weights[1:], strict=True):
        assert torch.allclose(log, logs[0], atol=2e-4)
        assert torch.allclose(weight, weights[0], atol=2e-4)
    assert (logs[0][:, 3] > 0).all() == ("layer_mix" not in settings)  # only a selector has an entropy


class FrameRows(Dataset):
    """Text, then frames of three codebooks, more in each row; every second one is cut inside the delay."""

    def __init__(self, space: IdSpace):
        self.space = space

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        frames = np.random.default_rng(index).integers(0, self.space.num_units, (3 + 4 * (index % 4), 3))
        document = Document(self.space).text([1, 2]).switch().speech(frames).end()
        length = len(document) - (2 if index % 2 else 0)
        row = {"input_ids": document.input_ids, "labels": document.labels, "codes": document.codes}
        row = {name: torch.from_numpy(value[:length]) for name, value in row.items()}
        missing = 24 - length
        fillers = {"input_ids": self.space.eos_text, "labels": -100, "codes": -1}
        for name, filler in fillers.items():
            padding = row[name].new_full((missing, *row[name].shape[1:]), filler)
            row[name] = torch.cat([row[name], padding])
        padded = torch.tensor([0] * length + [1] * missing)
        return {**row, "document_ids": padded, "attention_mask": 1 - padded}


def test_each_codebooks_part_is_a_mean_over_its_own_units(
    build: Callable, make_recipe: Callable, tmp_path: Path
) -> None:
    logs = []
    for device_rows in (4, 1):
        model, plan = build(num_codebooks=3), make_recipe(4)
        rows, collate = FrameRows(model.config.id_space), RowCollator(model.config.id_space)
        out = tmp_path / str(device_rows)
        history = run_stage(
            model,
            plan,
            plan.stages[0],
            rows,
            collate,
            out,
            hardware=Hardware(autocast=False, rows_per_device=device_rows),
        ).history
        names = [*PARTS, *(f"codebook_{number}_loss" for number in range(3))]
        logs.append(torch.tensor([[entry[name] for name in names] for entry in history]))
    assert torch.allclose(*logs, atol=2e-4)


def test_the_entropy_in_the_log_is_the_mean_over_all_real_positions(
    build: Callable, make_recipe: Callable, uneven_rows: type, tmp_path: Path
) -> None:
    model, plan = build(), make_recipe(1)
    rows, collate = uneven_rows(model.config.id_space, 4), RowCollator(model.config.id_space)
    batch = collate([rows[index] for index in range(4)])
    with torch.no_grad():
        weights = model(
            **{name: batch[name] for name in ("input_ids", "attention_mask", "document_ids", "spans")},
            output_selector_weights=True,
        ).selector_weights
    entropy = -(weights * weights.log()).sum(-1)
    real = batch["attention_mask"].bool()
    assert not real.all()
    for device_rows in (4, 1):
        out = tmp_path / str(device_rows)
        (entry,) = run_stage(
            build(),
            plan,
            plan.stages[0],
            rows,
            collate,
            out,
            hardware=Hardware(autocast=False, rows_per_device=device_rows),
        ).history
        assert entry["selector_entropy"] == pytest.approx(float(entropy[real].mean()), rel=1e-5)
        num_text, num_speech = ((batch["labels"] >= 0).sum(), (batch["labels"] >= model.config.speech_offset).sum())
        text = (int(num_text) - int(num_speech)) * entry["text_loss"]
        total = (text + int(num_speech) * entry["speech_loss"]) / int(num_text)
        assert entry["loss"] == pytest.approx(total - 0.01 * entry["selector_entropy"], abs=1e-4)


def test_label_smoothing_is_refused(build: Callable, tmp_path: Path) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), label_smoothing_factor=0.1, use_cpu=True, report_to=[])
    with pytest.raises(InputError, match=r"label_smoothing_factor = 0\.1"):
        SmolTolkTrainer(model=build(), args=arguments)


def test_an_evaluation_changes_no_log(build: Callable, uneven_rows: type, tmp_path: Path) -> None:
    model = build()
    rows, collate = uneven_rows(model.config.id_space, 8), RowCollator(model.config.id_space)
    arguments = TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, report_to=[], max_steps=1, per_device_train_batch_size=4,
        per_device_eval_batch_size=3, remove_unused_columns=False, log_level="error", disable_tqdm=True,
        logging_steps=1, eval_strategy="steps", eval_steps=1, save_strategy="no", prediction_loss_only=True,
    )  # fmt: skip
    trainer = SmolTolkTrainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows, data_collator=collate)
    trainer.evaluate()
    assert not trainer._sums
    trainer.train()
    assert not trainer._sums
