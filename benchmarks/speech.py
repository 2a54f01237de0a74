"""Speed of synthesizers, aligners and judges on one core, and how far the aligners' times are from the synthesizer's.

    python benchmarks/speech.py [--texts 24] [--rounds 3] [--model DIRECTORY_OR_HUB_ID] [--long 10 60 176 600]

Speech is that of stories in seen and unseen voices of espeak-ng. "x" is times real time: seconds of speech for a second
of processor time in one thread, the median of the rounds, in which the candidates take turns. ``--model`` adds a CTC
model of transformers as aligner and judge. ``--long`` aligns single recordings of about so many seconds, words only, in
a seen and an unseen voice: stories with pauses of 0.3 to 1.2 s; the memory told is the most that the process ever had.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from smoltolk.data.corpora.speak import speak
from smoltolk.data.world.stories import World
from smoltolk.speech.alignment.aligners import Aligner, aligner_named
from smoltolk.speech.alignment.ctc import best_path
from smoltolk.speech.audio import SAMPLE_RATE, num_samples
from smoltolk.speech.recognition.recognisers import error_rate, recogniser_named
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, Voice, voices
from smoltolk.speech.synthesis.flite import FliteSynthesizer, flite_available
from smoltolk.speech.synthesis.spoken import Spoken


def starts_apart(aligner: Aligner, spoken: list[Spoken], texts: list[str]) -> np.ndarray:
    """Seconds between the aligner's and the synthesizer's starts of words."""
    found = (aligner.align(one.waveform, text) for one, text in zip(spoken, texts, strict=True))
    pairs = (
        (a.start, b.start)
        for one, true in zip(found, spoken, strict=True)
        for a, b in zip(one.words, true.words, strict=True)
    )
    return np.array([a - b for a, b in pairs])


def right_and_wrong(aligner: Aligner, spoken: list[Spoken], texts: list[str]) -> str:
    """Confidences of right texts, and of texts of other recordings."""
    waveforms = [one.waveform for one in spoken]
    right = [one.confidence for one in aligner.align_batch(waveforms, texts) if not isinstance(one, Exception)]
    shifted = texts[1:] + texts[:1]
    wrong = [one.confidence for one in aligner.align_batch(waveforms, shifted) if not isinstance(one, Exception)]
    told = f"{len(wrong)} of {len(texts)} aligned, {max(wrong):.2f} at most" if wrong else "none aligned"
    return f"confidence of right texts {min(right):.2f} at least, median {statistics.median(right):.2f}; wrong: {told}"


def corpus_of(texts: list[str], rounds: int) -> float:
    """Seconds to speak texts into a corpus: samples, times of words and phones, flac files."""
    speakers, taken = voices(8, 0, "seen"), []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            wanted = [(f"{k:04d}", text, speakers[k % 8]) for k, text in enumerate(texts)]
            start = time.process_time()
            speak(wanted, Path(directory) / str(number), source="bench", workers=0)
            taken.append(time.process_time() - start)
    return statistics.median(taken)


def story_after_story(world: World, seconds: float, voice: Voice) -> tuple[np.ndarray, str, list[float]]:
    """One recording of stories with pauses between them, its text, and where each word begins."""
    espeak, random = EspeakSynthesizer(), np.random.default_rng(0)
    parts: list[np.ndarray] = []
    texts: list[str] = []
    starts: list[float] = []
    length = 0
    while length < seconds * SAMPLE_RATE:
        texts.append(world.story(len(texts), heard_only=False).text)
        one = espeak.speak(texts[-1], voice)
        starts += [length / SAMPLE_RATE + word.start for word in one.words]
        parts += [one.waveform, np.zeros(num_samples(random.uniform(0.3, 1.2)), np.float32)]
        length += len(parts[-2]) + len(parts[-1])
    return np.concatenate(parts), " ".join(texts), starts


def align_long(world: World, lengths: list[float]) -> None:
    """Tell how fast, and how well, single recordings are aligned."""
    aligner = aligner_named("pocketsphinx")
    for wanted in lengths:
        for kind in ("seen", "unseen"):
            waveform, text, starts = story_after_story(world, wanted, voices(1, 0, kind)[0])
            aligner.align(*story_after_story(world, 1, voices(1, 0, kind)[0])[:2])  # the model is loaded
            start = time.process_time()
            found = aligner.align(waveform, text)
            took = time.process_time() - start
            away = np.abs(np.array([word.start for word in found.words]) - starts)
            length, peak = len(waveform) / SAMPLE_RATE, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(f"{f'aligner: one recording of {length:.0f} s, {kind} voice':52s}{length / took:4.0f} x")
            near = f"{(away <= 0.05).mean():.1%} within 50 ms, furthest {away.max():.2f} s"
            print(f"  starts {1000 * away.mean():.1f} ms off, {near}", end="; ")
            print(f"confidence {found.confidence:.2f}, peak {peak:.2f} GB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", help="hub id or directory of a CTC model")
    parser.add_argument("--long", type=float, nargs="*", default=[], help="seconds of single recordings to align")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    world = World(seed=0, num_people=48)
    texts = [world.story(number, heard_only=False).text for number in range(arguments.texts)]
    speakers = voices(16, 0, "seen") + voices(8, 0, "unseen")
    espeak = EspeakSynthesizer()
    spoken = [espeak.speak(text, speakers[k % len(speakers)]) for k, text in enumerate(texts)]
    waveforms = [one.waveform for one in spoken]
    seconds = sum(map(len, waveforms)) / 16_000
    print(f"{len(texts)} stories, {seconds:.0f} s of speech, one core, medians of {arguments.rounds} rounds")

    took = corpus_of(texts, arguments.rounds)
    print(f"{'espeak, into a corpus of flac files':44s}{seconds / took:8.0f} x")
    if flite_available():
        flite = FliteSynthesizer()
        start = time.process_time()
        made = [flite.speak(text, flite.voices(1, 0, "seen")[0]) for text in texts[:4]]
        took = time.process_time() - start
        print(f"{'flite':44s}{sum(len(one.waveform) for one in made) / 16_000 / took:8.0f} x")

    aligners = {"pocketsphinx, words": aligner_named("pocketsphinx")}
    aligners["pocketsphinx, words and phones"] = aligner_named("pocketsphinx", phones=True)
    judges = {"pocketsphinx": recogniser_named("pocketsphinx", texts=texts, workers=0)}
    if arguments.model:
        aligners["CTC model"] = aligner_named(arguments.model, device="cpu")
        judges["CTC model"] = recogniser_named(arguments.model, device="cpu")
    actions: dict[str, Callable[[], object]] = {}
    apart: dict[str, np.ndarray] = {}
    for name, aligner in aligners.items():
        apart[name] = starts_apart(aligner, spoken, texts)  # and its dictionary is filled
        actions[f"aligner: {name}"] = lambda aligner=aligner: aligner.align_batch(waveforms, texts)
    heard: dict[str, list[str]] = {}
    for name, judge in judges.items():
        judge.transcribe_batch(waveforms[:1])
        actions[f"judge: {name}"] = lambda name=name, judge=judge: heard.update(
            {name: judge.transcribe_batch(waveforms)}
        )
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(arguments.rounds):
        for name, action in actions.items():
            start = time.process_time()
            action()
            taken[name].append(time.process_time() - start)
    for name, times in taken.items():
        print(f"{name:44s}{seconds / statistics.median(times):8.0f} x")
    for name, errors in apart.items():
        away = np.abs(errors)
        near = f"{(away <= 0.05).mean():.1%} within 50 ms ({len(away)} words)"
        print(f"{name}: starts {1000 * away.mean():.1f} ms off, {near}")
        print(f"  {right_and_wrong(aligners[name], spoken, texts)}")
    for name, answers in heard.items():
        print(f"judge {name}: WER {error_rate(texts, answers).wer:.1%}")

    align_long(world, arguments.long)
    random = np.random.default_rng(0)
    for length in (30, 180, 1_800):
        log_probs = np.log(random.dirichlet(np.ones(32), 50 * length)).astype(np.float32)
        start = time.process_time()
        best_path(log_probs, random.integers(1, 32, 15 * length), 0)
        took = time.process_time() - start
        print(f"{f'CTC trellis, {length} s at 50 frames, 15 letters a second':44s}{length / took:8.0f} x")


if __name__ == "__main__":
    main()
