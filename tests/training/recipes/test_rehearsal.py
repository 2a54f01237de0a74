"""What is planned is what a real run takes: bytes of tensors, FLOPs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.training.hardware import Hardware
from smoltolk.training.job import TrainingJob
from smoltolk.training.optimization import set_trainable
from smoltolk.training.recipes.allocations import Allocations
from smoltolk.training.recipes.plan import plan_of
from smoltolk.training.recipes.presets import quick
from smoltolk.training.recipes.rehearsal import likely_batch, rehearse
from smoltolk.training.recipes.shapes import model_config
from smoltolk.training.recipes.tree import ModelSettings, RunRecipe
from smoltolk.training.tuning.settings import LoraSettings, Tuning


def test_storages_count_once_and_until_they_are_gone() -> None:
    with Allocations() as count:
        one = torch.zeros(100)
        views = one.view(10, 10), one[3:]
        assert count.alive == 400
        two = one + 1
        assert count.alive == count.most == 800
        del two
        assert count.alive == 400 and count.most == 800
        count.forget()
        one.add_(1)
        del one, views
        assert (count.alive, count.most) == (0, 400)


@pytest.fixture(scope="module")
def larger_backbone(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with the tiny one's tokenizer, in which states and weights are of a size."""
    old = AutoConfig.from_pretrained(backbone)
    config = LlamaConfig(
        vocab_size=old.vocab_size, hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, eos_token_id=old.eos_token_id, bos_token_id=old.bos_token_id, tie_word_embeddings=True,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("larger") / "backbone"
    LlamaForCausalLM(config).save_pretrained(out)
    AutoTokenizer.from_pretrained(backbone).save_pretrained(out)
    return out


@pytest.fixture
def tree(larger_backbone: Path, shards_dir: Path, tmp_path: Path) -> RunRecipe:
    recipe = quick(3, 3, 1e-3)
    return replace(
        recipe,
        model=replace(recipe.model, text_model=str(larger_backbone)),
        data=replace(recipe.data, shards=str(shards_dir), row_length=96),
        optimisation=replace(recipe.optimisation, rows_per_step=4),
        logging=replace(recipe.logging, loggers=("none",)),
        out=str(tmp_path / "model"),
    )


@pytest.mark.parametrize(
    ("hardware", "rows", "lora"),
    [
        ({}, 4, None),
        ({"autocast": False}, 4, None),
        ({"gradient_checkpointing": True}, 4, None),
        ({"autocast": False}, 2, None),
        ({"dtype": "bfloat16", "autocast": False}, 4, None),
        ({}, 4, LoraSettings(r=4)),
        ({"autocast": False}, 2, LoraSettings(r=8, targets=("q_proj", "speech"), dropout=0.1, whole=("units",))),
    ],
)
def test_planned_memory_is_that_of_a_run(
    tree: RunRecipe, hardware: dict[str, Any], rows: int, lora: LoraSettings | None
) -> None:
    tree = replace(tree, hardware=Hardware(rows_per_device=rows, **hardware), tuning=Tuning(lora=lora))
    with Allocations() as count:
        TrainingJob(tree).run()
    planned = max(stage.memory for stage in plan_of(tree, on_gpu=False).stages)
    assert planned == pytest.approx(count.most, rel=0.1)


def test_flops_are_those_of_a_pass(tree: RunRecipe) -> None:
    plan = TrainingJob(tree).plan()
    model = plan.build().train()
    for stage in tree.stages:
        set_trainable(model, stage)
        rows = RowDataset(plan.rows(stage, model), 4)
        batch = RowCollator(model.config.id_space)([rows[i] for i in range(4)])
        with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
            model(**batch, use_cache=False, num_items_in_batch=100).loss.backward()
        found = rehearse(model.config, tree.recipe(), stage, batch, Hardware(autocast=False))
        assert found.flops == pytest.approx(counted.get_total_flops(), rel=0.05)
        assert found.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_rows_may_be_longer_than_the_vocabulary(tree: RunRecipe) -> None:
    rows = {"data": replace(tree.data, row_length=1500), "optimisation": replace(tree.optimisation, rows_per_step=1)}
    assert all(stage.rehearsal.flops > 0 for stage in plan_of(replace(tree, **rows)).stages)


@pytest.mark.parametrize("native", [False, True])
def test_a_plan_for_gpus_computes_in_bfloat16_on_any_machine(
    tree: RunRecipe, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})

    def memory(autocast: bool | None, on_gpu: bool) -> list[int]:
        planned = replace(tree, hardware=replace(tree.hardware, autocast=autocast))
        return [stage.memory for stage in plan_of(planned, on_gpu=on_gpu).stages]

    assert memory(True, True) != memory(False, True)
    assert memory(None, True) == memory(True, True)
    assert memory(None, False) == memory(native, False)


def test_a_frozen_text_model_takes_less(tree: RunRecipe) -> None:
    first, second = plan_of(tree).stages
    assert first.rehearsal.flops < second.rehearsal.flops and first.memory < second.memory
    assert first.rehearsal.trained < second.rehearsal.trained
    assert first.rehearsal.gradients == 4 * first.rehearsal.trained


def test_likely_rows_have_the_share_of_speech_that_the_mixture_says() -> None:
    recipe = quick(10, 10, 1e-3).recipe()
    config = model_config(ModelSettings(), LlamaConfig(vocab_size=300, hidden_size=32, num_attention_heads=2))

    def spoken(mixture: dict[str, float]) -> float:
        stage = replace(recipe.stages[0], mixture=mixture)
        ids = likely_batch(config, recipe, stage, 4)["input_ids"]
        assert ids.shape == (4, recipe.row_length)
        return float((ids >= config.speech_offset).float().mean())

    assert spoken({"text": 1.0}) == 0 and spoken({"speech": 1.0}) == 1
    assert spoken({"text": 1.0, "speech": 1.0}) == pytest.approx(0.5, abs=0.02)
    assert 0.6 < spoken({"interleaved": 1.0}) < 0.95
