"""The simple vocoder: a network writes a log-mel spectrogram, Griffin-Lim finds samples for it.

No part is adversarial, so a vocoder for your own units and voice trains in a minute on a laptop. Train it on
one voice: units carry no speaker, and the mean of sixteen voices is a blur.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smoltolk.speech import features
from smoltolk.speech.vocoders.mel_vocoder import MelVocoder


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
