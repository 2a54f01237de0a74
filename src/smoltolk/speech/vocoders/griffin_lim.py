"""The simple vocoder: a network writes a log-mel spectrogram, Griffin-Lim finds samples for it.

No part is adversarial, so a vocoder for your own units and voice trains in a minute on a laptop. Train it on
one voice: units carry no speaker, and the mean of sixteen voices is a blur.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from smoltolk.speech import features
from smoltolk.speech.small_networks import one_thread
from smoltolk.speech.vocoders.mel_vocoder import MelVocoder
from smoltolk.speech.vocoders.vocoder import to_samples

_HOPS_BEHIND = 8  # of what has been said, whose phases the search goes on from
_HOPS_AHEAD = 8  # behind what is asked for, so that the edge of the search cannot be heard


class GriffinLimVocoder(MelVocoder):
    """Log-mel regression and phase search; see :class:`~smoltolk.speech.vocoders.mel_vocoder.MelVocoder`.

    Attributes:
        iterations: of Griffin-Lim. A recogniser hears no difference from 4 on; time grows with them.
    """

    KIND = "mel-griffin-lim"

    def __init__(self, num_units: int, frame_rate: float, unit_fingerprint: str, *, width: int = 160):
        super().__init__(num_units, frame_rate, unit_fingerprint, width=width)
        self.iterations = 16
        self.eval()

    @torch.inference_mode()
    def _invert(self, log_mel: Tensor, seed: int) -> Tensor:
        return features.griffin_lim(log_mel[None].cpu(), iterations=self.iterations, seed=seed)[0]

    @one_thread()
    @torch.inference_mode()
    def resume(
        self,
        units: np.ndarray,
        durations: np.ndarray,
        said: np.ndarray,
        seed: int = 0,
        *,
        speaker: str | int | None = None,
        frames: int | None = None,
    ) -> np.ndarray:
        """See :meth:`Vocoder.resume`; the phases of what was said are given, and the search finds those behind it."""
        self.speaker_index(speaker)
        per_frame = self.mel_network.hops_per_frame
        stop = per_frame * int(durations.sum())
        if frames is not None:  # no search where nobody asks for sound
            stop = min(stop, per_frame * frames + _HOPS_AHEAD)
        skipped = max(0, len(said) // features.HOP - _HOPS_BEHIND)
        log_mel = self.log_mel(units, durations, range(skipped, stop)).cpu()
        behind = torch.from_numpy(np.ascontiguousarray(said[skipped * features.HOP :], np.float32))
        made = features.griffin_lim(log_mel[None], iterations=self.iterations, seed=seed, said_BN=behind[None])
        return np.concatenate([said[: skipped * features.HOP].astype(np.float32), to_samples(made[0])])
