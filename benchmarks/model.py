"""The model against the bare text model that has as many layers as backbone and adapters together.

    python benchmarks/model.py [train] [compiled] [generate] [position] [patches] [long] [presets]
        [--device cpu] [--threads 1] [--rounds 5] [--hidden 288] [--heads 9] [--kv-heads 3] ...

All figures are ratios of one run: the models take turns, round by round, and the medians of the ratios are printed. On
a CPU these are seconds of its time, of one thread, which others on the machine disturb least; on a GPU of the clock.
Speech is three quarters of the training ids. Both models attend as they do in training and evaluation: ours in blocks
(see ``smoltolk.model.text_models.attention``), the bare one by ``sdpa``, eager. Memory is the peak of a process of its
own for each model, less what it held before the model was built.

``long`` is a table of its own, rows of 8,192 ids of packed documents and a vocabulary of 128,256. ``presets`` is for
GPUs: the paper's sizes in bfloat16 autocast, with the share of the device's arithmetic that they use.
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
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from smoltolk.data.rows.loader import RowCollator
from smoltolk.model.generation.compiled import compiled_decoding
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.attention import quick_attention

NUM_UNITS, SPAN, ADAPTERS = 500, 45, 2
LONG = {"vocab": 128_256, "rows": 1, "length": 8192, "layers": 4}  # few layers: what is long is measured, not deep
DOCUMENT = 1024  # ids of a packed document there
# The text models of the paper's presets: width, heads, key-value heads, layers, width of the MLP.
PRESETS = {"150m": (576, 9, 3, 30, 1536), "400m": (960, 15, 5, 32, 2560), "2b": (2048, 32, 32, 24, 8192)}
# Dense bfloat16 operations a second, as the makers state them.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}


@dataclass(frozen=True)
class Size:
    """What is measured, and where."""

    hidden: int
    heads: int
    kv_heads: int
    layers: int
    vocab: int
    rows: int
    length: int
    device: str
    bf16: bool = False
    documents: bool = False
    mlp: int | None = None

    def llama(self, layers: int) -> LlamaForCausalLM:
        """A text model with random weights."""
        torch.manual_seed(0)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=self.vocab,
                hidden_size=self.hidden,
                intermediate_size=self.mlp or 8 * self.hidden // 3 // 32 * 32,
                num_hidden_layers=layers,
                num_attention_heads=self.heads,
                num_key_value_heads=self.kv_heads,
                tie_word_embeddings=True,
                max_position_embeddings=32_768,
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

    def clock(self) -> float:
        """Seconds of this process on a CPU, of the clock on a GPU, all work done."""
        if self.device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


def mixed_ids(size: Size, offset: int) -> torch.Tensor:
    """Runs of speech and of text, three quarters and one quarter, with switches between them."""
    text = torch.randint(0, size.vocab, (size.rows, size.length))
    speech = torch.randint(offset, offset + NUM_UNITS, (size.rows, size.length))
    place = torch.arange(size.length) % (SPAN + SPAN // 3)
    ids = torch.where(place < SPAN // 3, text, speech)
    return ids.masked_fill((place == SPAN // 3) | (place == 0), offset - 1)


def training_batch(model: PreTrainedModel, size: Size) -> dict[str, torch.Tensor]:
    """The batch that the model's own loader would hand it."""
    documents = (torch.arange(size.length) // (DOCUMENT if size.documents else size.length)).expand(size.rows, -1)
    if isinstance(model, SmolTolkForCausalLM):
        ids = mixed_ids(size, model.config.speech_offset)
        rows = [{"input_ids": i, "labels": i, "document_ids": d} for i, d in zip(ids, documents, strict=True)]
        batch = RowCollator(model.config.id_space)(rows)
        if not size.documents:
            del batch["document_ids"]
    else:
        ids = torch.randint(0, size.vocab, (size.rows, size.length))
        batch = {"input_ids": ids, "labels": ids}
        if size.documents:
            batch["position_ids"] = torch.arange(size.length).expand(size.rows, -1) % DOCUMENT
    return {name: v.to(size.device) if isinstance(v, torch.Tensor) else v for name, v in batch.items()}


def training_step(model: PreTrainedModel, size: Size, compiled: bool = False) -> Callable[[], None]:
    """One optimizer step, as ``smoltolk train`` makes it."""
    batch = training_batch(model, size)
    model.to(size.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    called = torch.compile(model) if compiled else model
    attention = quick_attention if isinstance(model, SmolTolkForCausalLM) else nullcontext

    def step() -> None:
        with attention(model), torch.autocast(size.device, torch.bfloat16, enabled=size.bf16):
            loss = called(**batch, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def peak_of(kind: str, size: Size) -> float:
    """MiB that a training of this model takes at most, measured in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    step = training_step(getattr(size, kind)(), size)
    for _ in range(1 if size.documents else 3):
        step()
    if size.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def peaks_of(parts: list[str]) -> dict[tuple[str, bool, int | None], float]:
    """All that the parts need, before this process grows: a child counts what its parent held."""
    wanted = [(kind, bf16, None) for bf16 in (False, True) for kind in ("smoltolk", "bare")] if "train" in parts else []
    wanted += [("smoltolk", True, length) for length in (LONG["length"], 4 * LONG["length"]) if "long" in parts]
    found = {}
    for kind, bf16, length in wanted:
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", kind, "--no-bf16" if not bf16 else "--bf16"]
        command += [] if length is None else ["--long", str(length)]
        found[kind, bf16, length] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def in_turns(works: dict[str, Callable[[], object]], rounds: int, size: Size) -> dict[str, list[float]]:
    """Seconds of each, taking turns, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = size.clock()
            work()
            if number:
                seconds[name].append(size.clock() - start)
    return seconds


def ratio(own: list[float], other: list[float]) -> float:
    """Median of the ratios, round by round."""
    return statistics.median(a / b for a, b in zip(own, other, strict=True))


def row(table: Table, title: str, own: list[float], other: list[float], goal: str, per: float = 1.0) -> None:
    """A line of the table: seconds of both, and how ours stand to the others'."""
    shown = [f"{1000 * statistics.median(seconds) / per:,.2f} ms" for seconds in (own, other)]
    table.add_row(title, *shown, f"{ratio(own, other):.3f}", goal)


def train(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Speed and memory of a training step, in float32 and in bfloat16 autocast."""
    for bf16, goal in ((False, "<= 0.60"), (True, "<= 0.57")):
        works = {kind: training_step(getattr(size, kind)(), replace(size, bf16=bf16)) for kind in ("smoltolk", "bare")}
        seconds = in_turns(works, arguments.rounds, size)
        title = f"training step, {'bf16' if bf16 else 'fp32'}"
        row(table, title, seconds["smoltolk"], seconds["bare"], goal)
        peaks = {kind: arguments.peaks[kind, bf16, None] for kind in ("smoltolk", "bare")}
        shown = [f"{peak:,.0f} MiB" for peak in peaks.values()]
        share = f"{peaks['smoltolk'] / peaks['bare']:.3f}"
        table.add_row(f"{title}, peak memory", *shown, share, "<= 0.62" if not bf16 else "")


def compiled(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """The compiled step against the eager one."""
    for bf16 in (False, True):
        here = replace(size, bf16=bf16)
        works = {"compiled": training_step(size.smoltolk(), here, True), "eager": training_step(size.smoltolk(), here)}
        works["compiled"]()  # compiles
        seconds = in_turns(works, arguments.rounds, size)
        title = f"training step, {'bf16' if bf16 else 'fp32'}, compiled to own eager"
        row(table, title, seconds["compiled"], seconds["eager"], "<= 1.0")
        torch._dynamo.reset()


def generator(
    model: PreTrainedModel, size: Size, batch: int, new: int, prompt: int = 16, static: bool = False, text: bool = False
) -> Callable[[], object]:
    """Greedy generation of exactly ``new`` ids: speech where the model can, or text."""
    speech = isinstance(model, SmolTolkForCausalLM) and not text
    low = model.config.speech_offset if speech else 1
    ids = torch.randint(low, low + NUM_UNITS, (batch, prompt), device=size.device)
    model.generation_config.eos_token_id = None  # nothing ends before its time; forbidding the end would cost more
    settings = {"max_new_tokens": new, "do_sample": False, "pad_token_id": 0}
    settings |= compiled_decoding(size.device) if static else {}
    mask = torch.ones_like(ids)

    def run() -> object:
        with torch.no_grad():
            return model.generate(ids, attention_mask=mask, **settings)

    return run


def generate(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Time per token: eager, with a compiled static cache, and in batches."""
    models = {kind: getattr(size, kind)().to(size.device).eval() for kind in ("smoltolk", "bare")}
    new = arguments.new_tokens
    works = {f"{kind} {batch}": generator(models[kind], size, batch, new) for kind in models for batch in (1, 16)}
    works["text"] = generator(models["smoltolk"], size, 1, new, text=True)
    for batch in (1, 16):
        works[f"compiled {batch}"] = generator(models["smoltolk"], size, batch, new, static=True)
        works[f"compiled {batch}"]()  # the first call compiles
    seconds = in_turns(works, arguments.rounds, size)
    row(table, "generation of speech, batch 1, a token", seconds["smoltolk 1"], seconds["bare 1"], "<= 0.64", new)
    row(table, "the same, compiled to eager bare", seconds["compiled 1"], seconds["bare 1"], "<= 0.50", new)
    row(table, "generation of text, batch 1, a token", seconds["text"], seconds["bare 1"], "<= 1.20", new)
    row(table, "generation of speech, batch 16, a step", seconds["smoltolk 16"], seconds["bare 16"], "", new)
    row(table, "batch 16, compiled to own eager", seconds["compiled 16"], seconds["smoltolk 16"], "<= 0.95", new)
    faster = 16 * ratio(seconds["smoltolk 1"], seconds["smoltolk 16"])
    table.add_row("tokens a second, batch 16 to batch 1", "", "", f"{faster:.2f}", ">= 6")


def position(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Time per token far from the beginning against near it."""
    model = size.smoltolk().to(size.device).eval()
    new = 32
    works = {}
    for start in (100, 1000):
        works[f"{start}"] = generator(model, size, 1, 1, prompt=start)
        works[f"{start}+"] = generator(model, size, 1, 1 + new, prompt=start)
    seconds = in_turns(works, arguments.rounds, size)

    def each(start: int) -> list[float]:
        return [a - b for a, b in zip(seconds[f"{start}+"], seconds[f"{start}"], strict=True)]

    row(table, "generation, position 1,000 against 100", each(1000), each(100), "<= 1.50", new)


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
    works = {str(number): training_step(model, size) for number, model in models.items()}
    seconds = in_turns(works, arguments.rounds, size)
    for number in (2, 4):
        title = f"training step, patches of {number} to single units ({seen[number]} positions of {seen[1]})"
        row(table, title, seconds[str(number)], seconds["1"], "< 1")


def long(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Rows of 8k ids of packed documents, a large vocabulary: a table of its own."""
    size = replace(size, **LONG, documents=True)
    table.add_section()
    for bf16 in (False, True):
        here = replace(size, bf16=bf16)
        name = "bf16" if bf16 else "fp32"
        works = {kind: training_step(getattr(size, kind)(), here) for kind in ("smoltolk", "bare")}
        seconds = in_turns(works, arguments.rounds, size)
        row(table, f"{size.length:,}-id row, V = {size.vocab:,}, {name}", seconds["smoltolk"], seconds["bare"], "")
    peaks = {length: arguments.peaks["smoltolk", True, length] for length in (size.length, 4 * size.length)}
    (short, few), (far, most) = peaks.items()
    title = f"peak memory, bf16, {far:,} ids to {short:,}"
    table.add_row(title, f"{most:,.0f} MiB", f"{few:,.0f} MiB", f"{most / few:.2f}", "<= 4")


def presets(size: Size, arguments: argparse.Namespace, table: Table) -> None:
    """Training of the paper's sizes on a GPU: ids a second and the share of its arithmetic; generation, ids a second.

    Work is counted as 6 operations a parameter and position that reads it, and those of attention: nothing that is
    computed twice counts twice.
    """
    peak = next((rate for name, rate in PEAKS.items() if name in torch.cuda.get_device_name()), None)
    for name, (hidden, heads, kv_heads, layers, mlp) in PRESETS.items():
        here = Size(hidden, heads, kv_heads, layers, 49_152, 8, 2048, size.device, True, mlp=mlp)
        model = here.smoltolk()
        batch = training_batch(model, here)
        spoken = int((batch["input_ids"] >= model.config.speech_offset).sum())
        seconds = statistics.median(in_turns({name: training_step(model, here)}, arguments.rounds, size)[name])
        block = sum(parameter.numel() for parameter in model.late_fission.adapter.parameters()) / ADAPTERS
        ids = here.rows * here.length
        read = block * (ids * (layers + ADAPTERS) + spoken * ADAPTERS)
        read += hidden * (here.vocab * (ids - spoken) + NUM_UNITS * spoken)
        attended = (layers + ADAPTERS) * ids * here.length * hidden + ADAPTERS * spoken * SPAN * hidden
        share = "" if peak is None else f"{6 * (read + attended) / seconds / peak:.1%}"
        table.add_row(f"{name}, training", f"{ids / seconds:,.0f} ids/s", "", share, "> 50%")
        model.eval().to(torch.bfloat16)
        for rows in (1, 16, 64):
            for static in (False, True):
                work = generator(model, here, rows, 256, static=static)
                took = statistics.median(in_turns({"": work}, 3, size)[""])
                how = "compiled" if static else "eager"
                table.add_row(f"{name}, speech, batch {rows}, {how}", f"{256 * rows / took:,.0f} ids/s", "", "", "")
        del model
        torch.cuda.empty_cache()


PARTS = {
    "train": train, "compiled": compiled, "generate": generate, "position": position, "patches": patches, "long": long,
    "presets": presets,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all but presets")
    sizes = {"hidden": 288, "heads": 9, "kv_heads": 3, "layers": 12, "vocab": 49_155, "rows": 4, "length": 512}
    for name, default in {**sizes, "rounds": 5, "threads": 1, "new_tokens": 64}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="autocast in the parts patches and position",
    )
    parser.add_argument("--peak-of", choices=["smoltolk", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--long", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size = Size(**{name: getattr(arguments, name) for name in (*sizes, "device", "bf16")})
    if arguments.long:
        size = replace(size, **LONG | {"length": arguments.long}, documents=True)
    if arguments.peak_of:
        print(json.dumps(peak_of(arguments.peak_of, size)))
        return
    title = f"{arguments.threads} threads on {size.device}, {size.rows} x {size.length} ids, {size.hidden} wide"
    table = Table(title=f"{title}, {size.layers} + 2 x {ADAPTERS} layers, medians of {arguments.rounds} rounds")
    for column in ("", "SmolTolk", "bare text model, or as said", "ratio", "goal"):
        table.add_column(column)
    parts = arguments.parts or [name for name in PARTS if name != "presets"]
    arguments.peaks = peaks_of(parts)
    for part in parts:
        PARTS[part](size, arguments, table)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
