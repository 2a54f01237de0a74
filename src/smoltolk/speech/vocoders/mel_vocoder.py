"""Vocoders by way of a spectrogram: one network writes log-mel for units, something else finds samples for it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from smoltolk.speech import features
from smoltolk.speech.small_networks import one_thread
from smoltolk.speech.vocoders.crops import Batch, Crops
from smoltolk.speech.vocoders.mel_network import DurationNetwork, MelNetwork, place_features
from smoltolk.speech.vocoders.vocoder import Reach, Vocoder, to_samples


class MelVocoder(Vocoder):
    """Units to log-mel to sound, in the voice it was trained on.

    Args:
        num_units: distinct units.
        frame_rate: of the units, Hz; must divide 100.
        unit_fingerprint: of the unit tokenizer that it belongs to.
        width: channels of the mel network.
    """

    _SETTINGS: tuple[str, ...] = ("num_units", "frame_rate", "unit_fingerprint", "width")
    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, num_units: int, frame_rate: float, unit_fingerprint: str, *, width: int = 160):
        super().__init__(num_units, frame_rate, unit_fingerprint, features.SAMPLE_RATE)
        hops = features.hops_per_frame(frame_rate)
        self.mel_network = MelNetwork(num_units, hops, width)
        self.duration_network = DurationNetwork(num_units)
        self.register_buffer("mel_mean", torch.zeros(features.NUM_MELS))
        self.register_buffer("mel_scale", torch.ones(()))

    @abstractmethod
    def _invert(self, log_mel: Tensor, seed: int) -> Tensor:
        """Log-mel ``[80, hops]`` to samples ``[160 * hops]``."""

    def _config(self) -> dict[str, Any]:
        return {
            "kind": self.KIND,
            "num_units": self.num_units,
            "frame_rate": self.frame_rate,
            "unit_fingerprint": self.unit_fingerprint,
            "width": self.mel_network.head.in_channels,
        }

    @classmethod
    def _from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**{name: config[name] for name in cls._SETTINGS})

    @property
    def reach(self) -> Reach:
        """Of the convolutions of its networks, and of what makes samples."""
        hops = self.mel_network.hop_convs.reach + self._hops_of_samples
        frames = self.mel_network.frame_convs.reach + math.ceil(hops / self.mel_network.hops_per_frame)
        return Reach(self.duration_network.convs.reach, frames)

    @property
    def _hops_of_samples(self) -> int:
        """Hops to either side that decide the samples of one: those that a window covers."""
        return math.ceil(features.WINDOW / features.HOP)

    @one_thread()
    def synthesize(
        self,
        units: np.ndarray,
        durations: np.ndarray | None = None,
        seed: int = 0,
        *,
        speaker: str | int | None = None,
    ) -> np.ndarray:
        """See :meth:`Vocoder.synthesize`; 16 kHz, one voice."""
        self.speaker_index(speaker)
        return to_samples(self._invert(self.log_mel(units, durations), seed))

    @torch.inference_mode()
    def log_mel(self, units: np.ndarray, durations: np.ndarray | None = None, hops: range | None = None) -> Tensor:
        """The spectrogram ``[80, hops]`` of :meth:`synthesize`, or some hops of it."""
        units_N = self.check_units(units)
        durations_N = self.check_durations(durations, units)
        frames_F = units_N.repeat_interleave(durations_N)
        mel = self.mel_network(frames_F[None], place_features(durations_N)[None], hops)[0]
        return mel * self.mel_scale + self.mel_mean[:, None]

    @torch.inference_mode()
    def predict_durations(self, units: np.ndarray) -> np.ndarray:
        """Frames of each unit, int64 ``[n]``, at least 1; rounding errors are carried on."""
        logs = self.duration_network(self.check_units(units)[None])[0]
        wanted = logs.exp().double().clamp(max=100).cpu().numpy()
        # Halves go up, always: steps of one or more then never round to none.
        ends = np.floor(np.cumsum(np.maximum(wanted, 1.0)) + 0.5).astype(np.int64)
        return np.diff(ends, prepend=0)

    def measure(self, crops: Crops) -> None:
        """Take mean and scale of the log-mel from the data it is going to learn."""
        mean, scale = crops.mel_statistics()
        self.mel_mean.copy_(mean)
        self.mel_scale.copy_(scale)

    def normalise(self, log_mel_BMT: Tensor) -> Tensor:
        """Log-mel as its network writes it."""
        return (log_mel_BMT - self.mel_mean[:, None]) / self.mel_scale

    def spectrogram_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean absolute error of normalised log-mel, plus mean squared error of log durations.

        Returns:
            The loss ``[]``, and the log-mel that was written, ``[batch, 80, hops]``, normalised.
        """
        hop_mask = batch.hop_mask[:, None].float()
        mel = self.mel_network(batch.frames, batch.places).float()
        error = ((mel - self.normalise(batch.log_mel)).abs() * hop_mask).sum()
        logs = self.duration_network(batch.units, batch.unit_mask).float()
        # Squares aim at the mean: absolute errors aim at the median, one frame, and speech comes out 3% too fast.
        duration_error = ((logs - batch.durations.log()).square() * batch.unit_mask).sum() / batch.unit_mask.sum()
        return error / (hop_mask.sum() * features.NUM_MELS) + duration_error, mel
