"""Differences are paired by item; seeds are averaged at each item first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_jsonl
from smoltolk.sweeps.experiment import Outcome
from smoltolk.sweeps.measures import difference_between, value_of

SPEECH, FACTS = Outcome("nll:speech"), Outcome("cloze:fact:S->S")


def nats(folder: Path, values: list[float], counts: list[int]) -> Path:
    rows = [{"id": f"u{n}", "nll": v, "count": c} for n, (v, c) in enumerate(zip(values, counts, strict=True))]
    write_jsonl(folder / "speech.jsonl", rows)
    return folder


def answers(folder: Path, margins: list[float]) -> Path:
    """Questions and their mirror images, next to each other."""
    rows = [
        {"id": f"q{n}", "cell": "fact S->S", "shape": "S->S", "question": f"q{n // 2}", "cluster": f"f{n // 2}",
         "rival": f"f{n // 2}", "mirror": f"q{n ^ 1}", "strata": {}, "right": 0, "prompt": "", "options": ["a", "b"],
         "error": None, "before": None, "end": [[[], []]], "nll": [[[5.0], [5.0 + margin]]]}
        for n, margin in enumerate(margins)
    ]  # fmt: skip
    write_jsonl(folder / "world.jsonl", [*rows, {**rows[0], "cell": "fact T->T"}, {**rows[0], "cell": "story S->S"}])
    return folder


def test_a_likelihood_is_of_all_ids_together(tmp_path: Path) -> None:
    found = value_of(SPEECH, nats(tmp_path / "a", [10.0, 60.0, 2.0], [10, 20, 2]), 0)
    assert found["value"] == pytest.approx(72 / 32) and found["low"] < found["value"] < found["high"]


def test_an_utterance_brings_its_ids(tmp_path: Path) -> None:
    """By hand: where all are as likely an id, nothing is left to chance, however long they are."""
    counts = [1, 10, 100, 1000]
    alike = nats(tmp_path / "a", [2.0 * count for count in counts], counts)
    found = value_of(SPEECH, alike, 0)
    assert [found[name] for name in ("value", "low", "high")] == pytest.approx([2.0] * 3)
    # The other one is better by half a nat an id in all, and by chance for none.
    better = nats(tmp_path / "b", [1.5 * count for count in counts], counts)
    found = difference_between(SPEECH, [better], [alike], 0)
    assert [found[name] for name in ("difference", "low", "high")] == pytest.approx([-0.5] * 3)
    # Against a bootstrap of the ratio itself.
    rng = np.random.default_rng(1)
    counts = rng.integers(5, 200, 300)
    nll = counts * rng.normal(2, 0.5, 300)
    found = value_of(SPEECH, nats(tmp_path / "c", list(nll), counts.tolist()), 0)
    drawn = rng.integers(0, 300, (4000, 300))
    low, high = np.quantile(nll[drawn].sum(1) / counts[drawn].sum(1), [0.025, 0.975])
    assert found["high"] - found["low"] == pytest.approx(high - low, rel=0.1)


def test_mirror_images_are_judged_as_pairs(tmp_path: Path) -> None:
    folder = answers(tmp_path / "a", [2.0, -1.0, -3.0, 1.0, 1.0, 1.0])
    found = value_of(FACTS, folder, 0)
    assert (found["value"], found["n"]) == (pytest.approx(2 / 3), 3)


def test_seeds_are_averaged_at_each_item(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    counts = [10] * 40
    base, noise = rng.normal(20, 5, 40), rng.normal(0, 4, 40)
    others = [nats(tmp_path / f"o{seed}", list(base), counts) for seed in range(2)]
    # Each seed moves items far, both together not at all: what is left is exactly one nat an item.
    ones = [nats(tmp_path / f"s{seed}", list(base + 1 + sign * noise), counts) for seed, sign in enumerate((1, -1))]
    found = difference_between(SPEECH, ones, others, 0)
    assert [found[name] for name in ("difference", "low", "high")] == pytest.approx([0.1] * 3)
    assert found["seeds"] == pytest.approx([0.1 + noise.mean() / 10, 0.1 - noise.mean() / 10])
    alone = difference_between(SPEECH, ones[:1], others[:1], 0)
    assert alone["low"] < alone["difference"] < alone["high"]


def test_the_same_answers_differ_by_nothing(tmp_path: Path) -> None:
    one = answers(tmp_path / "a", [1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
    found = difference_between(FACTS, [one], [one], 0)
    assert (found["difference"], found["low"], found["high"], found["seeds"]) == (0, 0, 0, [0])


def test_other_items_are_refused(tmp_path: Path) -> None:
    one, other = nats(tmp_path / "a", [1.0, 2.0], [1, 1]), nats(tmp_path / "b", [1.0, 2.0, 3.0], [1, 1, 1])
    with pytest.raises(InputError, match="same items"):
        difference_between(SPEECH, [one], [other], 0)
