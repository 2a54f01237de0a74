"""Time of `smoltolk evaluate`: questions from items to records, and units that are made or kept.

    python benchmarks/evaluation.py [--hidden 128] [--layers 4] [--rounds 5] [--units DIR]

First table: items of one spoken prompt and four spoken options of 20 to 40 units, put to a random model the whole way
of a task, against feeding every option whole, in turns; CPU seconds, medians. "options alone" is --no-prompts, "with
prompts" keeps the prompts' likelihoods too, so that rules about whole sequences can be worked out later. Second table:
recordings of noise through a unit tokenizer (--units, else none is measured), and again from the cache.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk import SmolTolkForCausalLM, load_unit_tokenizer, save_audio
from smoltolk.evaluation.runs.asking import Asking
from smoltolk.evaluation.runs.feeds import Feed
from smoltolk.evaluation.runs.units_of import EncodedUnits
from smoltolk.evaluation.tasks.items import Item, Segment, SoundFile

NUM_UNITS, OPTIONS = 500, 4


def items_of(prompt: int, count: int) -> list[Item]:
    """Questions behind prompts of so many units."""
    rng = np.random.default_rng(0)

    def spoken(size: int) -> tuple[Segment]:
        return (Segment(units=rng.integers(0, NUM_UNITS, size)),)

    return [
        Item(str(n), "S->S", (spoken(prompt),), tuple(spoken(rng.integers(20, 41)) for _ in range(OPTIONS)))
        for n in range(count)
    ]


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def scoring(asked: argparse.Namespace) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024, hidden_size=asked.hidden, intermediate_size=3 * asked.hidden, num_hidden_layers=asked.layers,
        num_attention_heads=max(1, asked.hidden // 32), eos_token_id=0,
    )  # fmt: skip
    model = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=NUM_UNITS).eval()
    space = model.config.id_space
    print(f"{'prompt':>8}{'whole, s':>12}{'options alone':>16}{'with prompts':>16}")
    for prompt in (50, 200, 400):
        items = items_of(prompt, 24)

        def whole(items: list[Item] = items) -> None:
            with patch("smoltolk.evaluation.scoring.can_go_on", return_value=False):
                Asking(model, None, space, keep_prompts=False).ask(items, Feed())

        ways = (
            whole,
            lambda items=items: Asking(model, None, space, keep_prompts=False).ask(items, Feed()),
            lambda items=items: Asking(model, None, space).ask(items, Feed()),
        )
        times = [[seconds(way) for way in ways] for _ in range(asked.rounds)]
        middle = [statistics.median(column) for column in zip(*times, strict=True)]
        ratios = [statistics.median(row[0] / row[way] for row in times) for way in (1, 2)]
        print(f"{prompt:>8}{middle[0]:>12.2f}{ratios[0]:>14.2f} x{ratios[1]:>14.2f} x")


def units(asked: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        sounds = []
        for number in range(40):
            path = Path(place) / f"{number}.wav"
            save_audio(path, (0.1 * rng.standard_normal(16_000 * 6)).astype(np.float32))
            sounds.append((SoundFile(path, path.stem),))
        cache = Path(place) / "cache"
        tokenizer = load_unit_tokenizer(asked.units)
        first = seconds(lambda: EncodedUnits(tokenizer, cache=cache).of(sounds))
        again = seconds(lambda: EncodedUnits(tokenizer, cache=cache).of(sounds))
        print(f"40 recordings of 6 s: made in {first:.2f} s, kept ones in {again:.3f} s: {first / again:.0f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--units", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    scoring(asked)
    if asked.units is not None:
        units(asked)


if __name__ == "__main__":
    main()
