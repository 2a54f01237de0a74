"""Training of the unit HiFi-GAN against its discriminators, on one voice or many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.devices import device_of
from smoltolk.common.errors import InputError
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.speech import audio, features
from smoltolk.speech.small_networks import torch_generator
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.crops import Batch, Crops, check_training_data
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_config import SIZES, hifigan_config
from smoltolk.speech.vocoders.hifigan_discriminators import (
    Discriminators,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)
from smoltolk.speech.vocoders.hifigan_network import HifiGanNetwork, add_weight_norm, remove_weight_norm
from smoltolk.speech.vocoders.losses import mel_distance
from smoltolk.speech.vocoders.training_loop import Keeping, Training, chosen_precision, run

_MEL_WEIGHT, _FEATURE_WEIGHT = 45.0, 2.0  # HiFi-GAN, section 2.4
_DECAY_PER_1000 = 0.995  # of the learning rate
_NUM_SAMPLES = 4


def fit_hifigan(
    utterances: Sequence[np.ndarray],
    units: Sequence[Units],
    tokenizer: UnitTokenizer,
    *,
    speakers: Sequence[str] | None = None,
    size: str = "small",
    start: HifiGanVocoder | None = None,
    steps: int = 20_000,
    batch: int = 16,
    crop_seconds: float = 0.64,
    alone: int | None = None,
    learning_rate: float = 2e-4,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    keeping: Keeping | None = None,
    progress: Bar | None = None,
) -> HifiGanVocoder:
    """Train a unit HiFi-GAN for a tokenizer's units, or go on with one.

    The same data, settings and seed give the same weights on the same kind of processor and number of threads,
    interrupted or not; kernels of a GPU add in no fixed order and make an exception.

    Args:
        utterances: float32 ``[samples]`` at 16 kHz, hours of them for a good voice.
        units: what ``tokenizer`` says of them.
        tokenizer: one codebook; its frame rate divides 100 Hz.
        speakers: name of each utterance's; two different ones or more make a vocoder of several voices, the one
            with the most speech first. None: one voice.
        size: of :data:`SIZES`; has no meaning with ``start``, but for the discriminators.
        start: a vocoder to begin with, e.g. a published one, for the same units.
        steps: optimizer steps.
        batch: crops of a step.
        crop_seconds: length of each.
        alone: steps without discriminators at the beginning, on spectra only; default: a tenth, at most 2,000.
        learning_rate: of AdamW; falls by half a percent in 1,000 steps.
        seed: of weights, crops and dropout.
        device: where it is trained; the vocoder comes back to the CPU.
        precision: see :func:`~smoltolk.speech.vocoders.training_loop.chosen_precision`.
        keeping: checkpoints and samples, by default none.
        progress: advanced by one per step, notes the losses.

    Raises:
        InputError: no utterances, units or speakers that do not fit them, a ``start`` for other units or other
            speakers, or a checkpoint of another training.
    """
    check_training_data(utterances, units, tokenizer)
    names = _by_length(utterances, speakers)
    place = device_of(device)
    bf16 = chosen_precision(precision, place)
    alone = min(2_000, steps // 10) if alone is None else alone
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "vocoder"))
        vocoder = HifiGanVocoder(
            hifigan_config(tokenizer, size, len(names)), tokenizer.fingerprint, speakers=names if len(names) > 1 else ()
        )
        discriminators = Discriminators(SIZES[size][-1]).to(place).train()
    if start is not None:
        vocoder = _like(start, tokenizer, names)
    numbers = [vocoder.speakers.index(one) for one in speakers or () if vocoder.speakers] or [0] * len(units)
    voices = torch.tensor(numbers, device=place)
    crops = Crops(utterances, units, vocoder.frame_rate, vocoder.config.hop // features.HOP)
    network = vocoder.network.to(place).requires_grad_(True).train()
    add_weight_norm(network)
    optimizers = [
        torch.optim.AdamW(one.parameters(), learning_rate, betas=(0.8, 0.99)) for one in (network, discriminators)
    ]

    def step(index: int) -> dict[str, Tensor]:
        drawn = crops.draw(torch_generator(seed, "vocoder crops", index), batch, crop_seconds).to(place)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * _DECAY_PER_1000 ** (index / 1000)
        with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
            torch.manual_seed(derive(seed, "vocoder dropout", index))
            with torch.autocast(place.type, torch.bfloat16, enabled=bf16):
                return _step(network, discriminators, optimizers, drawn, voices, against=index >= alone)

    def sample(directory: Path) -> None:
        plain = _empty(vocoder)
        add_weight_norm(plain.network)
        plain.network.load_state_dict(network.state_dict())
        for number, one in enumerate(units[:_NUM_SAMPLES]):
            made = plain.synthesize(one.units, one.durations, speaker=numbers[number])
            audio.save(directory / f"{number}.wav", made, plain.sample_rate)

    settings: dict[str, Any] = {
        "kind": HifiGanVocoder.KIND, "units": tokenizer.fingerprint, "utterances": len(utterances),
        "samples": sum(map(len, utterances)), "speakers": list(names), "size": size,
        "start": None if start is None else start.fingerprint, "steps": steps, "batch": batch,
        "crop_seconds": crop_seconds, "alone": alone, "learning_rate": learning_rate, "seed": seed, "bf16": bf16,
    }  # fmt: skip
    training = Training(
        settings,
        {"generator": network, "discriminators": discriminators},
        {"generator": optimizers[0], "discriminators": optimizers[1]},
    )
    run(training, step, steps, keeping=keeping or Keeping(), progress=progress, sample=sample)
    remove_weight_norm(network)
    vocoder.cpu().eval().requires_grad_(False)
    return vocoder


def _step(
    network: HifiGanNetwork,
    discriminators: Discriminators,
    optimizers: list[torch.optim.AdamW],
    batch: Batch,
    voices: Tensor,
    *,
    against: bool,
) -> dict[str, Tensor]:
    """One step of the discriminators, if ``against`` them, and one of the generator."""
    for_generator, for_discriminators = optimizers
    mask = batch.hop_mask.repeat_interleave(features.HOP, 1)
    real, voice = batch.samples * mask, voices[batch.rows]
    made = network(batch.frames, voice, torch.zeros_like(voice)).float() * mask
    losses = {}
    if against:
        losses["discriminators"] = discriminator_loss(discriminators(real), discriminators(made.detach()))
        for_discriminators.zero_grad()
        losses["discriminators"].backward()
        for_discriminators.step()
    with torch.autocast(made.device.type, enabled=False):
        losses["mel"] = mel_distance(made, real)
    losses["durations"] = _duration_loss(network, batch)
    total = _MEL_WEIGHT * losses["mel"] + losses["durations"]
    if against:
        discriminators.requires_grad_(False)
        with torch.no_grad():
            heard_real = discriminators(real)
        heard = discriminators(made)
        total = total + adversarial_loss(heard) + _FEATURE_WEIGHT * feature_loss(heard_real, heard)
        discriminators.requires_grad_(True)
    for_generator.zero_grad()
    total.backward()
    for_generator.step()
    return losses


def _duration_loss(network: HifiGanNetwork, batch: Batch) -> Tensor:
    """Mean squared error of the log of one more than the frames; zero where durations are not predicted."""
    if network.dur_predictor is None:
        return batch.durations.new_zeros(())
    logs = network.dur_predictor(network.dict(batch.units), batch.unit_mask).float()
    error = (logs - batch.durations.log1p()).square() * batch.unit_mask
    return error.sum() / batch.unit_mask.sum()


def _by_length(utterances: Sequence[np.ndarray], speakers: Sequence[str] | None) -> tuple[str, ...]:
    """Names of speakers, who has the most samples first."""
    if speakers is None:
        return ("",)
    if len(speakers) != len(utterances):
        raise InputError(
            "every utterance must have its speaker",
            f"{len(utterances)} utterances, {len(speakers)} speakers",
            "give the names in the order of the utterances",
        )
    lengths: dict[str, int] = {}
    for name, waveform in zip(speakers, utterances, strict=True):
        lengths[name] = lengths.get(name, 0) + len(waveform)
    return tuple(sorted(lengths, key=lambda name: (-lengths[name], name)))


def _like(start: HifiGanVocoder, tokenizer: UnitTokenizer, names: tuple[str, ...]) -> HifiGanVocoder:
    """A copy of ``start`` to train on."""
    start.check_units_of(tokenizer)
    if start.sample_rate != features.SAMPLE_RATE or start.frame_rate != tokenizer.frame_rate:
        raise InputError(
            "training goes on at 16 kHz, at the frame rate of the units",
            f"a vocoder of {start.sample_rate} Hz and {start.frame_rate:g} frames per second",
            "begin anew",
        )
    unknown = sorted(set(names) - set(start.speakers))
    if unknown and (start.speakers or len(names) > 1):
        raise InputError(
            "a vocoder goes on with the speakers that it has",
            f"{', '.join(map(repr, unknown[:5]))}; it has {', '.join(start.speakers[:5]) or 'one without a name'}",
            "name the speaker of each utterance as it does, or begin anew",
        )
    copy = _empty(start)
    copy.load_state_dict(start.state_dict())
    return copy


def _empty(like: HifiGanVocoder) -> HifiGanVocoder:
    """One of the same settings, with weights of no meaning."""
    with torch.random.fork_rng(devices=[]):
        return HifiGanVocoder(like.config, like.unit_fingerprint, speakers=like.speakers, styles=like.styles)
