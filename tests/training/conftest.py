"""Tiny text models, systems around them, rows that count, and what a job needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.data.world.stories import World
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.backbone import BackboneSize
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.systems import settings_of
from smoltolk.training.text_job import TextJob

T, NUM_UNITS = 24, 10


class CountingRows(Dataset):
    """Counting in text, a switch, counting in units; each row from its own number."""

    def __init__(self, space: IdSpace, num_rows: int):
        self.space, self.num_rows = space, num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        start = int(torch.randint(0, 1000, (), generator=generator))
        text = (start + torch.arange(T // 2 - 1)) % 49 + 1  # both sides count on
        units = (start + torch.arange(T // 2)) % NUM_UNITS + self.space.speech_offset
        ids = torch.cat([text, torch.tensor([self.space.switch]), units])
        labels = ids.masked_fill(ids == self.space.switch, -100)
        labels[0] = -100
        mask = torch.ones_like(ids)
        return {"input_ids": ids, "attention_mask": mask, "labels": labels, "document_ids": torch.zeros_like(ids)}


@pytest.fixture(scope="session")
def make_text_model() -> Callable[..., LlamaForCausalLM]:
    """``make_text_model(num_hidden_layers=3)``: a random Llama of 50 ids."""

    def make(**changes: Any) -> LlamaForCausalLM:
        torch.manual_seed(0)
        sizes = {
            "vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "eos_token_id": 0, "bos_token_id": 0,
            "tie_word_embeddings": True,
        }  # fmt: skip
        return LlamaForCausalLM(LlamaConfig(**(sizes | changes)))

    return make


@pytest.fixture(scope="session")
def build(make_text_model: Callable[..., LlamaForCausalLM]) -> Callable[..., SmolTolkForCausalLM]:
    """``build("early_plus")``: that system around the tiny Llama, before its first step."""

    def make(system: str = "late", **settings: Any) -> SmolTolkForCausalLM:
        text_model = make_text_model()
        settings = settings_of(system, text_model.config) | settings
        return SmolTolkForCausalLM.from_text_model(text_model, num_units=NUM_UNITS, eos_text_id=0, **settings)

    return make


@pytest.fixture(scope="session")
def make_recipe() -> Callable[..., Recipe]:
    """``make_recipe(8, bf16=True)``: one stage of so many steps of 4 counting rows."""

    def make(num_steps: int = 8, trainable: Any = "all", **changes: Any) -> Recipe:
        edge = min(2, num_steps // 2)
        stage = Stage(
            name="s", num_steps=num_steps, trainable=trainable, learning_rate=1e-2, warmup_steps=edge, decay_steps=edge
        )
        return Recipe(
            **{"stages": (stage,), "row_length": T, "rows_per_step": 4, "bf16": False, "save_steps": 100, **changes}
        )

    return make


@pytest.fixture(scope="session")
def counting_rows() -> type[CountingRows]:
    """``counting_rows(space, num_rows)``: a data set."""
    return CountingRows


@pytest.fixture(scope="session")
def text(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty stories, one a line."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(story.text for story in world.stories(20, heard_only=False)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def text_job() -> Callable[..., TextJob]:
    """``text_job(text, out, steps=3)``."""

    def make(text: Path, out: Path, **changes: Any) -> TextJob:
        size = BackboneSize(hidden_size=32, num_layers=2, num_heads=2, vocab_size=300)
        return TextJob(text, out, **{"size": size, "steps": 2, "row_length": 64, "rows_per_step": 2, **changes})

    return make


@pytest.fixture(scope="session")
def backbone(text: Path, text_job: Callable[..., TextJob], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text model of two steps, with its tokenizer. Read only."""
    out = tmp_path_factory.mktemp("backbone") / "model"
    text_job(text, out).run()
    return out
