"""Speed of unit tokenizers on a CPU: sixteen recordings together against one by one, and the phone units.

    python benchmarks/units.py [batch] [phones] [--threads 2] [--rounds 3] [--seconds 1 20] [--dtype float32]

``batch`` encodes sixteen noises of mixed length with a HuBERT of the usual size and random weights, three ways that
take turns round by round: *together* (one call of ``encode``), *each* (a call for each), and *plain* (transformers' own
model on each file, all layers up to the last, then the same codebook). The medians of the ratios are printed, and how
many units differ: none between the first two; against plain, ties that rounding decides. ``phones`` encodes a minute
of noise with the offline phone encoder and tells how many times faster than real time that is.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import HubertConfig, HubertModel

from smoltolk.speech.phones import PHONES
from smoltolk.speech.units.codebook import Codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.phone_encoder import PhoneUnitTokenizer
from smoltolk.speech.units.phone_network import PhoneNetwork
from smoltolk.speech.units.pretrained_encoder import PretrainedEncoder
from smoltolk.speech.units.tokenizer import Units, deduplicate

NUM_FILES, LAYER, NUM_UNITS = 16, 9, 500


def noises(least: float, most: float) -> list[np.ndarray]:
    """Files of mixed length, noise whose loudness and colour change ten times a second."""
    random = np.random.default_rng(0)
    files = []
    for seconds in random.permutation(np.linspace(least, most, NUM_FILES)):
        noise = random.standard_normal(int(seconds * 16_000)).astype(np.float32)
        loudness = np.repeat(random.uniform(0.005, 0.2, len(noise) // 1600 + 1), 1600)[: len(noise)]
        slow = np.convolve(noise, np.ones(8) / 8, "same")
        mixed = np.repeat(random.uniform(0, 1, len(noise) // 1600 + 1), 1600)[: len(noise)]
        files.append(((mixed * noise + (1 - mixed) * slow) * loudness).astype(np.float32))
    return files


def seconds_of(function: Callable[[], object]) -> float:
    """Wall clock."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def differing(first: list[Units], second: list[Units]) -> float:
    """Share of frames whose units differ."""
    pairs = [(one.frames(), other.frames()) for one, other in zip(first, second, strict=True)]
    return sum(int((one != other).sum()) for one, other in pairs) / sum(len(one) for one, _ in pairs)


def batch(rounds: int, lengths: tuple[float, float], dtype: str) -> None:
    """Together, each and plain."""
    torch.manual_seed(0)
    model = HubertModel(HubertConfig()).eval()
    plain_model = copy.deepcopy(model)
    encoder = PretrainedEncoder(model, LAYER, dtype=dtype)
    files = noises(*lengths)
    states = torch.cat(encoder.features(files[:4]))
    chosen = torch.randperm(len(states), generator=torch.Generator().manual_seed(0))[:NUM_UNITS]
    tokenizer = EncoderUnitTokenizer(encoder, Codebook(states[chosen]))

    @torch.inference_mode()
    def plain() -> list[Units]:
        made = []
        for file in files:
            hidden = plain_model(torch.from_numpy(file)[None], output_hidden_states=True).hidden_states[LAYER][0]
            made.append(deduplicate(tokenizer.codebook.nearest(hidden).numpy()))
        return made

    ways: dict[str, Callable[[], list[Units]]] = {
        "together": lambda: tokenizer.encode(files),
        "each": lambda: [tokenizer.encode([file])[0] for file in files],
        "plain": plain,
    }
    results = {name: way() for name, way in ways.items()}  # also warms up
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(seconds_of(way))
    total = sum(map(len, files)) / 16_000
    print(f"{NUM_FILES} files, {total:.0f} s of sound, {torch.get_num_threads()} threads, {dtype}")
    for name, values in times.items():
        print(f"  {name:9} {statistics.median(values):6.2f} s, {total / statistics.median(values):5.1f} x real time")
    for other in ("each", "plain"):
        ratio = statistics.median(b / a for a, b in zip(times["together"], times[other], strict=True))
        share = differing(results["together"], results[other])
        print(f"  together against {other}: {ratio:.2f} x as fast, {share:.3%} of the frames' units differ")


def phones(rounds: int) -> None:
    """The offline encoder, untrained: speed does not depend on weights."""
    tokenizer = PhoneUnitTokenizer(PHONES, PhoneNetwork(len(PHONES)))
    files = [np.random.default_rng(k).standard_normal(160_000).astype(np.float32) / 10 for k in range(6)]
    tokenizer.encode(files)
    spent = statistics.median(seconds_of(lambda: tokenizer.encode(files)) for _ in range(rounds))
    print(f"phone units: {60 / spent:.0f} x real time on one thread")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["batch", "phones"], default=["batch", "phones"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, nargs=2, default=(1.0, 20.0))
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if "batch" in options.parts:
        batch(options.rounds, tuple(options.seconds), options.dtype)
    if "phones" in options.parts:
        phones(max(options.rounds, 5))


if __name__ == "__main__":
    main()
