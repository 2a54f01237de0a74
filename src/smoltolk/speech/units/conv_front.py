"""The convolutions at the front of the wav2vec 2.0 family, computed in pieces.

Its first layers make 131 MB of 20 s of sound, which mostly waits for memory. A frame sees 45 ms of sound, so pieces
that share those give the same frames from memory that stays in the cache. What does not come in pieces is the group
norm of the first layer, whose statistics cover a whole window: they are taken first. Padding never passes here: rows of
a batch come one by one, each at its own length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PIECE_FRAMES = 50  # a second at 50 Hz


class ConvFront(nn.Module):
    """In the place of a model's ``feature_extractor``, with its weights and under its names.

    Args:
        extractor: of a model of the family: ``conv_layers``, the first with a group norm or each with a layer norm.
        kernels, strides: of the layers, in samples of their input.
    """

    conv_layers: Any  # of nn.Module type, whose items are more than Modules

    def __init__(self, extractor: Any, kernels: Sequence[int], strides: Sequence[int]):
        super().__init__()
        self.conv_layers = extractor.conv_layers
        self.receptive, self.stride = geometry(kernels, strides)
        self.lengths: list[int] | None = None  # samples of each row where rows are padded
        first = extractor.conv_layers[0]
        self.group_norm: bool = isinstance(getattr(first, "layer_norm", None), nn.GroupNorm)

    def forward(self, input_values_BN: Tensor) -> Tensor:
        """``[batch, channels, frames]``; frames of padding are zero."""
        lengths = self.lengths or [input_values_BN.shape[1]] * len(input_values_BN)
        rows = [self._row(row[:length]) for row, length in zip(input_values_BN, lengths, strict=True)]
        longest = (input_values_BN.shape[1] - self.receptive) // self.stride + 1
        return torch.stack([F.pad(row, (0, longest - row.shape[1])) for row in rows])

    def _row(self, samples_N: Tensor) -> Tensor:
        frames = (len(samples_N) - self.receptive) // self.stride + 1
        norm = self._statistics(samples_N[None, None]) if self.group_norm else None
        pieces = []
        for first in range(0, frames, _PIECE_FRAMES):
            count = min(_PIECE_FRAMES, frames - first)
            start = first * self.stride
            hidden = samples_N[None, None, start : start + (count - 1) * self.stride + self.receptive]
            for number, layer in enumerate(self.conv_layers):
                if number == 0 and norm is not None:
                    scale, shift = norm
                    conv = layer.conv
                    # The norm is linear once its statistics are known: it becomes part of the convolution.
                    hidden = layer.activation(F.conv1d(hidden, conv.weight * scale[:, None, None], shift, conv.stride))
                else:
                    hidden = layer(hidden)
            pieces.append(hidden[0])
        return torch.cat(pieces, dim=1)

    def _statistics(self, samples_11N: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's group norm over all samples, as a factor and a summand of each channel.

        A convolution's mean and variance over time follow from those of its input's lagged products; summing
        its outputs piece by piece in float64 is as exact and plainer.
        """
        layer = self.conv_layers[0]
        conv, norm = layer.conv, layer.layer_norm
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        count = (samples_11N.shape[-1] - kernel) // stride + 1
        size = _PIECE_FRAMES * self.stride // stride
        weight = conv.weight.float()
        total = weight.new_zeros(conv.out_channels, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for first in range(0, count, size):
            last = min(first + size, count)
            part = samples_11N[..., first * stride : (last - 1) * stride + kernel].float()
            made = F.conv1d(part, weight, None, stride)[0]
            total += made.sum(1, dtype=torch.float64)
            squares += made.square().sum(1, dtype=torch.float64)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).add(norm.eps).sqrt()
        scale = norm.weight / deviation
        # A bias of the convolution cancels out of what is centred.
        return scale.to(conv.weight.dtype), (norm.bias - mean * scale).to(conv.weight.dtype)


def geometry(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Samples that a frame sees, and samples from one frame to the next."""
    receptive = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        receptive = (receptive - 1) * stride + kernel
    return receptive, math.prod(strides)
