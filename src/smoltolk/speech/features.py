"""Log-mel spectrograms and back: frames, filters, Griffin-Lim.

Frame ``i`` is centred on the middle of its hop, sample ``160 i + 80``, and looks 11 ms beyond its hop on
either side. So a frame of units, four hops of 10 ms, stands for exactly the samples ``640 t .. 640 (t + 1)``.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import SAMPLE_RATE
from smoltolk.speech.istft import hann, samples_of_frames

HOP = 160  # samples: 10 ms
HOP_RATE = SAMPLE_RATE / HOP  # 100 Hz
WINDOW = 512  # samples: 32 ms
NUM_MELS = 80
FLOOR = 1e-5  # of the magnitude; 100 dB below a full-scale sine
LOUDEST = 10.0  # log-mel; a square wave from -1 to 1 has 4.9
_SIDE = (WINDOW - HOP) // 2


def hops_of(num_samples: int) -> int:
    """Hops of 10 ms that cover ``num_samples`` samples; the last may be part empty."""
    return -(-num_samples // HOP)


def hops_per_frame(frame_rate: float) -> int:
    """Hops of 10 ms in a frame of units (4 at 25 Hz).

    Raises:
        InputError: not a whole number.
    """
    hops = HOP_RATE / frame_rate
    if hops != int(hops):
        raise InputError(
            "a frame of units must hold a whole number of hops of 10 ms",
            f"{frame_rate} frames per second",
            "use units at 25 or 50 Hz",
        )
    return int(hops)


def magnitudes(waveforms_BN: Tensor, num_hops: int | None = None) -> Tensor:
    """Magnitudes ``[batch, 257, hops]`` of waveforms ``[batch, samples]``, with zeros beyond the ends."""
    return _stft(waveforms_BN, num_hops).abs()


def log_mel(waveforms_BN: Tensor, num_hops: int | None = None) -> Tensor:
    """Natural log of mel magnitudes, ``[batch, 80, hops]``.

    Args:
        waveforms_BN: float32 ``[batch, samples]`` at 16 kHz.
        num_hops: hops to return; default all that hold a sample.
    """
    mel = mel_filters().to(waveforms_BN.device) @ magnitudes(waveforms_BN, num_hops)
    return mel.clamp(min=FLOOR).log()


def log_mel_of(waveform: np.ndarray, hops: int) -> Tensor:
    """Log-mel ``[80, hops]`` of one recording, in pieces of a minute, to bound memory; pieces change no value."""
    piece = 6000
    context = 2  # hops; a window reaches 1.1 hops beyond its own
    made = torch.empty(NUM_MELS, hops)
    for start in range(0, hops, piece):
        first, last = max(0, start - context), min(hops, start + piece + context)
        samples = torch.from_numpy(waveform[first * HOP : last * HOP])
        part = log_mel(samples[None], last - first)[0]
        stop = min(hops, start + piece)
        made[:, start:stop] = part[:, start - first : stop - first]
    return made


def normalise_mel(log_mel_BMT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
    """Take a recording's loudness and spectral colour out of its log-mel.

    Everything more than 8 nats (70 dB) under the loudest value is cut to that floor, then each mel band is
    centred over time and the whole is scaled to unit variance. Statistics cover the whole utterance.

    Args:
        log_mel_BMT: ``[batch, mels, hops]``.
        mask_BT: ``[batch, hops]`` true where there is sound; default everywhere.
    """
    if mask_BT is None:  # apart: of an hour, every further array takes 115 MB
        mel = torch.maximum(log_mel_BMT, log_mel_BMT.amax((1, 2), keepdim=True) - 8.0)
        centred = mel.sub_(mel.sum(-1, keepdim=True) / mel.shape[-1])
        variance_B11 = centred.square().sum((1, 2), keepdim=True) / (mel.shape[-1] * mel.shape[1])
    else:
        mask_B1T = mask_BT[:, None].to(log_mel_BMT.dtype)
        count_B11 = mask_B1T.sum(-1, keepdim=True).clamp(min=1)
        peak_B11 = log_mel_BMT.masked_fill(mask_B1T == 0, -math.inf).amax((1, 2), keepdim=True)
        mel = torch.maximum(log_mel_BMT, peak_B11 - 8.0) * mask_B1T
        centred = (mel - mel.sum(-1, keepdim=True) / count_B11) * mask_B1T
        variance_B11 = centred.square().sum((1, 2), keepdim=True) / (count_B11 * mel.shape[1])
    # A silent file has no variance: it stays zero instead of turning into amplified noise.
    return centred / variance_B11.sqrt().clamp(min=1e-2)


@functools.cache
@torch.inference_mode(False)
def mel_filters() -> Tensor:
    """Triangular filters ``[80, 257]`` from 0 to 8 kHz, each with area one in bins (Slaney's mel scale)."""
    # Linear below 1 kHz, logarithmic above (M. Slaney, Auditory Toolbox, 1998): no filter falls between bins.
    top = 15.0 + math.log(SAMPLE_RATE / 2 / 1000.0) / (math.log(6.4) / 27.0)
    mels = np.linspace(0.0, top, NUM_MELS + 2)
    edges = np.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * np.exp((mels - 15.0) * math.log(6.4) / 27.0))
    bins = np.linspace(0.0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    return torch.from_numpy((filters / filters.sum(1, keepdims=True)).astype(np.float32))


@functools.cache
@torch.inference_mode(False)
def _inverse_filters() -> Tensor:
    return torch.linalg.pinv(mel_filters().double()).float()


def mel_to_magnitudes(log_mel_BMT: Tensor) -> Tensor:
    """Magnitudes ``[batch, 257, hops]`` that come closest to a log-mel ``[batch, 80, hops]``, above zero.

    Above ``LOUDEST``, which no sound reaches but a network may write that has hardly been trained, it counts as that.
    """
    mel = log_mel_BMT.clamp(max=LOUDEST).exp()
    return (_inverse_filters().to(log_mel_BMT.device) @ mel).clamp(min=FLOOR / 10)


def griffin_lim(
    log_mel_BMT: Tensor,
    *,
    iterations: int = 32,
    momentum: float = 0.99,
    seed: int = 0,
    said_BN: Tensor | None = None,
) -> Tensor:
    """A waveform whose log-mel is close to ``log_mel_BMT``.

    Griffin and Lim (1984) with the momentum of Perraudin, Balazs and Soendergaard (2013).

    Args:
        log_mel_BMT: ``[batch, 80, hops]``.
        iterations: rounds of phase search.
        momentum: 0 is the plain method.
        seed: of the first phases; the same seed gives the same samples.
        said_BN: float32 ``[batch, n]``, the first samples, where they are known: what follows fits their phases.

    Returns:
        float32 ``[batch, 160 * hops]``; where samples were known, close to them.
    """
    # Frames lie beside each other, for that is how transforms of them are quick: [batch, hops, 257].
    target_BTF = mel_to_magnitudes(log_mel_BMT).transpose(1, 2).contiguous()
    hops = target_BTF.shape[1]
    random = torch.Generator().manual_seed(seed)
    # One row of phases serves all of a batch: a waveform does not depend on what it is made beside.
    phase_FT = torch.rand(target_BTF.shape[2], hops, generator=random) * (2 * math.pi)
    phase_BFT = phase_FT.expand(len(target_BTF), -1, -1)
    known = 0 if said_BN is None else said_BN.shape[1]
    if said_BN is not None and known:
        phase_BFT = _phases_behind(said_BN, phase_BFT)
    estimate = torch.polar(torch.ones_like(target_BTF), phase_BFT.transpose(1, 2).contiguous())
    previous = torch.zeros_like(estimate)
    window = hann(WINDOW).to(target_BTF.device)
    weight = samples_of_frames(window.square().expand(1, hops, WINDOW), HOP).clamp(min=1e-4)
    for _ in range(iterations):
        waveform = samples_of_frames(torch.fft.irfft(target_BTF * estimate, n=WINDOW) * window, HOP) / weight
        if said_BN is not None and known:
            waveform[:, :known] = said_BN
        frames = torch.nn.functional.pad(waveform, (_SIDE, _SIDE)).unfold(-1, WINDOW, HOP)
        rebuilt = torch.fft.rfft(frames * window)
        estimate = torch.sgn(rebuilt - previous * (momentum / (1 + momentum)))
        previous = rebuilt
    return samples_of_frames(torch.fft.irfft(target_BTF * estimate, n=WINDOW) * window, HOP) / weight


def _phases_behind(said_BN: Tensor, phase_BFT: Tensor) -> Tensor:
    """Phases ``[batch, 257, hops]`` to begin a search with: those of known samples, and where these end those of tones
    that go on."""
    whole = max(0, (said_BN.shape[1] - HOP - _SIDE) // HOP + 1)  # frames that lie in what is known
    if whole < 2:
        return phase_BFT
    known = _stft(said_BN[:, : (whole - 1) * HOP + HOP + _SIDE], whole).angle()
    turn = known[..., -1:] - known[..., -2:-1]  # from hop to hop
    steps = torch.arange(1, phase_BFT.shape[-1] - whole + 1)
    return torch.cat([known, known[..., -1:] + turn * steps], dim=-1)


def _stft(waveforms_BN: Tensor, num_hops: int | None = None) -> Tensor:
    num_hops = hops_of(waveforms_BN.shape[-1]) if num_hops is None else num_hops
    missing = num_hops * HOP - waveforms_BN.shape[-1]
    padded = torch.nn.functional.pad(waveforms_BN, (_SIDE, _SIDE + missing))
    window = hann(WINDOW).to(waveforms_BN.device)
    return torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True)
