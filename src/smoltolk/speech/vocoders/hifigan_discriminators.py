"""The two families of discriminators of HiFi-GAN, and what they and the generator learn from each other.

Kong, Kim and Bae, "HiFi-GAN" (2020), sections 2.3 and 2.4.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

PERIODS = (2, 3, 5, 7, 11)
NUM_SCALES = 3
_SLOPE = 0.1
Judged = tuple[list[Tensor], list[list[Tensor]]]  # a score of each discriminator, and the layers below it


class PeriodDiscriminator(nn.Module):
    """Sees every ``period``-th sample as one row of an image.

    Args:
        period: samples.
        width: channels of the first layer; the paper has 32.
    """

    def __init__(self, period: int, width: int):
        super().__init__()
        self.period = period
        sizes = (1, width, 4 * width, 16 * width, 32 * width, 32 * width)
        self.layers = nn.ModuleList(
            parametrizations.weight_norm(nn.Conv2d(first, second, (5, 1), (3 if k < 4 else 1, 1), padding=(2, 0)))
            for k, (first, second) in enumerate(itertools.pairwise(sizes))
        )
        self.head = parametrizations.weight_norm(nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waveforms_BN: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Score ``[batch, places]`` and the layers below it for ``[batch, samples]``."""
        missing = -waveforms_BN.shape[-1] % self.period
        padded = nn.functional.pad(waveforms_BN[:, None], (0, missing), "reflect")
        hidden = padded.unflatten(-1, (-1, self.period))
        return _pass(self.layers, self.head, hidden)


class ScaleDiscriminator(nn.Module):
    """Sees the waveform, or the mean of 2 or 4 neighbours, through long grouped convolutions.

    Args:
        width: channels of the first layer; the paper has 128.
        spectral: normalise weights by their largest singular value, as for the full rate, not by their length.
    """

    def __init__(self, width: int, *, spectral: bool):
        super().__init__()
        norm = parametrizations.spectral_norm if spectral else parametrizations.weight_norm
        shapes = ((15, 1, 1, 1), (41, 2, 4, 1), (41, 2, 16, 2), (41, 4, 16, 4), (41, 4, 16, 8), (41, 1, 16, 8))
        layers, inputs = [], 1
        for kernel, stride, groups, growth in (*shapes, (5, 1, 1, 8)):
            outputs = growth * width
            shared = min(groups, inputs, outputs)  # narrow ones have fewer channels than groups
            layers.append(norm(nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, groups=shared)))
            inputs = outputs
        self.layers = nn.ModuleList(layers)
        self.head = norm(nn.Conv1d(inputs, 1, 3, padding=1))

    def forward(self, waveforms_BN: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Score ``[batch, places]`` and the layers below it for ``[batch, samples]``."""
        return _pass(self.layers, self.head, waveforms_BN[:, None])


class Discriminators(nn.Module):
    """Five periods and three scales.

    Args:
        width: a quarter of the channels of the first layer of a scale, and all of that of a period; 32 in the paper.
    """

    def __init__(self, width: int = 32):
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(period, width) for period in PERIODS)
        self.scales = nn.ModuleList(ScaleDiscriminator(4 * width, spectral=scale == 0) for scale in range(NUM_SCALES))

    def forward(self, waveforms_BN: Tensor) -> Judged:
        """What each says of ``[batch, samples]``."""
        judged = [one(waveforms_BN) for one in self.periods]
        for scale, one in enumerate(self.scales):
            if scale:
                waveforms_BN = nn.functional.avg_pool1d(waveforms_BN[:, None], 4, 2, padding=2)[:, 0]
            judged.append(one(waveforms_BN))
        return [score for score, _ in judged], [layers for _, layers in judged]


def discriminator_loss(real: Judged, made: Judged) -> Tensor:
    """Least squares: 1 for what was recorded, 0 for what was made (equation 1)."""
    return _sum(
        (1 - first.float()).square().mean() + second.float().square().mean()
        for first, second in zip(real[0], made[0], strict=True)
    )


def adversarial_loss(made: Judged) -> Tensor:
    """Least squares of the generator: 1 for what was made (equation 2)."""
    return _sum((1 - score.float()).square().mean() for score in made[0])


def feature_loss(real: Judged, made: Judged) -> Tensor:
    """Mean absolute difference of the layers of all discriminators (equation 4)."""
    return _sum(
        (first.detach().float() - second.float()).abs().mean()
        for layers, others in zip(real[1], made[1], strict=True)
        for first, second in zip(layers, others, strict=True)
    )


def _pass(layers: nn.ModuleList, head: nn.Module, hidden: Tensor) -> tuple[Tensor, list[Tensor]]:
    seen = []
    for layer in layers:
        hidden = nn.functional.leaky_relu(layer(hidden), _SLOPE)
        seen.append(hidden)
    score = head(hidden)
    return score.flatten(1), [*seen, score]


def _sum(losses: object) -> Tensor:
    return torch.stack(list(losses)).sum()  # type: ignore[call-overload]
