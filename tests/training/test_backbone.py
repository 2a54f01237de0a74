"""Small text models from nothing, and the rows of running text that they learn from."""

from __future__ import annotations

import pytest
import torch

from smoltolk.model.ids import IGNORE
from smoltolk.training.backbone import TextRows, collate_text, new_backbone, train_tokenizer
from smoltolk.training.recipe import BackboneSize

STORIES = ["Mia owns a cat.", "The cat eats bread in Oslo, today.", "So it is.", "Why?"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(STORIES * 4, 270)


def test_a_new_backbone_names_all_positions_of_its_rows(tokenizer) -> None:
    size = BackboneSize(hidden_size=32, num_layers=1, num_heads=1, vocab_size=300)
    named = [new_backbone(tokenizer, size, 0, length).config.max_position_embeddings for length in (64, 2048, 5000)]
    assert named == [2048, 2048, 5000]


@pytest.mark.parametrize(("width", "inner"), [(32, 64), (64, 160), (128, 320), (192, 512)])
def test_a_new_backbone_is_as_wide_inside_as_llama_is(tokenizer, width: int, inner: int) -> None:
    """8/3 of its width, rounded to 32; a seed makes it, and leaves the global state alone."""
    size = BackboneSize(width, 1, 2, 270)
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first, second = (new_backbone(tokenizer, size, seed=3) for _ in range(2))
    assert torch.equal(torch.rand(2), expected)
    assert first.model.layers[0].mlp.gate_proj.weight.shape == (inner, width)
    assert all(map(torch.equal, first.parameters(), second.parameters()))


@pytest.mark.parametrize("length", [12, 40, 200])
def test_rows_of_running_text(tokenizer, length: int) -> None:
    """Stories end to end, each behind an end of text that is given, at positions of its own; then padding."""
    rows = TextRows(lambda number: STORIES[number % 4], tokenizer, length, 5, stories_per_row=3)
    batch = collate_text([rows[index] for index in range(len(rows))])
    assert batch["input_ids"].shape == batch["labels"].shape == batch["position_ids"].shape == (5, length)
    for index in range(5):
        ids, labels, positions = [], [], []
        for number in range(3 * index, 3 * index + 3):
            story = tokenizer(STORIES[number % 4])["input_ids"]
            ids += [tokenizer.eos_token_id, *story]
            labels += [IGNORE, *story]
            positions += range(len(story) + 1)
        missing = length - len(ids)
        assert batch["input_ids"][index].tolist() == (ids + [tokenizer.eos_token_id] * missing)[:length]
        assert batch["labels"][index].tolist() == (labels + [IGNORE] * missing)[:length]
        assert batch["position_ids"][index].tolist() == (positions + [0] * missing)[:length]
