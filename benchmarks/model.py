"""The model against the bare text model that has as many layers as backbone and adapters together.

    python benchmarks/model.py [train] [generate] [position] [patches] [--threads 1] [--rounds 5] [--hidden 256]

All figures are ratios of one run: both models take turns, round by round, and the medians of the ratios are printed.
Speech is three quarters of the training ids. Memory is the peak of a process of its own for each model, less what it
held before the model was built. On a GPU the same is measured there.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from smoltolk.data.rows.loader import RowCollator
from smoltolk.model.generation.compiled import compiled_decoding
from smoltolk.model.modeling import SmolTolkForCausalLM

NUM_UNITS, SPAN, ADAPTERS = 500, 45, 2
PARTS = ("train", "generate", "position", "patches")


@dataclass(frozen=True)
class Size:
    """What is measured."""

    hidden: int
    layers: int
    vocab: int
    rows: int
    length: int
    bf16: bool

    def llama(self, layers: int) -> LlamaForCausalLM:
        """A text model with random weights."""
        heads = max(1, self.hidden // 64)
        torch.manual_seed(0)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=self.vocab,
                hidden_size=self.hidden,
                intermediate_size=8 * self.hidden // 3 // 32 * 32,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=heads,
                tie_word_embeddings=True,
                max_position_embeddings=4096,
                eos_token_id=0,
            )
        )

    def bare(self) -> LlamaForCausalLM:
        """As many layers as backbone and adapters have."""
        return self.llama(self.layers + 2 * ADAPTERS)

    def smoltolk(self, **settings: int) -> SmolTolkForCausalLM:
        """The paper's model around the smaller one."""
        return SmolTolkForCausalLM.from_text_model(
            self.llama(self.layers), num_units=NUM_UNITS, eos_text_id=0, **settings
        )


