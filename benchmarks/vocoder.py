"""Vocoders after a few minutes of training: what a judge understands, and how fast they speak.

    python benchmarks/vocoder.py WORK [--kinds griffinlim,vocos] [--units phones,k200] [--steps 500] [--seeds 0,1]

Speaks a small world with espeak (150 stories in one voice to learn from, 100 sentences to judge), fits units on other
stories in eight voices as `smoltolk units fit` does, phones and K = 200 clusters of the phone encoder's bottleneck, and
trains each kind of vocoder for each of the two. Word errors are those of `smoltolk vocoder fit`: recordings, their
spectrograms inverted, units with true durations, units with predicted ones. One process, one thread of a CPU. WORK
keeps what was spoken, and the units.

Bars of the project: word errors at most 3 points above natural with K = 200, 8 with phone units; training within 5
minutes of CPU; 40 times real time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from smoltolk.common.progress import bar
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.speak import speak
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.data.fitting.speech_models import encode_utterances, judge_vocoder
from smoltolk.data.fitting.unit_models import UnitFit, fit_units
from smoltolk.data.world.stories import World
from smoltolk.speech.recognition.recognisers import recogniser_named
from smoltolk.speech.synthesis.espeak_synthesis import Voice, voices
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.hifigan_training import fit_hifigan
from smoltolk.speech.vocoders.kinds import Vocoder, fit_vocoder
from smoltolk.speech.vocoders.vocos_training import fit_vocos

CLEAR = Voice("en-us", "m3", rate=160, pitch=45)
NUM_STORIES, NUM_JUDGED, NUM_ENCODER_STORIES = 150, 100, 160
UNITS = {"phones": UnitFit(), "k200": UnitFit(clusters=200)}


def spoken(work: Path) -> tuple[list[Utterance], list[Utterance], list[str]]:
    """One voice to learn from, sentences to judge, and what the judge may hear; many voices for the units besides."""
    world = World(0, 48)
    learn = [(f"s{i:04d}", world.story(i, heard_only=True).text, CLEAR) for i in range(NUM_STORIES)]
    tests = [world.test_story(i, heard_only=True).sentences for i in range(NUM_JUDGED)]
    judged = [(f"j{i:04d}", sentences[i % len(sentences)], CLEAR) for i, sentences in enumerate(tests)]
    speakers = voices(8, 0, "seen")
    first = NUM_STORIES
    many = [
        (f"e{i:04d}", world.story(first + i, heard_only=True).text, speakers[i % len(speakers)])
        for i in range(NUM_ENCODER_STORIES)
    ]
    for name, texts in (("learn", learn), ("judged", judged), ("many", many)):
        speak(texts, work / name, source=name)
    may_be_said = [s for i in range(2000) for s in world.story(i, heard_only=False).sentences]
    return list(read_corpus(work / "learn")), list(read_corpus(work / "judged")), may_be_said


def units_of(work: Path, name: str) -> UnitTokenizer:
    """Fitted, or as an earlier run left them."""
    directory = work / f"units-{name}"
    if not directory.is_dir():
        fitted = fit_units(work / "many", UNITS[name])
        fitted.tokenizer.save(directory)
        print(f"units {name}: purity {fitted.quality.purity:.2f}, PNMI {fitted.quality.pnmi:.2f}")
    return load_unit_tokenizer(directory)


def speed(vocoder: Vocoder, units: Sequence[Units], rounds: int = 5) -> float:
    """Seconds of speech per second, median of rounds; predicted durations included."""
    ratios = []
    for _ in range(rounds):
        start = time.perf_counter()
        made = vocoder.synthesize_batch([one.units for one in units])
        seconds = time.perf_counter() - start
        ratios.append(sum(map(len, made)) / vocoder.sample_rate / seconds)
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kinds", default="griffinlim,vocos")
    parser.add_argument("--units", default=",".join(UNITS))
    parser.add_argument("--steps", type=int, help="Of every kind; default: 500, 600 and 150.")
    parser.add_argument("--seeds", default="0", help="Of the vocoders.")
    parser.add_argument("--size", default="small", help="Of hifigan: tiny, small or standard.")
    parser.add_argument("--device", default="cpu", help="For training hifigan.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    learn, judged, texts = spoken(arguments.work)
    tokenizers = {name: units_of(arguments.work, name) for name in arguments.units.split(",")}
    judge = recogniser_named("pocketsphinx", texts=texts, workers=0)
    fits: dict[str, tuple[Callable[..., Vocoder], int, dict[str, Any]]] = {
        "griffinlim": (fit_vocoder, 500, {}),
        "vocos": (fit_vocos, 600, {}),
        "hifigan": (fit_hifigan, 150, {"size": arguments.size, "device": arguments.device}),
    }
    print(f"{len(judged)} sentences, {sum(one.seconds for one in judged):.0f} s; word errors:")
    titles = ("natural", "copy", "true durations", "predicted", "x real time")
    print(f"{'units':8s}{'kind':12s}{'seed':>4s}{'CPU s':>7s}" + "".join(f"{title:>16s}" for title in titles))
    for name, tokenizer in tokenizers.items():
        learned = encode_utterances(learn, tokenizer)
        waveforms, units = [one.sound for one in learned], [one.units for one in learned]
        held_out = [one.units for one in encode_utterances(judged, tokenizer)]
        for kind in arguments.kinds.split(","):
            fit, steps, options = fits[kind]
            steps = arguments.steps or steps
            for seed in map(int, arguments.seeds.split(",")):
                start = time.process_time()
                with bar(f"{kind} for {name}", steps, "steps") as progress:
                    vocoder = fit(waveforms, units, tokenizer, steps=steps, seed=seed, progress=progress, **options)
                cpu = time.process_time() - start
                errors = judge_vocoder(vocoder, tokenizer, judged, texts, judge=judge)
                wer = "".join(f"{one.wer:16.1%}" for one in errors.values())
                print(f"{name:8s}{kind:12s}{seed:4d}{cpu:7.0f}{wer}{speed(vocoder, held_out):16.0f}", flush=True)


if __name__ == "__main__":
    main()
