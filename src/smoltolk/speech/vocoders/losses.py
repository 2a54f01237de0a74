"""How far made sound is from recorded sound, as spectra: what a vocoder without discriminators can learn from."""

from __future__ import annotations

import torch
from torch import Tensor

from smoltolk.speech import features
from smoltolk.speech.istft import hann

# Window and hop in samples at 16 kHz: 64, 32 and 8 ms. One resolution alone leaves room for wrong phases.
RESOLUTIONS = ((1024, 256), (512, 128), (128, 32))
_FLOOR = 1e-4


def mel_distance(made_BN: Tensor, real_BN: Tensor) -> Tensor:
    """Mean absolute difference of log-mel, in nats, ``[]``.

    Args:
        made_BN, real_BN: float32 ``[batch, samples]`` at 16 kHz.
    """
    return (features.log_mel(made_BN) - features.log_mel(real_BN)).abs().mean()


def stft_distance(made_BN: Tensor, real_BN: Tensor) -> Tensor:
    """Spectral convergence plus difference of log magnitudes, mean over :data:`RESOLUTIONS`, ``[]``.

    Yamamoto, Song and Kim, "Parallel WaveGAN" (2020), equations 3 to 5.

    Args:
        made_BN, real_BN: float32 ``[batch, samples]`` at 16 kHz.
    """
    total = made_BN.new_zeros(())
    for window, hop in RESOLUTIONS:
        made, real = (_magnitudes(waveform, window, hop) for waveform in (made_BN, real_BN))
        convergence = (real - made).square().sum().sqrt() / real.square().sum().sqrt().clamp(min=_FLOOR)
        total = total + convergence + (made.log() - real.log()).abs().mean()
    return total / len(RESOLUTIONS)


def _magnitudes(waveforms_BN: Tensor, window: int, hop: int) -> Tensor:
    spectrum = torch.stft(
        waveforms_BN, window, hop, window=hann(window).to(waveforms_BN.device), pad_mode="constant",
        return_complex=True,
    )  # fmt: skip
    # Not the absolute value: its gradient has no limit at zero.
    return (spectrum.real.square() + spectrum.imag.square()).clamp(min=_FLOOR**2).sqrt()
