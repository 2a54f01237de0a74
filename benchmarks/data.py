"""Rows a second, memory of a large index, and where `prepare` spends its time.

    python benchmarks/data.py [rows] [start] [memory] [prepare] [--rounds 5] [--rows 300] [--utterances 10000000]
        [--shard-utterances 30000] [--corpus DIR --units DIR]

rows: interleaved rows of 2,048 ids on one core, beside a loader that walks word by word in Python, as the published
ones do: both take turns, medians are printed. start: shards are opened for training, into memory, by making an index,
and from that index, and rows are made of both; a process of its own each, with its peak of memory. memory: an index of
so many made-up utterances is written, then opened by a process of its own that plans rows and makes some; peak of its
memory, with and without what its imports took. prepare: the share of the time in the encoder, on a corpus and units of
yours, or else on made-up recordings with an encoder of the size of HuBERT base (random weights: the time is the same).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.disk_corpus import DiskCorpus, IndexWriter
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.row_source import RowSource
from smoltolk.model.ids import IdSpace

PARTS = ("rows", "start", "memory", "prepare")
LENGTH, NUM_UNITS, FRAME_RATE = 2048, 500, 25.0
VOCABULARY = [f"word{number}" for number in range(5000)]


def tokenizer() -> Any:
    """A token for each word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(["<eos>", *VOCABULARY])}, "<eos>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>")


