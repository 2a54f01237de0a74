"""The networks of the vocoder: units to log-mel, and units to durations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from smoltolk.speech.features import NUM_MELS
from smoltolk.speech.layers import ResidualConvs

NUM_PLACE_FEATURES = 3


class MelNetwork(nn.Module):
    """Frames of units to log-mel: convolutions at the frame rate, repeated to hops, convolutions at 100 Hz.

    Args:
        num_units: distinct units.
        hops_per_frame: hops of 10 ms in a frame of units (4 at 25 Hz).
        width: channels.
    """

    def __init__(self, num_units: int, hops_per_frame: int, width: int = 160):
        super().__init__()
        self.hops_per_frame = hops_per_frame
        self.embed = nn.Embedding(num_units, width)
        self.place = nn.Conv1d(NUM_PLACE_FEATURES, width, 1)
        # At 25 Hz the dilations reach 1.6 s to either side: enough for the melody of a phrase.
        self.frame_convs = ResidualConvs(width, 5, (1, 2, 4, 8, 4, 1))
        self.hop_in_frame = nn.Parameter(torch.zeros(width, hops_per_frame))
        self.hop_convs = ResidualConvs(width, 5, (1, 2, 1))
        self.head = nn.Conv1d(width, NUM_MELS, 1)
        nn.init.normal_(self.hop_in_frame, std=0.5)

    def forward(self, units_BF: Tensor, places_B3F: Tensor, hops: range | None = None) -> Tensor:
        """Log-mel ``[batch, 80, hops_per_frame * frames]``, normalised as the training data was.

        Args:
            units_BF: int64 ``[batch, frames]``, before deduplication.
            places_B3F: :func:`place_features` of the same frames.
            hops: ``[batch, 80, len(hops)]`` of these alone, the same as among all; None: all.
        """
        hidden = self.embed(units_BF).transpose(1, 2) + self.place(places_B3F)
        hidden, first = self.frame_convs(hidden), 0
        if hops is not None:  # what they are made of
            first = max(0, (hops.start - self.hop_convs.reach) // self.hops_per_frame)
            hidden = hidden[..., first : math.ceil((hops.stop + self.hop_convs.reach) / self.hops_per_frame)]
        mel = self.head(self.hop_convs((hidden[..., None] + self.hop_in_frame[:, None]).flatten(2)))
        begin = first * self.hops_per_frame
        return mel if hops is None else mel[..., hops.start - begin : hops.stop - begin]


class DurationNetwork(nn.Module):
    """Deduplicated units to the log of their durations.

    Args:
        num_units: distinct units; ``num_units`` itself stands for padding.
        width: channels.
    """

    def __init__(self, num_units: int, width: int = 128):
        super().__init__()
        self.embed = nn.Embedding(num_units + 1, width)
        self.convs = ResidualConvs(width, 5, (1, 2, 4, 1))
        self.head = nn.Conv1d(width, 1, 1)

    def forward(self, units_BN: Tensor, mask_BN: Tensor | None = None) -> Tensor:
        """Natural log of frames ``[batch, n]`` for units ``[batch, n]``; the mask is true where units are."""
        hidden = self.embed(units_BN).transpose(1, 2)
        if mask_BN is not None:
            hidden = hidden * mask_BN[:, None]
        return self.head(self.convs(hidden, mask_BN))[:, 0]


def place_features(durations_N: Tensor) -> Tensor:
    """Where each frame lies in its unit, ``[3, frames]``: share before, share behind, log of the duration."""
    ends = durations_N.cumsum(0)
    lengths = durations_N.repeat_interleave(durations_N).float()
    starts = (ends - durations_N).repeat_interleave(durations_N)
    before = torch.arange(len(lengths), device=starts.device) - starts
    return torch.stack([before / lengths, (lengths - 1 - before) / lengths, lengths.log()])
