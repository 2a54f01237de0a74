"""Training data of the vocoders: random pieces of utterances, their units, log-mel and samples, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.speech import features
from smoltolk.speech.audio import check_waveform
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.mel_network import NUM_PLACE_FEATURES, place_features

BATCH = 12
CROP_SECONDS = 4.0
CROP_UNITS = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Pieces of utterances, padded behind.

    Attributes:
        rows: int64 ``[batch]``, numbers of the utterances.
        frames: int64 ``[batch, frames]``, units before deduplication.
        places: ``[batch, 3, frames]``, see :func:`~smoltolk.speech.vocoders.mel_network.place_features`.
        log_mel: ``[batch, 80, hops]`` of the frames.
        samples: ``[batch, 160 * hops]``, zero in the padding.
        hop_mask: bool ``[batch, hops]``, true where there is sound.
        units: int64 ``[batch, n]``, deduplicated; other pieces than ``frames``.
        durations: float ``[batch, n]``, frames of ``units``, 1 in the padding.
        unit_mask: bool ``[batch, n]``, true where units are.
    """

    rows: Tensor
    frames: Tensor
    places: Tensor
    log_mel: Tensor
    samples: Tensor
    hop_mask: Tensor
    units: Tensor
    durations: Tensor
    unit_mask: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class Crops:
    """Utterances with their units, ready for :meth:`draw`.

    Args:
        utterances: float32 ``[samples]``, 16 kHz; kept by reference.
        units: of each utterance.
        frame_rate: of the units, Hz.
        hops_per_frame: hops of 10 ms in a frame.

    Raises:
        InputError: a waveform that is empty or not finite, or units that are not as long as their utterance.
    """

    def __init__(
        self, utterances: Sequence[np.ndarray], units: Sequence[Units], frame_rate: float, hops_per_frame: int
    ):
        self._hops, self._frame_rate = hops_per_frame, frame_rate
        self._units: list[Tensor] = []
        self._durations: list[Tensor] = []
        self._frames: list[Tensor] = []
        self._places: list[Tensor] = []
        self._mels: list[Tensor] = []
        self._samples: list[Tensor] = []
        for waveform, one in zip(utterances, units, strict=True):
            samples = torch.from_numpy(check_waveform(waveform))
            held = len(samples) / features.SAMPLE_RATE * frame_rate
            if one.num_frames == 0 or abs(held - one.num_frames) > 1:
                raise InputError(
                    "units must be those of their utterance",
                    f"{one.num_frames} frames for an utterance of {held:.1f}",
                    "encode the same waveforms in the same order",
                )
            durations = torch.from_numpy(one.durations)
            self._units.append(torch.from_numpy(one.units))
            self._durations.append(durations)
            self._frames.append(torch.from_numpy(one.frames()))
            self._places.append(place_features(durations))
            self._mels.append(features.log_mel(samples[None], one.num_frames * hops_per_frame)[0])
            self._samples.append(samples)

    def mel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean of each mel band ``[80]``, and one standard deviation ``[]`` around these means."""
        every = torch.cat(self._mels, dim=1)
        mean = every.mean(1)
        return mean, (every - mean[:, None]).square().mean().sqrt().clamp(min=1e-3)

    def draw(self, random: torch.Generator, batch: int = BATCH, seconds: float = CROP_SECONDS) -> Batch:
        """A batch of random pieces of random utterances.

        Args:
            random: the only source of randomness.
            batch: pieces.
            seconds: length of each; at least one frame.
        """
        return self.cut(*self.choose(random, batch), seconds)

    def choose(self, random: torch.Generator, batch: int = BATCH) -> tuple[Tensor, Tensor]:
        """What is random in a batch: utterances ``[batch]``, and shares ``[batch, 2]``: where their pieces start."""
        chosen = torch.randint(len(self._units), (batch,), generator=random)
        return chosen, torch.rand(batch, 2, generator=random)

    def cut(self, chosen: Tensor, shares: Tensor, seconds: float = CROP_SECONDS) -> Batch:
        """The batch that :meth:`choose` chose; see :meth:`draw`."""
        crop, batch = max(1, int(seconds * self._frame_rate)), len(chosen)
        frames = torch.zeros(batch, crop, dtype=torch.int64)
        places = torch.zeros(batch, NUM_PLACE_FEATURES, crop)
        log_mel = torch.zeros(batch, features.NUM_MELS, crop * self._hops)
        samples = torch.zeros(batch, crop * self._hops * features.HOP)
        hop_mask = torch.zeros(batch, crop * self._hops, dtype=torch.bool)
        units = torch.zeros(batch, CROP_UNITS, dtype=torch.int64)
        durations = torch.ones(batch, CROP_UNITS)
        unit_mask = torch.zeros(batch, CROP_UNITS, dtype=torch.bool)
        for row, (index, (first, second)) in enumerate(zip(chosen.tolist(), shares.tolist(), strict=True)):
            start, size = _piece(len(self._frames[index]), crop, first)
            begin, hops = start * self._hops, size * self._hops
            frames[row, :size] = self._frames[index][start : start + size]
            places[row, :, :size] = self._places[index][:, start : start + size]
            log_mel[row, :, :hops] = self._mels[index][:, begin : begin + hops]
            heard = self._samples[index][begin * features.HOP : (begin + hops) * features.HOP]
            samples[row, : len(heard)] = heard
            hop_mask[row, :hops] = True
            start, size = _piece(len(self._units[index]), CROP_UNITS, second)
            units[row, :size] = self._units[index][start : start + size]
            durations[row, :size] = self._durations[index][start : start + size]
            unit_mask[row, :size] = True
        return Batch(chosen, frames, places, log_mel, samples, hop_mask, units, durations, unit_mask)


def check_training_data(utterances: Sequence[np.ndarray], units: Sequence[Units], tokenizer: UnitTokenizer) -> None:
    """Hold what a vocoder is to learn from against the rules.

    Raises:
        InputError: no utterances, another number of units, or units that are not the tokenizer's.
    """
    if not utterances or len(utterances) != len(units):
        raise InputError(
            "a vocoder needs utterances and the units of each",
            f"{len(utterances)} utterances, {len(units)} units",
            "give both in the same order",
        )
    if tokenizer.num_codebooks != 1:
        raise InputError(
            "vocoders speak units of one codebook",
            f"{tokenizer.num_codebooks} codebooks",
            "a codec decodes its own units; take another tokenizer",
        )
    largest = max((int(one.units.max()) for one in units if len(one.units)), default=0)
    if largest >= tokenizer.num_units:
        raise InputError(
            f"units must be 0 .. {tokenizer.num_units - 1}",
            f"{largest}",
            "encode the utterances with this tokenizer",
        )


def _piece(length: int, wanted: int, share: float) -> tuple[int, int]:
    """Start and size of a piece; ``share`` in [0, 1) says where in the free room it starts."""
    size = min(length, wanted)
    return int(share * (length - size + 1)), size