def device() -> str:
    """Where it runs."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def finish() -> None:
    """Wait for the GPU."""
    if device() == "cuda":
        torch.cuda.synchronize()


def mixed_ids(size: Size, offset: int) -> torch.Tensor:
    """Runs of speech and of text, three quarters and one quarter, with switches between them."""
    text = torch.randint(0, size.vocab, (size.rows, size.length))
    speech = torch.randint(offset, offset + NUM_UNITS, (size.rows, size.length))
    place = torch.arange(size.length) % (SPAN + SPAN // 3)
    ids = torch.where(place < SPAN // 3, text, speech)
    return ids.masked_fill((place == SPAN // 3) | (place == 0), offset - 1)


def training_step(model: PreTrainedModel, size: Size) -> Callable[[], None]:
    """One optimizer step on the batch that the model's own loader would hand it."""
    if isinstance(model, SmolTolkForCausalLM):
        ids = mixed_ids(size, model.config.speech_offset)
        documents = torch.zeros_like(ids)
        rows = [{"input_ids": i, "labels": i, "document_ids": d} for i, d in zip(ids, documents, strict=True)]
        batch = RowCollator(model.config.id_space)(rows)
        del batch["document_ids"]
    else:
        ids = torch.randint(0, size.vocab, (size.rows, size.length))
        batch = {"input_ids": ids, "labels": ids}
    batch = {name: value.to(device()) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    model.to(device()).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)

    def step() -> None:
        with torch.autocast(device(), torch.bfloat16, enabled=size.bf16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        finish()

    return step


def peak_of(kind: str, size: Size) -> float:
    """MiB that a training of this model takes at most, measured in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    step = training_step(getattr(size, kind)(), size)
    for _ in range(3):
        step()
    if device() == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def in_turns(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, taking turns, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            finish()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(own: list[float], other: list[float]) -> float:
    """Median of the ratios, round by round."""
    return statistics.median(a / b for a, b in zip(own, other, strict=True))


def train(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Speed and memory of a training step."""
    peaks = {}  # first, while this process is small: a child counts what its parent held
    for kind in ("smoltolk", "bare"):
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", kind]
        peaks[kind] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    steps = {kind: training_step(getattr(size, kind)(), size) for kind in ("smoltolk", "bare")}
    seconds = in_turns(steps, arguments.rounds)
    ids = size.rows * size.length
    rates = {kind: f"{ids / statistics.median(times):,.0f} ids/s" for kind, times in seconds.items()}
    speed = ratio(seconds["bare"], seconds["smoltolk"])
    table.add_row("training step, speed", rates["smoltolk"], rates["bare"], f"{speed:.2f}", ">= 1.10")
    table.add_row(
        "training step, peak memory", *(f"{peaks[kind]:,.0f} MiB" for kind in ("smoltolk", "bare")),
        f"{peaks['smoltolk'] / peaks['bare']:.2f}", "<= 0.75",
    )  # fmt: skip


def generator(
    model: PreTrainedModel, batch: int, new: int, prompt: int = 16, static: bool = False, text: bool = False
) -> Callable[[], object]:
    """Greedy generation of exactly ``new`` ids: speech where the model can, or text."""
    speech = isinstance(model, SmolTolkForCausalLM) and not text
    low = model.config.speech_offset if speech else 1
    ids = torch.randint(low, low + NUM_UNITS, (batch, prompt), device=device())
    model.generation_config.eos_token_id = None  # nothing ends before its time; forbidding the end would cost more
    settings = {"max_new_tokens": new, "do_sample": False, "pad_token_id": 0}
    settings |= compiled_decoding(device()) if static else {}
    mask = torch.ones_like(ids)

    def run() -> object:
        with torch.no_grad():
            return model.generate(ids, attention_mask=mask, **settings)

    return run


def generate(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Time per token: eager, with a compiled static cache, and in batches."""
    models = {kind: getattr(size, kind)().to(device()).eval() for kind in ("smoltolk", "bare")}
    new = arguments.new_tokens
    works = {f"{kind} {batch}": generator(models[kind], batch, new) for kind in models for batch in (1, 16)}
    works["smoltolk text"] = generator(models["smoltolk"], 1, new, text=True)
    seconds = in_turns(works, arguments.rounds)
    each = {name: statistics.median(times) / new for name, times in seconds.items()}
    bare = f"{1000 * each['bare 1']:.2f} ms/token"
    for title, own in (("speech", "smoltolk 1"), ("text", "smoltolk text")):
        eager = ratio(seconds[own], seconds["bare 1"])
        table.add_row(
            f"generation of {title}, eager", f"{1000 * each[own]:.2f} ms/token", bare, f"{eager:.2f}", "<= 1.20"
        )
    batched = [16 * ratio(seconds[f"{kind} 1"], seconds[f"{kind} 16"]) for kind in models]
    rates = [f"{16 / each[f'{kind} 16']:,.0f} tokens/s" for kind in models]
    shown = [f"{rate}, x {gain:.1f}" for rate, gain in zip(rates, batched, strict=True)]
    table.add_row("generation, 16 rows against one", *shown, f"{batched[0]:.2f}", ">= 6")
    works = {
        "smoltolk": generator(models["smoltolk"], 1, new, static=True),
        "bare": generator(models["bare"], 1, new, static=True),
        "bare eager": generator(models["bare"], 1, new),
    }  # speech, whose compiled step leaves out the text head
    works["bare"]()  # the first call compiles
    works["smoltolk"]()
    seconds = in_turns(works, arguments.rounds)
    shown = [f"{1000 * statistics.median(seconds[kind]) / new:.2f} ms/token" for kind in models]
    static = ratio(seconds["smoltolk"], seconds["bare eager"])
    table.add_row("generation, static cache compiled, to eager bare", *shown, f"{static:.2f}", "<= 0.50")


def position(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Time per token far from the beginning against near it."""
    model = size.smoltolk().to(device()).eval()
    new = 32
    works = {}
    for start in (100, 1000):
        works[f"{start}"] = generator(model, 1, 1, prompt=start)
        works[f"{start}+"] = generator(model, 1, 1 + new, prompt=start)
    seconds = in_turns(works, arguments.rounds)

    def each(start: int) -> list[float]:
        return [(a - b) / new for a, b in zip(seconds[f"{start}+"], seconds[f"{start}"], strict=True)]

    shown = [f"{1000 * statistics.median(each(start)):.2f} ms/token at {start}" for start in (1000, 100)]
    table.add_row("generation, position 1,000 against 100", *shown, f"{ratio(each(1000), each(100)):.2f}", "<= 1.50")


def patches(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Speed of a training step in which the backbone sees patches of units, and how many positions it sees."""
    models = {number: size.smoltolk(patch_size=number) for number in (1, 2, 4)}
    seen: dict[int, int] = {}

    def count(number: int) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
            seen[number] = kwargs["inputs_embeds"].shape[1]

        return hook

    for number, model in models.items():
        model.backbone.base_model.register_forward_pre_hook(count(number), with_kwargs=True)
    seconds = in_turns({str(number): training_step(model, size) for number, model in models.items()}, arguments.rounds)
    ids = size.rows * size.length
    for number in (2, 4):
        shown = f"{ids / statistics.median(seconds[str(number)]):,.0f} ids/s, {seen[number]} positions of {seen[1]}"
        speed = ratio(seconds["1"], seconds[str(number)])
        table.add_row(f"training step, patches of {number} against single units", shown, "", f"{speed:.2f}", "> 1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    sizes = {"hidden": 256, "layers": 12, "vocab": 49_152, "rows": 4, "length": 512}
    for name, default in {**sizes, "rounds": 5, "threads": 1, "new_tokens": 64}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--bf16", action="store_true", help="autocast in training; default: float32")
    parser.add_argument("--peak-of", choices=["smoltolk", "bare"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size = Size(**{name: getattr(arguments, name) for name in sizes}, bf16=arguments.bf16)
    if arguments.peak_of:
        print(json.dumps(peak_of(arguments.peak_of, size)))
        return
    number = "bf16" if size.bf16 else "fp32"
    title = f"{arguments.threads} threads on {device()}, {size.rows} x {size.length} ids, training in {number}"
    table = Table(title=f"{title}, medians of {arguments.rounds} rounds")
    for column in ("", "SmolTolk", "bare text model", "ratio", "bar"):
        table.add_column(column)
    for part in arguments.parts or PARTS:
        {"train": train, "generate": generate, "position": position, "patches": patches}[part](size, arguments, table)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
