"""Distances of sounds: zero for the same, growing with what is heard, defined for silence."""

import numpy as np
import torch

from smoltolk.speech.vocoders.losses import mel_distance, stft_distance


def test_the_same_sound_has_no_distance_and_noise_has_more(clear_speech: list[np.ndarray]) -> None:
    real = torch.from_numpy(clear_speech[0])[None]
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0)) * real.std()
    for distance in (mel_distance, stft_distance):
        assert distance(real, real) == 0
        little, much = distance(real + 0.1 * noise, real), distance(real + noise, real)
        assert 0 < little < much
        assert distance(-real, real) < 1e-4  # no ear tells the sign


def test_silence_has_distances_and_gradients() -> None:
    silent = torch.zeros(1, 4000, requires_grad=True)
    (mel_distance(silent, torch.zeros(1, 4000)) + stft_distance(silent, torch.zeros(1, 4000))).backward()
    assert silent.grad is not None and bool(silent.grad.isfinite().all())
