"""Vocoders after a few minutes of training: what a judge understands, and how fast they speak.

    python benchmarks/vocoder.py WORK [--kinds griffinlim,vocos] [--units phones,k200] [--steps 500]

Speaks a small world with espeak (150 stories in one voice to learn from, 100 sentences to judge), trains phone units
on other stories in eight voices, makes K = 200 units by k-means on the hidden layer below them, and trains each kind
of vocoder for each of the two. Durations are predicted; one process, one thread of a CPU. WORK keeps what was spoken.

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

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans

from smoltolk.common.progress import bar
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.speak import speak
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.data.world.stories import World
from smoltolk.speech.audio import load, num_frames
from smoltolk.speech.features import log_mel, normalise_mel
from smoltolk.speech.fitting import one_thread
from smoltolk.speech.recognition.recognisers import error_rate, transcribe_all
from smoltolk.speech.synthesis.espeak_synthesis import Voice, voices
from smoltolk.speech.units.phone_encoder import LabelledSpeech, PhoneUnitTokenizer, fit_phone_units
from smoltolk.speech.units.phone_network import HOPS_PER_FRAME
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer, deduplicate, fingerprint_of
from smoltolk.speech.vocoders.hifigan_training import fit_hifigan
from smoltolk.speech.vocoders.kinds import Vocoder, fit_vocoder
from smoltolk.speech.vocoders.vocos_training import fit_vocos

CLEAR = Voice("en-us", "m3", rate=160, pitch=45)
NUM_STORIES, NUM_JUDGED, NUM_ENCODER_STORIES = 150, 100, 160


class HiddenUnits(UnitTokenizer):
    """K-means on the hidden layer of a phone encoder."""

    def __init__(self, phones: PhoneUnitTokenizer, training: Sequence[np.ndarray], num_units: int):
        self.network, self.sample_rate, self.frame_rate = phones.network, phones.sample_rate, phones.frame_rate
        self.num_units, self.num_codebooks = num_units, 1
        vectors = np.concatenate([self._hidden(one) for one in training])
        self.means = MiniBatchKMeans(num_units, n_init=3, batch_size=4096, random_state=0).fit(vectors)

    @one_thread()
    @torch.inference_mode()
    def _hidden(self, waveform: np.ndarray) -> np.ndarray:
        hops = num_frames(len(waveform) / self.sample_rate, self.frame_rate) * HOPS_PER_FRAME
        hidden = normalise_mel(log_mel(torch.from_numpy(waveform)[None], hops))
        for layer in self.network.stem:
            hidden = layer(hidden)
        return self.network.blocks(hidden)[0].T.numpy()

    @property
    def fingerprint(self) -> str:
        return fingerprint_of({"kind": "hidden"}, {"means": torch.from_numpy(self.means.cluster_centers_)})

    def encode(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        return [deduplicate(self.means.predict(self._hidden(one))) for one in waveforms]

    def save(self, directory: Path | str) -> None:
        raise NotImplementedError("it lives for a benchmark")


def spoken(work: Path) -> tuple[list[Utterance], list[Utterance], list[Utterance], list[str]]:
    """One voice to learn from, sentences to judge, many voices for the units; and what the judge may hear."""
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
    corpora = []
    for name, texts in (("learn", learn), ("judged", judged), ("many", many)):
        speak(texts, work / name, source=name)
        corpora.append(list(read_corpus(work / name)))
    may_be_said = [s for i in range(2000) for s in world.story(i, heard_only=False).sentences]
    return corpora[0], corpora[1], corpora[2], may_be_said


def sound(utterances: Sequence[Utterance]) -> list[np.ndarray]:
    return [load(one.audio) for one in utterances if one.audio is not None]


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
    parser.add_argument("--units", default="phones,k200")
    parser.add_argument("--steps", type=int, help="Of every kind; default: 500, 600 and 150.")
    parser.add_argument("--size", default="small", help="Of hifigan: tiny, small or standard.")
    parser.add_argument("--device", default="cpu", help="For training hifigan.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    learn, judged, many, texts = spoken(arguments.work)
    with bar("phone units", 300, "steps") as progress:
        labelled = [LabelledSpeech(wave, one.phones) for wave, one in zip(sound(many), many, strict=True)]
        phones = fit_phone_units(labelled, steps=300, progress=progress)
    tokenizers: dict[str, Callable[[], UnitTokenizer]] = {
        "phones": lambda: phones,
        "k200": lambda: HiddenUnits(phones, sound(many), 200),
    }
    fits: dict[str, tuple[Callable[..., Vocoder], int, dict[str, Any]]] = {
        "griffinlim": (fit_vocoder, 500, {}),
        "vocos": (fit_vocos, 600, {}),
        "hifigan": (fit_hifigan, 150, {"size": arguments.size, "device": arguments.device}),
    }
    training, natural, said = sound(learn), sound(judged), [one.text for one in judged]
    wer = {"natural": error_rate(said, transcribe_all(natural, texts, workers=0)).wer}
    print(f"natural: word errors {wer['natural']:.1%} ({len(said)} sentences, {sum(map(len, natural)) / 16000:.0f} s)")
    print(f"{'units':8s}{'kind':12s}{'CPU s':>7s}{'copy':>8s}{'units':>8s}{'own durations':>15s}{'x real time':>13s}")
    for name in arguments.units.split(","):
        tokenizer = tokenizers[name]()
        units, held_out = tokenizer.encode(training), tokenizer.encode(natural)
        for kind in arguments.kinds.split(","):
            fit, steps, options = fits[kind]
            steps = arguments.steps or steps
            start = time.process_time()
            with bar(f"{kind} for {name}", steps, "steps") as progress:
                vocoder = fit(training, units, tokenizer, steps=steps, progress=progress, **options)
            cpu = time.process_time() - start
            heard = {
                "copy": [vocoder.copy_synthesis(one) for one in natural],
                "true": vocoder.synthesize_batch([u.units for u in held_out], [u.durations for u in held_out]),
                "own": vocoder.synthesize_batch([u.units for u in held_out]),
            }
            wer = {key: error_rate(said, transcribe_all(made, texts, workers=0)).wer for key, made in heard.items()}
            errors = f"{wer['copy']:8.1%}{wer['true']:8.1%}{wer['own']:15.1%}"
            print(f"{name:8s}{kind:12s}{cpu:7.0f}{errors}{speed(vocoder, held_out):13.0f}", flush=True)


if __name__ == "__main__":
    main()