class MadeSpeech:
    """Utterances of 20 to 60 words, 0.3 s and about 4 units each (12 units a second, as 25 Hz units have)."""

    def __init__(self, count: int, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.items = [self._make() for _ in range(count)]

    def _make(self) -> tuple[str, list[str], np.ndarray, np.ndarray, np.ndarray]:
        words = [VOCABULARY[k] for k in self.rng.integers(len(VOCABULARY), size=self.rng.integers(20, 61))]
        ends = np.cumsum(self.rng.uniform(0.15, 0.45, len(words)))
        durations = self.rng.integers(1, 4, size=int(ends[-1] * FRAME_RATE / 2))
        return " ".join(words), words, ends, self.rng.integers(0, NUM_UNITS, len(durations)), durations

    def __len__(self) -> int:
        return len(self.items)

    def text(self, index: int) -> str:
        return self.items[index][0]

    def words(self, index: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        _, words, ends, _, _ = self.items[index]
        return words, ends, ends

    def units(self, index: int) -> np.ndarray:
        return self.items[index][3]

    def durations(self, index: int) -> np.ndarray:
        return self.items[index][4]


class WordByWord:
    """The usual way: words are looked at one after another, their frames are turned into units through a table.

    Args:
        speech: utterances.
        tokens: of each utterance, the token ids of each word.
        space: the id space.
    """

    def __init__(self, speech: MadeSpeech, tokens: list[list[list[int]]], space: IdSpace, spans: SpanLengths):
        self.speech, self.tokens, self.space, self.spans = speech, tokens, space, spans
        self.unit_of_frame = [np.repeat(np.arange(len(item[4])), item[4]) for item in speech.items]

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and labels of a row, int64 ``[T]`` each."""
        rng = np.random.default_rng(index)
        ids, labels = np.zeros(LENGTH, np.int64), np.full(LENGTH, -100, np.int64)
        filled = 0

        def put(piece: Any, predicted: bool = True) -> None:
            nonlocal filled
            size = min(len(piece), LENGTH - filled)
            ids[filled : filled + size] = piece[:size]
            if predicted:
                labels[filled : filled + size] = piece[:size]
            filled += size

        while filled < LENGTH:
            utterance = int(rng.integers(len(self.speech)))
            _, words, ends, units, _ = self.speech.items[utterance]
            frames, spoken = self.unit_of_frame[utterance], bool(rng.integers(2))
            left, word, before = 0, 0, 0
            while word < len(words) and filled < LENGTH:
                if left == 0:
                    low, high = self.spans.speech if spoken else self.spans.text
                    left = int(rng.integers(low, high + 1))
                frame = min(int(ends[word] * FRAME_RATE), len(frames) - 1)
                after = int(frames[frame]) if word < len(words) - 1 else len(units)
                if spoken:
                    put(units[before:after] + self.space.speech_offset)
                else:
                    put(self.tokens[utterance][word])
                before, word, left = after, word + 1, left - 1
                if left == 0 and word < len(words):
                    put([self.space.switch], predicted=False)
                    spoken = not spoken
            put([self.space.eos_speech if spoken else self.space.eos_text])
        return ids, labels


def rate(make: Callable[[int], Any], rows: int, start: int) -> float:
    """Ids a second of CPU."""
    begin = time.process_time()
    for index in range(start, start + rows):
        make(index)
    return rows * LENGTH / (time.process_time() - begin)


def measure_rows(console: Console, rounds: int, rows: int) -> None:
    """Both ways in turn."""
    from smoltolk.data.rows.inspection import plain_space

    speech, words = MadeSpeech(2000), tokenizer()
    space, spans = plain_space(words, NUM_UNITS), SpanLengths()
    corpus = AlignedCorpus(speech, words, FRAME_RATE)
    source = RowSource([Stream(Task.INTERLEAVED, corpus)], space, seed=0)
    tokens = [[words(word)["input_ids"] for word in item[1]] for item in speech.items]
    plain = WordByWord(speech, tokens, space, spans)
    ours, disk, theirs = [], [], []
    directory = tempfile.TemporaryDirectory()
    with IndexWriter(Path(directory.name)) as writer:
        writer.add(corpus.parts())
    stored = RowSource([Stream(Task.INTERLEAVED, DiskCorpus(directory.name, words))], space, seed=0)
    for number in range(rounds):
        ours.append(rate(source.row, rows, number * rows))
        disk.append(rate(stored.row, rows, number * rows))
        theirs.append(rate(plain.row, max(1, rows // 4), number * rows))
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    table = Table(title=f"interleaved rows of {LENGTH:,} ids, one core, median of {rounds} [lowest, highest]")
    for name in ("", "million ids a second"):
        table.add_column(name)
    for name, values in (("rows of smoltolk", ours), ("... from an index on disk", disk), ("word by word", theirs)):
        low, middle, high = (value / 1e6 for value in (min(values), statistics.median(values), max(values)))
        table.add_row(name, f"{middle:.2f} \\[{low:.2f}, {high:.2f}]")
    directory.cleanup()
    table.add_row("ratio of the first to the last", f"{statistics.median(ratios):.1f} times")
    console.print(table)


def write_made_shards(directory: Path, count: int) -> None:
    """Shards of 10,000 utterances of :class:`MadeSpeech`."""
    from smoltolk.data.shards.parquet import ShardWriter
    from smoltolk.data.shards.unit_corpus import ShardMetadata, UnitUtterance
    from smoltolk.speech.segments import Segment

    metadata, per_part = ShardMetadata(FRAME_RATE, "00" * 32, NUM_UNITS), 10_000
    for part, first in enumerate(range(0, count, per_part)):
        speech = MadeSpeech(min(per_part, count - first), seed=part)
        with ShardWriter(directory / f"part-{part:05d}.parquet", metadata) as writer:
            for number, (text, words, ends, units, durations) in enumerate(speech.items):
                seconds = float(durations.sum()) / FRAME_RATE
                times = np.minimum(ends, seconds)
                spoken = zip(words, [0.0, *times[:-1].tolist()], times.tolist(), strict=True)
                segments = tuple(Segment(word, start, end) for word, start, end in spoken)
                name = f"{part}-{number}"
                writer.add(UnitUtterance(name, text, segments, units, durations, "s", "en", "made", seconds))


def open_shards(directory: str, index: str | None, rows: int) -> None:
    """What the child process does: ready for the first row, as a training is."""
    from smoltolk.data.rows.index import aligned_shards
    from smoltolk.data.rows.inspection import plain_space
    from smoltolk.data.shards.shard_set import look_over

    words, before, start = tokenizer(), peak_mb(), time.monotonic()
    held = look_over(directory)
    looked = time.monotonic() - start
    corpus = aligned_shards(held, words, index=index)
    source = RowSource([Stream(Task.INTERLEAVED, corpus)], plain_space(words, NUM_UNITS), seed=0)
    source.row(0)
    ready = time.monotonic() - start
    speed = rate(source.row, rows, 0)
    print(json.dumps({"looked": looked, "ready": ready, "rate": speed, "peak": peak_mb() - before}))


def measure_start(console: Console, utterances: int, rows: int) -> None:
    """The same shards three ways."""
    with tempfile.TemporaryDirectory() as directory:
        shards, index = Path(directory) / "shards", Path(directory) / "index"
        write_made_shards(shards, utterances)
        size = sum(path.stat().st_size for path in shards.iterdir())
        table = Table(title=f"shards of {utterances:,} utterances, {size / 1e6:.0f} MB, ready for the first row")
        for name in ("", "looked over, s", "ready, s", "million ids a second", "MB beyond the imports"):
            table.add_column(name)
        for name, index_ in (("into memory", None), ("making an index", index), ("from the index", index)):
            command = [sys.executable, __file__, "--shards", str(shards), "--rows", str(rows)]
            command += [] if index_ is None else ["--index", str(index_)]
            child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(child.stdout.splitlines()[-1])
            table.add_row(name, f"{found['looked']:.2f}", f"{found['ready']:.2f}", f"{found['rate'] / 1e6:.2f}",
                          f"{found['peak']:.0f}")  # fmt: skip
        stored = sum(path.stat().st_size for path in index.rglob("*.bin"))
    console.print(table)
    console.print(f"index: {stored / 1e6:.0f} MB")


class Pattern:
    """The parts of an index of equal utterances: 20 words, 20 tokens and 80 units each."""

    WORDS, UNITS = 20, 80

    def __init__(self, count: int):
        self.count = count

    def parts(self) -> dict[str, np.ndarray]:
        """As :meth:`smoltolk.data.rows.aligned.AlignedCorpus.parts`."""
        text = np.frombuffer(" ".join(VOCABULARY[: self.WORDS]).encode(), np.uint8)
        stops = np.arange(1, self.WORDS + 1)
        each = {
            "tokens": stops,
            "token_stops": stops,
            "unit_stops": stops * (self.UNITS // self.WORDS),
            "char_stops": stops * 6,
            "closes_sentence": stops == self.WORDS,
            "units": np.arange(self.UNITS) % NUM_UNITS,
            "text": text,
        }
        lengths = {"word": self.WORDS, "token": self.WORDS, "unit": self.UNITS, "text": len(text)}
        return (
            {name: np.tile(value, self.count) for name, value in each.items()}
            | {f"{name}_offsets": np.arange(self.count + 1) * length for name, length in lengths.items()}
            | {"num_tokens": np.full(self.count, self.WORDS), "num_units": np.full(self.count, self.UNITS)}
            | {"has_words": np.ones(self.count, bool)}
        )


def peak_mb() -> float:
    """Most memory this process has held, pages of mapped files included."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would begin with the peak of the parent
        return int(re.findall(r"VmHWM:\s*(\d+) kB", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / (1024 if sys.platform == "darwin" else 1)


def open_index(directory: str) -> None:
    """What the child process does."""
    before, start = peak_mb(), time.monotonic()
    corpus = DiskCorpus(directory, None)  # interleaving needs no tokenizer, and transformers no memory here
    size = len(VOCABULARY) + 1
    space = IdSpace(size + 3, NUM_UNITS, begin_prompt=size, end_prompt=size + 1, switch=size + 2, eos_text=0)
    source = RowSource([Stream(Task.INTERLEAVED, corpus)], space, seed=0)
    planned, seconds = peak_mb(), time.monotonic() - start
    for index in range(100):
        source.row(index)
    rows, after = sum(plan.num_rows for plan in source.plans if plan is not None), peak_mb()
    del source
    source = RowSource([Stream(task, corpus) for task in Task], space, seed=0)
    for index in range(100):
        source.row(index)
    figures = {"utterances": len(corpus), "rows": rows, "before": before, "planned": planned}
    print(json.dumps({**figures, "after": after, "all": peak_mb(), "seconds": seconds}))


def measure_memory(console: Console, utterances: int) -> None:
    """Writes the index (about 560 bytes an utterance) and opens it in another process."""
    with tempfile.TemporaryDirectory() as directory:
        with IndexWriter(Path(directory)) as writer:
            for start in range(0, utterances, 200_000):
                writer.add(Pattern(min(200_000, utterances - start)).parts())
        size = sum(path.stat().st_size for path in Path(directory).iterdir())
        child = subprocess.run(
            [sys.executable, __file__, "--open", directory], check=True, capture_output=True, text=True
        )
    found = json.loads(child.stdout.splitlines()[-1])
    table = Table(title=f"index of {found['utterances']:,} utterances, {size / 1e9:.1f} GB on disk")
    for name in ("", "MB"):
        table.add_column(name)
    table.add_row("opened and planned, beyond the imports", f"{found['planned'] - found['before']:.0f}")
    table.add_row("after 100 rows, beyond the imports", f"{found['after'] - found['before']:.0f}")
    table.add_row("whole process, imports included", f"{found['after']:.0f}")
    table.add_row("after 100 rows of all five tasks, imports included", f"{found['all']:.0f}")
    console.print(table)
    console.print(f"{found['rows']:,} rows an epoch, planned in {found['seconds']:.1f} s")


def measure_prepare(console: Console, corpus: Path | None, units: Path | None) -> None:
    """One part after another, in this process."""
    import torch

    from smoltolk.data.corpora.corpus import check_complete
    from smoltolk.data.shards import encoding
    from smoltolk.data.shards.parts import PartFiles
    from smoltolk.data.shards.unit_corpus import ShardMetadata
    from smoltolk.speech.units.kinds import load_unit_tokenizer

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        if corpus is None:
            corpus = _made_corpus(out / "corpus")
        tokenizer_ = HubertSized() if units is None else load_unit_tokenizer(units)
        metadata = ShardMetadata(tokenizer_.frame_rate, tokenizer_.fingerprint, tokenizer_.num_units)
        encoder = encoding.PartEncoder(tokenizer_)
        spent = encoding_seconds = 0.0
        for part in range(check_complete(corpus).num_parts):
            times = encoder(encoding.PartJob(corpus, part, PartFiles.of(out, part), metadata))
            spent, encoding_seconds = spent + times.seconds, encoding_seconds + times.encoder_seconds
    what = "an encoder of the size of HuBERT base" if units is None else str(units)
    console.print(f"prepare with {what}: {encoding_seconds / spent:.1%} of {spent:.1f} s in the encoder")


class HubertSized:
    """As much work as HuBERT base does, with a frame of 20 ms, and units that mean nothing."""

    sample_rate, frame_rate, num_units, fingerprint = 16_000, 50.0, NUM_UNITS, "00" * 32

    def __init__(self) -> None:
        import torch
        from transformers import HubertConfig, HubertModel

        torch.manual_seed(0)
        self._torch, self._model = torch, HubertModel(HubertConfig()).eval()

    def encode(self, waveforms: list[np.ndarray]) -> list[Any]:
        """Units of each waveform."""
        from smoltolk.speech.units.tokenizer import deduplicate

        units = []
        with self._torch.inference_mode():
            for waveform in waveforms:
                # A frame short of the recording at its end, as HuBERT is.
                states = self._model(self._torch.from_numpy(waveform)[None]).last_hidden_state[0]
                units.append(deduplicate(states[:, :NUM_UNITS].argmax(1).numpy()))
        return units


def _made_corpus(directory: Path) -> Path:
    """Two parts of six recordings of noise, 5 s each, as flac."""
    from dataclasses import asdict

    from smoltolk.common.files import write_json
    from smoltolk.data.corpora.corpus import CorpusInfo, part_path, write_part
    from smoltolk.data.corpora.utterances import Utterance
    from smoltolk.speech.audio import save

    rng = np.random.default_rng(0)
    for part in range(2):
        folder, made = part_path(directory, part), []
        folder.mkdir(parents=True)
        for number in range(6):
            path = folder / f"{part}-{number}.flac"
            save(path, rng.normal(0, 0.1, 80_000).astype(np.float32))
            made.append(Utterance(path.stem, "", path, 5.0, (), (), "", "", "noise"))
        write_part(folder, made, [])
    write_json(directory / "corpus.json", asdict(CorpusInfo("noise", "00", 2, 12)))
    return directory


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="|".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--utterances", type=int, default=10_000_000)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--units", type=Path)
    parser.add_argument("--shard-utterances", type=int, default=30_000)
    for name in ("--open", "--shards", "--index"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        open_index(options.open)
        return
    if options.shards:
        open_shards(options.shards, options.index, options.rows)
        return
    if unknown := set(options.parts) - set(PARTS):
        raise InputError(f"parts are {', '.join(PARTS)}", f"{sorted(unknown)}", "choose among them")
    console = Console(width=100)
    console.print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    if "rows" in options.parts:
        measure_rows(console, options.rounds, options.rows)
    if "start" in options.parts:
        measure_start(console, options.shard_utterances, options.rows)
    if "memory" in options.parts:
        measure_memory(console, options.utterances)
    if "prepare" in options.parts:
        measure_prepare(console, options.corpus, options.units)


if __name__ == "__main__":
    main()
