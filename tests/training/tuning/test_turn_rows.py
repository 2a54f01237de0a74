"""Rows of dialogues: whole, each once an epoch, a function of their number; pairs side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.data.rows.loader import RowCollator
from smoltolk.data.rows.turns import Turn, TurnDocument, turn_document
from smoltolk.model.ids import IGNORE, IdSpace
from smoltolk.training.tuning.encoding import Encoded
from smoltolk.training.tuning.turn_rows import PairCollator, PairRows, TurnRows

SPACE = IdSpace(speech_offset=103, num_units=20, begin_prompt=100, end_prompt=101, switch=102, eos_text=0)
SEVERAL = IdSpace(103, 20, 100, 101, 102, 0, delays=(0, 1))


def dialogue(number: int, space: IdSpace = SPACE, worse: bool = False) -> TurnDocument:
    """A question that is the number, and an answer whose length tells it."""
    units = np.arange(number % 5 + 2 + worse) % 20
    spoken = np.stack([units, units], 1) if space.num_codebooks > 1 else units
    turns = [Turn(False, ((False, np.array([1 + number])),)), Turn(True, ((True, spoken),))]
    return turn_document(space, turns)


def many(count: int = 30, space: IdSpace = SPACE) -> list[Encoded]:
    return [Encoded(dialogue(number, space), dialogue(number, space, worse=True)) for number in range(count)]


def test_every_dialogue_is_in_each_epoch_once_and_whole() -> None:
    rows = TurnRows(many(), SPACE, row_length=32, seed=0)
    again = TurnRows(many(), SPACE, row_length=32, seed=0, num_rows=3 * len(rows))
    orders = []
    for epoch in range(3):
        seen: list[int] = []
        for place in range(rows.num_in_epoch):
            row = again[epoch * rows.num_in_epoch + place]
            real = row["attention_mask"].bool()
            assert (row["labels"][~real] == IGNORE).all() and len(row["input_ids"]) == 32
            for number in row["document_ids"][real].unique():
                here = row["document_ids"] == number
                ids = row["input_ids"][here].numpy()
                expected = dialogue(int(ids[2]) - 1)
                assert np.array_equal(ids, expected.input_ids)
                assert np.array_equal(row["labels"][here].numpy(), expected.labels)
                seen.append(int(ids[2]) - 1)
        assert sorted(seen) == list(range(30))
        orders.append(seen)
    assert orders[0] != orders[1] != orders[2]
    assert rows.num_in_epoch < 20  # several in a row


def test_a_row_is_a_function_of_its_number() -> None:
    one, other = (TurnRows(many(), SPACE, row_length=32, seed=3, num_rows=50) for _ in range(2))
    _ = [other[number] for number in range(30)]
    for number in (0, 17, 49):
        assert all(torch.equal(value, other[number][name]) for name, value in one[number].items())
    different = TurnRows(many(), SPACE, row_length=32, seed=4, num_rows=50)
    assert any(not torch.equal(one[n]["input_ids"], different[n]["input_ids"]) for n in range(5))
    with pytest.raises(IndexError):
        one[50]


def test_rows_of_frames() -> None:
    rows = TurnRows(many(space=SEVERAL), SEVERAL, row_length=32, seed=0)
    batch = RowCollator(SEVERAL)([rows[0], rows[1]])
    assert batch["codes"].shape == (2, 32, 1)
    speaks = batch["codes"][..., 0] >= 0
    assert speaks.any() and (batch["input_ids"][speaks] >= SEVERAL.speech_offset).all()


@pytest.mark.parametrize("space", [SPACE, SEVERAL])
def test_pairs(space: IdSpace) -> None:
    encoded = many(6, space)
    pairs = PairRows(encoded, seed=0, num_rows=12)
    assert {tuple(pairs[n]["prompt_ids"]) for n in range(6)} == {tuple(pairs[n]["prompt_ids"]) for n in range(6, 12)}
    assert len({tuple(pairs[n]["prompt_ids"]) for n in range(6)}) == 6
    chosen = [pairs[number] for number in (0, 1)]
    batch = PairCollator(space)(chosen)
    for row, (pair, side) in enumerate((pair, side) for side in ("chosen", "rejected") for pair in chosen):
        ids = np.concatenate([pair["prompt_ids"], pair[f"{side}_ids"]])
        assert batch["input_ids"][row, : len(ids)].tolist() == ids.tolist()
        assert batch["attention_mask"][row].tolist() == [int(n < len(ids)) for n in range(batch["input_ids"].shape[1])]
        answered = batch["completion_mask"][row].nonzero().flatten().tolist()
        assert answered == list(range(len(pair["prompt_ids"]) + 1, len(ids)))  # behind the <switch>
    assert sum(int(group.mask.any(-1).sum()) for group in batch["spans"]) == 4
    assert ("codes" in batch) == (space is SEVERAL)
    with pytest.raises(InputError, match="worse"):
        PairRows([Encoded(dialogue(0))], seed=0)
