"""Streamed sound against the sound of the whole: what a judge understands, the joints, and when the first sound comes.

    python benchmarks/streaming.py BUNDLE SHARDS [--vocoder DIRECTORY] [--look-ahead 0,2,4,6,8,16] [--utterances 60]

Speaks the units of recordings at once and in chunks, unit by unit as a model would make them, with several
look-aheads, and lets pocketsphinx write down both. A joint is the first 10 ms of a chunk. Then the bundle's model goes
on from texts aloud, streamed: seconds of the clock from its first unit to its first sound, and the share of the time
that a listener would have waited behind that. One process, one thread of a CPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from smoltolk import SpeechText, Vocoder, load_vocoder, open_bundle, read_shards
from smoltolk.speech.audio import SAMPLE_RATE, resample
from smoltolk.speech.recognition.error_rate import error_rate
from smoltolk.speech.recognition.recognisers import transcribe_all
from smoltolk.speech.vocoders.streaming import SoundStream

JOINT_SECONDS = 0.01


def streamed(vocoder: Vocoder, units: np.ndarray, look_ahead: int) -> list[np.ndarray]:
    """Chunks."""
    stream = SoundStream(vocoder, look_ahead=look_ahead)
    chunks = [stream.add(units[place : place + 1]) for place in range(len(units))]
    return [chunk for chunk in [*chunks, stream.finish()] if len(chunk)]


def jumps(chunks: list[np.ndarray], rate: int) -> tuple[float, float]:
    """The largest differences of neighbouring samples: at joints, and elsewhere."""
    steps = np.abs(np.diff(np.concatenate(chunks)))
    near = np.zeros(len(steps), bool)
    for joint in np.cumsum([len(chunk) for chunk in chunks])[:-1]:
        near[max(0, joint - 1) : joint + int(JOINT_SECONDS * rate)] = True
    return float(steps[near].max(initial=0.0)), float(steps[~near].max(initial=0.0))


def chunks_of(vocoder: Vocoder, said: list[np.ndarray], texts: list[str], look_aheads: list[int]) -> None:
    """Quality and joints by look-ahead."""
    may_be_said = sorted(set(texts))

    def errors(waveforms: list[np.ndarray]) -> str:
        sounds = [resample(one, vocoder.sample_rate, SAMPLE_RATE) for one in waveforms]
        heard = transcribe_all(sounds, may_be_said, 0)
        rate = error_rate(texts, heard)
        return f"{100 * rate.wer:5.2f} [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"

    whole = [vocoder.synthesize(units) for units in said]
    seconds = sum(map(len, whole)) / vocoder.sample_rate
    print(f"{type(vocoder).__name__}, {len(said)} utterances, {seconds:.0f} s; reach {vocoder.reach}")
    print(f"  whole           WER {errors(whole)}")
    for look_ahead in look_aheads:
        start = time.perf_counter()
        made = [streamed(vocoder, units, look_ahead) for units in said]
        speed = seconds / (time.perf_counter() - start)
        found = [jumps(chunks, vocoder.sample_rate) for chunks in made]
        worse = sum(at > inside for at, inside in found)
        print(
            f"  look-ahead {look_ahead:3d}  WER {errors([np.concatenate(chunks) for chunks in made])}"
            f"  largest jump at joints {max(at for at, _ in found):.3f}, inside {max(other for _, other in found):.3f}"
            f" (larger at joints in {worse})  {speed:.0f} x real time"
        )


def first_sounds(talker: SpeechText, prompts: list[str]) -> None:
    """Delays of streamed answers."""
    delays, waits, lengths = [], [], []
    for seed, prompt in enumerate(prompts):
        first_unit = first_sound = None
        played_until = waited = spoken = 0.0
        for piece in talker.generate(prompt, to="speech", seed=seed, stream=True):
            if piece.units is not None and len(piece.units) and first_unit is None:
                first_unit = piece.seconds
            if piece.waveform is not None and len(piece.waveform):
                if first_sound is None:
                    first_sound = played_until = piece.seconds
                waited += max(0.0, piece.seconds - played_until)
                played_until = max(played_until, piece.seconds) + len(piece.waveform) / piece.rate
                spoken += len(piece.waveform) / piece.rate
        if first_unit is not None and first_sound is not None:
            delays.append(first_sound - first_unit)
            waits.append(waited)
            lengths.append(spoken)
    print(
        f"first sound behind the first unit: median {1000 * statistics.median(delays):.0f} ms,"
        f" largest {1000 * max(delays):.0f} ms of {len(delays)} answers of {sum(lengths):.0f} s;"
        f" silence behind it {1000 * sum(waits):.0f} ms in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--vocoder", type=Path, help="instead of the bundle's")
    parser.add_argument("--look-ahead", default="0,2,4,6,8,16,64")
    parser.add_argument("--utterances", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(1)
    vocoder = load_vocoder(given.vocoder or open_bundle(given.bundle).vocoder)
    corpus = read_shards(given.shards)
    spoken = [one for _, one in zip(range(given.utterances), corpus, strict=False)]
    texts = [one.text for one in spoken]
    chunks_of(vocoder, [np.asarray(one.units) for one in spoken], texts, [int(n) for n in given.look_ahead.split(",")])
    first_sounds(SpeechText.from_pretrained(given.bundle, device="cpu"), [" ".join(t.split()[:4]) for t in texts[:20]])


if __name__ == "__main__":
    main()
