"""A few held-out sentences are written down and said, and are there to listen to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.files import read_jsonl
from smoltolk.data.rows.index import aligned_shards
from smoltolk.data.shards.shard_set import look_over
from smoltolk.training.loop.samples import Samples, sentences_of
from smoltolk.training.loop.settings import Logging


class Hums:
    """A tone for each unit, 20 ms."""

    sample_rate, frame_rate = 16_000, 50.0

    def synthesize_batch(
        self, units: Sequence[np.ndarray], durations: Sequence[np.ndarray] | None = None, seed: int = 0
    ) -> list[np.ndarray]:
        time = np.arange(320) / self.sample_rate
        return [np.concatenate([0.1 * np.sin(2000 * (1 + unit) * time) for unit in one]) for one in units]


def test_sentences_are_first_ones_and_evenly_spread(shards_dir: Path, byte_tokenizer: object) -> None:
    corpus = aligned_shards(look_over(shards_dir), byte_tokenizer)
    sentences = sentences_of(corpus, 3)
    assert len(sentences) == 3
    for one in sentences:
        words = one.text.split()
        assert 1 < len(words) <= 15 and (words[-1][-1] in ".!?" or len(words) == 15)
        assert 0 < len(one.begun) < len(one.units) and np.array_equal(one.units[: len(one.begun)], one.begun)
        assert byte_tokenizer.decode(one.tokens).strip() == one.text  # type: ignore[attr-defined]
    assert len({one.text for one in sentences}) == 3


@pytest.mark.parametrize("speaks", [True, False])
def test_what_is_trained_is_asked(run_with: Callable, tmp_path: Path, speaks: bool) -> None:
    tasks = {"recognition": 1.0, "synthesis": 1.0}
    run = run_with(Logging(eval_steps=3, samples=2, loggers=("none",)), tmp_path, tasks)
    model = run.build().eval()
    samples = Samples(
        corpus=run.speech, count=2, tokenizer=run.tokenizer, tasks=tuple(tasks), folder=tmp_path,
        speaker=Hums() if speaks else None,
    )  # fmt: skip
    figures = samples(model, 7)
    there = sorted(path.name for path in (tmp_path / "samples" / "000007").iterdir())
    said = [f"{what}-{number}.{kind}" for what in ("goes-on", "says") for number in (0, 1) for kind in ("mp3", "txt")]
    assert there == sorted(["recognition.jsonl", *(said if speaks else [])])
    rows = list(read_jsonl(tmp_path / "samples" / "000007" / "recognition.jsonl"))
    assert [row["reference"] for row in rows] == [one.text for one in samples.sentences]
    judged = speaks and find_spec("pocketsphinx") is not None
    assert set(figures) == {"recognition_wer", *(["synthesis_wer"] if judged else [])}
    assert replace(samples, tasks=("speech",), speaker=None)(model, 8) == {}
