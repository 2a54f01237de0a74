"""A training run on frames of several codebooks, from shards to a model directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from smoltolk.common.files import read_json
from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitUtterance
from smoltolk.model.ids import IGNORE
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.segments import Segment
from smoltolk.training.changes import Changes
from smoltolk.training.job import TrainingJob
from smoltolk.training.recipe import BackboneSize
from smoltolk.training.recipes.positional import positional_recipe
from smoltolk.training.text_job import TextJob

Q, RATE = 3, 12.5
WORDS = ["mia", "owns", "a", "red", "kite", "and", "a", "cat", "that", "sleeps", "by", "the", "river"]


def write_shard(path: Path, utterances: int = 12) -> None:
    rng = np.random.default_rng(0)
    with ShardWriter(path, ShardMetadata(RATE, "codec", 9, num_codebooks=Q)) as shard:
        for number in range(utterances):
            words = rng.permutation(WORDS).tolist()
            frames = 4 * len(words)
            ends = np.arange(1, len(words) + 1) * 4 / RATE
            units = (np.arange(frames)[:, None] + np.arange(Q) + number) % 9  # each codebook counts
            spoken = tuple(
                Segment(word, float(end) - 4 / RATE, float(end)) for word, end in zip(words, ends, strict=True)
            )
            shard.add(
                UnitUtterance(
                    str(number), " ".join(words), spoken, units, np.ones(frames, int), "s", "en", "made", frames / RATE
                )
            )


def test_from_shards_to_a_model(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join([" ".join(WORDS)] * 8), encoding="utf-8")
    size = BackboneSize(hidden_size=32, num_layers=2, num_heads=2, vocab_size=300)
    TextJob(tmp_path / "text.txt", tmp_path / "text", size=size, steps=2, row_length=64, rows_per_step=2).run()
    write_shard(tmp_path / "shards" / "part-0.parquet")
    changes = Changes(steps=16, row_length=96, rows_per_step=4)
    job = TrainingJob(
        positional_recipe(
            str(tmp_path / "text"), tmp_path / "shards", tmp_path / "model", changes=changes, device_rows=2
        )
    )
    run = job.plan()
    model = run.build()
    for stage in run.recipe.stages:
        rows = RowDataset(run.rows(stage, model), 8)
        batch = RowCollator(model.config.id_space)([rows[number] for number in range(8)])
        with torch.no_grad():
            output = model.train()(**batch)
        assert int(output.num_text + output.num_speech) == int((batch["labels"][:, 1:] != IGNORE).sum())
    figures = job.run()
    assert np.isfinite(figures["loss"])
    model = SmolTolkForCausalLM.from_pretrained(tmp_path / "model")
    assert model.config.num_codebooks == Q and model.config.codebook_delays == [0, 1, 2]
    trained = read_json(tmp_path / "model" / "training.json")
    assert trained["units"]["num_codebooks"] == Q
    for codebook in range(Q):
        losses = [entry[f"codebook_{codebook}_loss"] for entry in trained["history"]]
        assert losses[-1] < losses[0]
