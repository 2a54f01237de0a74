"""Verbs of smoltolk one after the other on recordings of a human voice: units, vocoders, shards, a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from recordings import PROMPTS

from smoltolk.common.files import atomic_file
from smoltolk.common.seeds import generator
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.speech.recognition.error_rate import normalise

HELD_OUT, _WORDS = 60, range(3, 26)  # utterances judged; their words
UNITS = {
    "phones": [],
    "clusters": ["--clusters", "200"],
    "mfcc": ["--encoder", "mfcc"],
}
_RUN = "from smoltolk.cli import main; main()"


def smoltolk(*command: object) -> None:
    """One verb in a process of its own; what it prints is shown, and an error ends the walk."""
    print("\n$ smoltolk " + " ".join(map(str, command)), flush=True)
    subprocess.run([sys.executable, "-c", _RUN, *map(str, command)], check=True)


def held_out(corpus: Path, work: Path) -> tuple[Path, list[Utterance]]:
    """A file of ids of prompts that nothing learns from, with texts that no other prompt has, and these prompts."""
    spoken = [one for one in read_corpus(corpus) if one.speaker == PROMPTS]
    texts = [normalise(one.text) for one in spoken]
    alone = [
        one
        for one, text in zip(spoken, texts, strict=True)
        if texts.count(text) == 1 and len(text.split()) in _WORDS and one.audio is not None
    ]
    chosen = [alone[k] for k in generator(0, "held-out prompts").permutation(len(alone))[:HELD_OUT]]
    path = work / "held-out.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("".join(f"{one.id}\n" for one in chosen), encoding="utf-8")
    words = [len(normalise(one.text).split()) for one in chosen]
    print(f"held out: {len(chosen)} prompts, {sum(words)} words, {np.sum([one.seconds for one in chosen]):.0f} s")
    return path, chosen


def units_and_vocoders(corpus: Path, ids: Path, work: Path, kinds: list[str], options: list[str]) -> None:
    """Units of each kind, their quality, and what the judge hears through a vocoder of each."""
    for kind in kinds:
        smoltolk("units", "fit", corpus, work / f"units-{kind}", *UNITS[kind], "--hold-out", ids)
        command = ["vocoder", "fit", corpus, work / f"units-{kind}", work / f"vocoder-{kind}", "--speaker", PROMPTS]
        smoltolk(*command, "--hold-out", ids, "--utterances", 600, *options)


def model(corpus: Path, work: Path, chosen: list[Utterance]) -> None:
    """Shards and a model so small that it shows no more than that every verb takes a real voice."""
    units, vocoder, text = work / "units-phones", work / "vocoder-phones", work / "texts.txt"
    with atomic_file(text) as temporary:
        texts = dict.fromkeys(" ".join(one.text.split()) for one in read_corpus(corpus))
        temporary.write_text("".join(f"{one}\n" for one in texts), encoding="utf-8")
    smoltolk("prepare", corpus, units, work / "shards")
    smoltolk("shards", "validate", work / "shards", "--units", units, "--corpus", corpus)
    smoltolk("backbone", text, work / "backbone", "--steps", 60)
    tasks = ["--mixture", "interleaved=1,recognition=1,synthesis=1"]
    small = ["--steps", 60, "--rows-per-step", 4, "--row-length", 192]
    smoltolk("train", work / "backbone", work / "shards", work / "model", "--text", text, *tasks, *small)
    smoltolk("hear", work / "model", *(one.audio for one in chosen[:3]), "--units", units)
    smoltolk("say", work / "model", chosen[0].text, "--vocoder", vocoder, "--out", work / "said.wav")
