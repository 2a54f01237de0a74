"""Memory and time of scoring: logits of scored ids alone, a few rows at a time, against logits of the whole batch.

    python benchmarks/scoring.py [--vocabulary 128256] [--hidden 256] [--layers 4] [--rounds 3]

Both score the same continuations (half of each of 32 sequences of 128 ids) of a text model, and of a SmolTolk model
around it, in a process of their own. "whole" is what scoring did before: the logits of every position from the first
continuation of the batch on, then float32 rows of them. Printed is what each needed beyond the weights at its highest
(on a CPU the resident memory of the process, on Linux; on a GPU what torch held), the promise, and the time of a pass.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk import Scored, SmolTolkForCausalLM, score
from smoltolk.model.loss import NUMBERS_AT_ONCE

ROWS, LENGTH, MIB = 32, 128, 2**20


def build(kind: str, asked: argparse.Namespace, device: str) -> torch.nn.Module:
    """A random text model, or a SmolTolk model around it."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=asked.vocabulary, hidden_size=asked.hidden, intermediate_size=4 * asked.hidden,
        num_hidden_layers=asked.layers, num_attention_heads=max(1, asked.hidden // 64), eos_token_id=0,
    )  # fmt: skip
    model: torch.nn.Module = LlamaForCausalLM(config)
    if kind == "SmolTolk":
        model = SmolTolkForCausalLM.from_text_model(model, num_units=500)
    return model.eval().to(device)


@torch.inference_mode()
def whole(model: torch.nn.Module, sequences: list[Scored]) -> np.ndarray:
    """NLL of each sequence from the logits of all of the batch from its first continuation on."""
    ids = torch.from_numpy(np.stack([one.ids for one in sequences])).to(next(model.parameters()).device)
    first = min(one.start for one in sequences)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=LENGTH - first + 1).logits
    total = torch.zeros(len(ids), dtype=torch.float64)
    rows = [(row, place) for row, one in enumerate(sequences) for place in range(one.start, LENGTH)]
    for part in (rows[start : start + 64] for start in range(0, len(rows), 64)):
        row, place = (torch.tensor(numbers) for numbers in zip(*part, strict=True))
        picked = logits[row, place - first].float()
        total.index_add_(0, row, F.cross_entropy(picked, ids[row, place], reduction="none").double().cpu())
    return total.numpy()


def measure(kind: str, way: str, asked: argparse.Namespace) -> tuple[float, float, float]:
    """MiB beyond what was held before, seconds of a pass, and the mean score."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(asked.threads)
    model = build(kind, asked, device)
    rng = np.random.default_rng(0)
    starts = rng.integers(LENGTH // 4, 3 * LENGTH // 4, ROWS)
    sequences = [Scored(rng.integers(1, asked.vocabulary, LENGTH), int(start)) for start in starts]
    space = model.config.id_space if kind == "SmolTolk" else None

    def run() -> np.ndarray:
        if way == "whole":
            return whole(model, sequences)
        return score(model, sequences, space=space, batch_tokens=ROWS * LENGTH).nll

    short = [Scored(sequences[0].ids[:4], 3)]
    score(model, short, space=space)  # libraries are loaded, weights are touched
    before = held(device)
    seconds, found = [], np.zeros(0)
    for _ in range(asked.rounds):
        start = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - start)
    return (highest(device) - before) / MIB, statistics.median(seconds), float(found.mean())


def held(device: str) -> float:
    """Bytes in use now; from here on the highest is looked for."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def highest(device: str) -> float:
    """Bytes in use at most since then."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else status("VmHWM")


def status(name: str) -> float:
    """A figure of this process that Linux gives in kB, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def alone(*job: Any) -> tuple[float, float, float]:
    """In a process of its own: peaks do not fall again."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *job).result()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("vocabulary", 128_256), ("hidden", 256), ("layers", 4), ("rounds", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    table = Table("model", "way", "MiB more", "ratio", "seconds", "ratio")
    for kind in ("text model", "SmolTolk"):
        found = {way: alone(kind, way, asked) for way in ("whole", "scored rows")}
        memory, seconds, nll = found["whole"]
        for way, (more, took, mean) in found.items():
            if abs(mean - nll) > 1e-4 * nll:
                raise RuntimeError(f"{way}: {mean}, not {nll}")
            table.add_row(kind, way, f"{more:.0f}", f"{more / memory:.2f}", f"{took:.2f}", f"{took / seconds:.2f}")
    batch = 4 * ROWS * LENGTH * asked.vocabulary / MIB
    promise = 2 * 4 * NUMBERS_AT_ONCE / MIB
    Console().print(
        f"{ROWS} sequences of {LENGTH} ids, {asked.vocabulary:,} ids: all logits are {batch:.0f} MiB; "
        f"the promise is {promise:.0f} MiB of logits and their float32, whatever the batch",
        table,
    )


if __name__ == "__main__":
    main()
