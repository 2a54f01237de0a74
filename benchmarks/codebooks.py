"""Eight codebooks a frame at one position each, against the same sound laid out flat, one id for each unit.

    python benchmarks/codebooks.py [--threads 1] [--rounds 3] [--hidden 256] [--layers 12] [--seconds 10]

Sound of a codec like Mimi: 12.5 frames a second of 8 units of 2,048. Both models have one backbone's size and take
turns, round by round; the medians of the ratios are printed. On a GPU the same is measured there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.data.rows.documents import Document
from smoltolk.model.modeling import SmolTolkForCausalLM

FRAME_RATE, NUM_CODEBOOKS, NUM_UNITS, TEXT_IDS, ROWS = 12.5, 8, 2048, 4096, 4
Batch = dict[str, Tensor]


def build(hidden: int, layers: int, device: str, **settings: int) -> SmolTolkForCausalLM:
    """The paper's model around a random text model."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=TEXT_IDS,
        hidden_size=hidden,
        intermediate_size=8 * hidden // 3 // 32 * 32,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 64),
        max_position_embeddings=16_384,
        eos_token_id=0,
    )
    return SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), **settings).to(device)


def batches(models: dict[str, SmolTolkForCausalLM], seconds: float, device: str) -> dict[str, Batch]:
    """The same sound for both."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, NUM_UNITS, (ROWS, int(seconds * FRAME_RATE), NUM_CODEBOOKS))
    found = {}
    for name, model in models.items():
        space = model.config.id_space
        flat = frames + NUM_UNITS * np.arange(NUM_CODEBOOKS)  # each codebook has ids of its own
        rows = [Document(space).speech(one if space.num_codebooks > 1 else one.ravel()).end() for one in
                (frames if space.num_codebooks > 1 else flat)]  # fmt: skip
        batch = {"input_ids": np.stack([row.input_ids for row in rows])}
        if space.num_codebooks > 1:
            batch["codes"] = np.stack([row.codes for row in rows])
        found[name] = {key: torch.from_numpy(value).to(device) for key, value in batch.items()}
        found[name]["labels"] = found[name]["input_ids"]
    return found


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds of one call."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def train_step(model: SmolTolkForCausalLM, batch: Batch) -> None:
    """Forward and backward."""
    model.train().zero_grad()
    model(**batch).loss.backward()


def speak(model: SmolTolkForCausalLM, num_frames: int, device: str) -> None:
    """Greedy, all codebooks of as many frames."""
    model.eval()
    space = model.config.id_space
    several = space.num_codebooks > 1
    length = num_frames + space.tail if several else num_frames * NUM_CODEBOOKS
    prompt = torch.full((1, 1), space.eos_speech, device=device)
    found = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), min_new_tokens=length, max_new_tokens=length, do_sample=False,
        eos_token_id=space.eos_speech, pad_token_id=0, return_dict_in_generate=True,
    )  # fmt: skip
    if found.sequences.shape[1] != length + 1:
        raise RuntimeError("the model ended early")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("threads", 1), ("rounds", 3), ("hidden", 256), ("layers", 12), ("seconds", 10)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = {
        "delayed": build(
            asked.hidden, asked.layers, device, num_units=NUM_UNITS, num_codebooks=NUM_CODEBOOKS, eos_text_id=0
        ),
        "flat": build(asked.hidden, asked.layers, device, num_units=NUM_UNITS * NUM_CODEBOOKS, eos_text_id=0),
    }
    sound = batches(models, asked.seconds, device)
    num_frames = int(asked.seconds * FRAME_RATE)
    works: dict[str, Callable[[str], object]] = {
        "training": lambda name: train_step(models[name], sound[name]),
        "speaking": lambda name: speak(models[name], num_frames, device),
    }
    table = Table("", "delayed, x real time", "flat, x real time", "delayed / flat")
    for what, work in works.items():
        said = asked.seconds * (ROWS if what == "training" else 1)
        rates: dict[str, list[float]] = {name: [] for name in models}
        for turn in range(asked.rounds + 1):
            for name in models:
                rate = said / timed(lambda name=name, work=work: work(name), device)  # type: ignore[misc]
                if turn:  # the first round warms up
                    rates[name].append(rate)
        ratio = statistics.median(a / b for a, b in zip(rates["delayed"], rates["flat"], strict=True))
        medians = [statistics.median(rates[name]) for name in models]
        table.add_row(what, f"{medians[0]:.2f}", f"{medians[1]:.2f}", f"{ratio:.2f}")
    Console().print(f"{num_frames} frames of {NUM_CODEBOOKS} codebooks, {device}, {asked.threads} thread(s)", table)


if __name__ == "__main__":
    main()
