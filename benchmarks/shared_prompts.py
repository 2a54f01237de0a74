"""Time of scoring where several continuations share a prompt, and of many short items at once.

    python benchmarks/shared_prompts.py [--hidden 128] [--layers 4] [--rounds 7] [--grid]

Both ways of a row score the same items, in turns, and must give the same scores: "whole" is scoring without shared
prompts, "one by one" a call of ``score`` for each item. Times are CPU seconds of this process; printed are medians over
the rounds, and the median of the ratios. The goals: four continuations of a spoken prompt at 1.8 times the rate of
scoring each whole, 32 short items at 5 times the rate of one by one.

``--grid`` measures the rule that decides what is shared: few and many questions, 2, 4 and 8 continuations, prompts of
several lengths, shared whatever they spare, and beside it what the rule does.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from smoltolk import Scored, SmolTolkForCausalLM, score
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.shared_prompts import in_portions
from smoltolk.training.systems import EARLY_FUSION

NUM_UNITS, VOCABULARY, LONGEST = 500, 1024, 40  # LONGEST: ids of a continuation
KINDS = {"late": {}, "early": EARLY_FUSION, "text": None}


def build(kind: str, asked: argparse.Namespace) -> PreTrainedModel:
    """A random model: late or early fusion, or the text model alone."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=asked.hidden, intermediate_size=3 * asked.hidden,
        num_hidden_layers=asked.layers, num_attention_heads=max(1, asked.hidden // 32), eos_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    if KINDS[kind] is not None:
        model = SmolTolkForCausalLM.from_text_model(model, num_units=NUM_UNITS, **KINDS[kind])
    return model.eval()


def questions(model: PreTrainedModel, prompts: Sequence[int], continuations: int, way: str = "S->S") -> list[Scored]:
    """Sequences: behind a prompt of each length so many continuations, of half of LONGEST ids up to all of them."""
    rng, found = np.random.default_rng(0), []
    for length in prompts:
        before = rng.integers(1, NUM_UNITS, length)
        for _ in range(continuations):
            behind = rng.integers(1, NUM_UNITS, rng.integers(LONGEST // 2, LONGEST + 1))
            if isinstance(model, SmolTolkForCausalLM):
                space = model.config.id_space
                document = Document(space)
                document = document.speech(before) if way[0] == "S" else document.text(before)
                document = document.switch() if way[0] != way[-1] else document
                start = len(document)
                document = document.speech(behind) if way[-1] == "S" else document.text(behind)
                found.append(Scored(document.input_ids, start))
            else:
                found.append(Scored(np.concatenate([[0], before, behind]), length + 1))
    return found


def nll(model: PreTrainedModel, items: Sequence[Scored]) -> np.ndarray:
    """What ``score`` does without asking."""
    return score(model, items, space=model.config.id_space if isinstance(model, SmolTolkForCausalLM) else None).nll


def whole(model: PreTrainedModel, items: Sequence[Scored]) -> np.ndarray:
    """Without shared prompts."""
    with patch("smoltolk.evaluation.scoring.can_go_on", return_value=False):
        return nll(model, items)


def always(model: PreTrainedModel, items: Sequence[Scored]) -> np.ndarray:
    """With shared prompts, however little they spare."""
    with patch.dict("smoltolk.evaluation.shared_prompts.CALLS", cpu=0):
        return nll(model, items)


def one_by_one(model: PreTrainedModel, items: Sequence[Scored]) -> np.ndarray:
    """A call for each item."""
    return np.concatenate([nll(model, [item]) for item in items])


Way = Callable[[PreTrainedModel, Sequence[Scored]], np.ndarray]


def in_turns(model: PreTrainedModel, items: Sequence[Scored], ways: Sequence[Way], rounds: int) -> list[list[float]]:
    """CPU seconds of each way in each round, behind one that does not count."""
    expected, seconds = ways[0](model, items), [[] for _ in ways]
    for _ in range(rounds + 1):
        for way, took in zip(ways, seconds, strict=True):
            start = time.process_time()
            found = way(model, items)
            took.append(time.process_time() - start)
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    return [took[1:] for took in seconds]


def rates(asked: argparse.Namespace) -> Table:
    """The goals, and what else shares its prompts."""
    rng = np.random.default_rng(1)
    prompts = rng.integers(80, 121, 48)
    table = Table("model", "items", "way", "items/s", "ratio", "goal")
    for kind, way, number in (
        ("late", "S->S", 4), ("late", "T->S", 4), ("late", "S->T", 4), ("late", "S->S", 2), ("early", "S->S", 4),
        ("text", "T->T", 4),
    ):  # fmt: skip
        model = build(kind, asked)
        items = questions(model, prompts, number, way)
        goal = "1.8" if (kind, way, number) == ("late", "S->S", 4) else ""
        what = f"{len(prompts)} prompts, {number} continuations, {way}"
        add(table, (kind, what, goal), items, in_turns(model, items, (whole, nll), asked.rounds), ("whole", "shared"))
    model = build("late", asked)
    short = questions(model, rng.integers(4, 12, 32), 1)
    short = [Scored(one.ids[: one.start + 8], one.start) for one in short]
    seconds = in_turns(model, short, (one_by_one, nll), asked.rounds)
    add(table, ("late", "32 short items", "5"), short, seconds, ("one by one", "at once"))
    return table


def add(
    table: Table, row: tuple[str, str, str], items: Sequence[Scored], seconds: list[list[float]], ways: tuple
) -> None:
    """Two lines."""
    kind, what, goal = row
    first, second = (len(items) / statistics.median(took) for took in seconds)
    ratio = statistics.median(one / other for one, other in zip(*seconds, strict=True))
    table.add_row(kind, what, ways[0], f"{first:.0f}", "", "")
    table.add_row("", "", ways[1], f"{second:.0f}", f"{ratio:.2f}", goal)


def grid(asked: argparse.Namespace) -> Table:
    """How much sharing gains, and whether the rule shares."""
    table = Table("model", "questions", "continuations", *[f"prompts of {length}" for length in (8, 16, 32, 64, 128)])
    for kind in ("late", "early", "text"):
        model = build(kind, asked)
        for number in (2, 8, 64):
            for continuations in (2, 4, 8):
                cells = []
                for length in (8, 16, 32, 64, 128):
                    items = questions(model, [length] * number, continuations)
                    first, second = in_turns(model, items, (whole, always), asked.rounds)
                    ratio = statistics.median(one / other for one, other in zip(first, second, strict=True))
                    shared = any(portion.length for portion in in_portions(items, 4096))
                    cells.append(f"{ratio:.2f} {'shared' if shared else '-'}")
                table.add_row(kind, str(number), str(continuations), *cells)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("hidden", 128), ("layers", 4), ("rounds", 7), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--grid", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    Console().print((grid if asked.grid else rates)(asked))


if __name__ == "__main__":
    main()
