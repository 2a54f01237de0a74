"""The inverse short-time Fourier transform with as many hops out as frames in, for phase search and for networks.

Frame ``i`` is centred on the middle of hop ``i`` ("same" padding); the inverse is exact wherever the windows of
all frames that reach a sample are there, and least squares elsewhere.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def inverse_stft(spectrum_BFT: Tensor, hop: int) -> Tensor:
    """Samples of a complex spectrum, by windowing, overlap and add; differentiable.

    Args:
        spectrum_BFT: complex ``[batch, window / 2 + 1, frames]``, of frames under a periodic Hann window.
        hop: samples from frame to frame; at most half the window, an even number less than it.

    Returns:
        ``[batch, frames * hop]``.
    """
    window = 2 * (spectrum_BFT.shape[1] - 1)
    weights = hann(window).to(spectrum_BFT.device)
    frames = torch.fft.irfft(spectrum_BFT, n=window, dim=1) * weights[:, None]
    num_frames, side = frames.shape[-1], (window - hop) // 2
    length = (num_frames - 1) * hop + window
    weight = overlap_add(weights.square()[None, :, None].expand(1, window, num_frames), hop)
    return (overlap_add(frames, hop) / weight.clamp(min=1e-4))[:, side : length - side]


def overlap_add(frames_BWT: Tensor, hop: int) -> Tensor:
    """Frames ``[batch, window, frames]`` summed where they overlap, ``[batch, (frames - 1) * hop + window]``."""
    window, num_frames = frames_BWT.shape[1:]
    length = (num_frames - 1) * hop + window
    return torch.nn.functional.fold(frames_BWT, (1, length), (1, window), stride=(1, hop))[:, 0, 0]


def samples_of_frames(frames_BTW: Tensor, hop: int) -> Tensor:
    """Frames ``[batch, frames, window]`` summed where they overlap, of "same" padding: ``[batch, frames * hop]``.

    Quicker than :func:`overlap_add`, which autograd goes through.
    """
    num_frames, window = frames_BTW.shape[1:]
    parts = -(-window // hop)
    split = torch.nn.functional.pad(frames_BTW, (0, parts * hop - window)).unflatten(2, (parts, hop))
    summed = split.new_zeros(len(split), num_frames + parts - 1, hop)
    for part in range(parts):
        summed[:, part : part + num_frames] += split[:, :, part]
    side = (window - hop) // 2
    return summed.flatten(1)[:, side : side + num_frames * hop]


@functools.cache
@torch.inference_mode(False)
def hann(size: int) -> Tensor:
    """The periodic Hann window ``[size]``, on the CPU."""
    # Outside of inference mode, whoever asks first: a tensor made inside could never meet a gradient.
    return torch.hann_window(size)
