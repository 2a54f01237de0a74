"""The simple vocoder: a network writes a log-mel spectrogram, Griffin-Lim finds samples for it.

No part is adversarial, so a vocoder for your own units and voice trains in a minute on a laptop. Train it on
one voice: units carry no speaker, and the mean of sixteen voices is a blur.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.speech import features
from smoltolk.speech.fitting import fit, one_thread
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.crops import Crops
from smoltolk.speech.vocoders.mel_vocoder import MelVocoder, check_training_data, torch_generator


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
def fit_vocoder(
    utterances: Sequence[np.ndarray],
    units: Sequence[Units],
    tokenizer: UnitTokenizer,
    *,
    steps: int = 250,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: Bar | None = None,
) -> GriffinLimVocoder:
    """Train the simple vocoder for a tokenizer's units.

    The same data, settings and seed give the same weights on the same kind of processor; it takes one thread,
    about 0.15 s per step.

    Args:
        utterances: float32 ``[samples]`` at 16 kHz, best of one voice; a few hundred.
        units: what ``tokenizer`` says of them.
        tokenizer: one codebook; frame rate 25 or 50 Hz.
        steps: optimizer steps, each over 12 crops of 4 s.
        learning_rate: peak of the one-cycle schedule (AdamW).
        seed: of the weights and the crops.
        progress: advanced by one per step, notes the loss.

    Raises:
        InputError: no utterances, or units that do not fit them.
    """
    check_training_data(utterances, units, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "vocoder"))
        vocoder = GriffinLimVocoder(tokenizer.num_units, tokenizer.frame_rate, tokenizer.fingerprint)
    crops = Crops(utterances, units, vocoder.frame_rate, vocoder.mel_network.hops_per_frame)
    vocoder.measure(crops)
    random = torch_generator(seed, "vocoder crops")
    fit(
        vocoder,
        lambda: vocoder.spectrogram_loss(crops.draw(random))[0],
        steps=steps,
        learning_rate=learning_rate,
        progress=progress,
    )
    return vocoder
