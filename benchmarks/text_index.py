"""How soon a training on a large text begins, and in how much memory.

    python benchmarks/text_index.py [--megabytes 200] [--words 170] [--long 0.03] [--rows 100]

A text of so many megabytes is made up, documents of about so many words, a share of them ten times as long (they are
cut for rows of 2,048 ids). A process of its own each: the first start makes the index, the second finds it; both go as
far as the first row, then make some more. Printed are seconds, peak memory beyond the imports, and what the second
start would take of the CPU for ten million documents and 10 GB if all of it grew with the text.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from data import VOCABULARY, peak_mb

LENGTH = 2048
WANTED_DOCUMENTS, WANTED_BYTES = 10_000_000, 10e9


def write_text(path: Path, megabytes: float, words: int, long: float) -> int:
    """Documents of made-up words, a line each; returns how many."""
    rng, count = np.random.default_rng(0), 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * 1e6:
            lengths = rng.integers(words // 2, words * 3 // 2, 1000) * np.where(rng.random(1000) < long, 10, 1)
            drawn = rng.integers(len(VOCABULARY), size=int(lengths.sum()))
            ends = np.cumsum(lengths)
            for start, end in zip(ends - lengths, ends, strict=True):
                chosen = [VOCABULARY[k] for k in drawn[start:end]]
                chosen[9::15] = [f"{word}." for word in chosen[9::15]]  # ends of sentences, where documents are cut
                file.write(" ".join(chosen) + "\n")
            count += len(lengths)
    return count


def tokenizer() -> Any:
    """A token for each word, with and without the end of a sentence."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<eos>", *VOCABULARY, *(f"{word}." for word in VOCABULARY)]
    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, "<eos>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>")


def begin(path: str, index: str, rows: int) -> None:
    """What the child process does: as a training begins."""
    from smoltolk.data.rows.inspection import plain_space
    from smoltolk.data.rows.mixture import Stream, Task
    from smoltolk.data.rows.row_source import RowSource
    from smoltolk.data.texts.text_index import WrittenText

    words, before, start, used = tokenizer(), peak_mb(), time.monotonic(), time.process_time()
    text = WrittenText(path, index=index)
    corpus = text.open(words)
    opened = time.monotonic() - start
    source = RowSource([Stream(Task.TEXT, corpus)], plain_space(words, 500), seed=0)
    source.row(0)
    ready, used = time.monotonic() - start, time.process_time() - used
    for number in range(1, rows):
        source.row(number)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rate = (rows - 1) * LENGTH / (time.monotonic() - start - ready)
    figures = {
        "opened": opened,
        "ready": ready,
        "used": used,
        "rate": rate,
        "peak": peak_mb() - before,
        "children": children,
    }
    print(json.dumps(figures))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--words", type=int, default=170)
    parser.add_argument("--long", type=float, default=0.03)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--begin", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.begin:
        begin(*options.begin, options.rows)
        return
    with tempfile.TemporaryDirectory() as directory:
        path, index = Path(directory) / "text.txt", Path(directory) / "index"
        count = write_text(path, options.megabytes, options.words, options.long)
        table = Table(title=f"a text of {path.stat().st_size / 1e6:.0f} MB, {count:,} documents")
        columns = (
            "",
            "index at hand, s",
            "first row, s",
            "of the CPU, s",
            "million ids a second",
            "MB beyond the imports",
        )
        for name in columns:
            table.add_column(name)
        found = {}
        for name in ("first start", "second start"):
            command = [sys.executable, __file__, "--begin", str(path), str(index), "--rows", str(options.rows)]
            child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(child.stdout.splitlines()[-1])
            seconds = [f"{found[key]:.2f}" for key in ("opened", "ready", "used")]
            memory = f"{found['peak']:.0f} (workers {found['children']:.0f})"
            table.add_row(name, *seconds, f"{found['rate'] / 1e6:.2f}", memory)
        taken = sum(file.stat().st_blocks * 512 for file in index.rglob("*.bin")) / path.stat().st_size
        planned = found["used"] * max(WANTED_DOCUMENTS / count, WANTED_BYTES / path.stat().st_size)
    console = Console(width=110)
    console.print(table)
    console.print(f"The index takes {taken:.1f} times the text. Extrapolated to {WANTED_BYTES / 1e9:.0f} GB and"
                  f" {WANTED_DOCUMENTS:,} documents: second start {planned:.0f} s of the CPU")  # fmt: skip


if __name__ == "__main__":
    main()
