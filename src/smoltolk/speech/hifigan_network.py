"""The networks of the unit HiFi-GAN: units to samples, and units to durations.

Kong, Kim and Bae, "HiFi-GAN" (2020); Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised
Representations" (2021). Modules are named as in the published checkpoints, so that these load by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from smoltolk.common.errors import InputError

_SLOPE = 0.1  # of the leaky ReLUs inside
_SLOPE_AT_END = 0.01  # of the one before conv_post, as the published networks were trained
_LARGEST_RATE = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class HifiGanConfig:
    """The settings of a published ``config.json`` that decide the network, under their published names.

    Attributes:
        num_embeddings: units.
        embedding_dim: of a unit, a speaker and a style each.
        model_in_dim: ``embedding_dim`` times how many of these there are.
        upsample_rates, upsample_kernel_sizes: of each transposed convolution; rates multiply to samples per frame.
        upsample_initial_channel: halved by each of them.
        resblock_kernel_sizes, resblock_dilation_sizes: of the residual blocks behind each of them.
        dur_predictor_params: ``encoder_embed_dim, var_pred_hidden_dim, var_pred_kernel_size, var_pred_dropout``; None:
            durations are not predicted.
        multispkr: whether it has speakers; published ones name the way the speaker was found.
        num_speakers: rows of the speaker embedding.
        embedder_params: whether a speaker is a vector of an outer speaker encoder instead; not supported.
        multistyle: whether it has styles.
        num_styles: rows of the style embedding.
        f0: whether it takes a pitch curve; not supported.
        sampling_rate: Hz.
    """

    num_embeddings: int
    embedding_dim: int
    model_in_dim: int
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    upsample_initial_channel: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    dur_predictor_params: Mapping[str, Any] | None = None
    multispkr: bool | str | None = None
    num_speakers: int = 200
    embedder_params: Any = None
    multistyle: bool | str | None = None
    num_styles: int = 100
    f0: Any = None
    sampling_rate: int = 16_000

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> HifiGanConfig:
        """Read a published config, or what :meth:`as_dict` gave; settings of their training are left aside.

        Raises:
            InputError: a setting is missing or has another form, or asks for what is not supported.
        """
        names = [field.name for field in fields(cls)]
        try:
            given = {name: _frozen(settings[name]) for name in names if name in settings}
            config = cls(**given)
            config._check()
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(
                "the config of a unit HiFi-GAN must have the published keys",
                f"{error}",
                "take the config.json that came with the checkpoint",
            ) from error
        return config

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @property
    def hop(self) -> int:
        """Samples in a frame of units."""
        hop = 1
        for rate in self.upsample_rates:
            hop *= rate
        return hop

    @property
    def frame_rate(self) -> float:
        """Of its units, Hz."""
        return self.sampling_rate / self.hop

    def _check(self) -> None:
        asked = {"a pitch curve (f0)": self.f0, "an outer speaker encoder (embedder_params)": self.embedder_params}
        unsupported = [name for name, value in asked.items() if value]
        if unsupported:
            raise InputError(
                "a unit HiFi-GAN takes units, and a speaker and a style by number",
                f"this one needs {' and '.join(unsupported)}",
                "take a checkpoint without, e.g. hifigan_lj_mhubert_base_25hz",
            )
        if self.model_in_dim != self.embedding_dim * (1 + bool(self.multispkr) + bool(self.multistyle)):
            raise InputError(
                "model_in_dim must be embedding_dim for units, for speakers and for styles together",
                f"model_in_dim {self.model_in_dim}, embedding_dim {self.embedding_dim}, multispkr {self.multispkr!r}, "
                f"multistyle {self.multistyle!r}",
                "take the config.json that came with the checkpoint",
            )
        for first, second in (
            (self.upsample_rates, self.upsample_kernel_sizes),
            (self.resblock_kernel_sizes, self.resblock_dilation_sizes),
        ):
            if len(first) != len(second) or not first:
                raise InputError(
                    "rates and kernels, and kernels and dilations, must be as many",
                    f"{list(first)} and {list(second)}",
                    "take the config.json that came with the checkpoint",
                )


class ResidualBlock(nn.Module):
    """Pairs of a dilated and a plain convolution, each pair added to its input: ``[batch, channels, time]``."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]):
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=one, padding=(kernel - 1) * one // 2) for one in dilations
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2) for _ in dilations)

    def forward(self, hidden_BCT: Tensor) -> Tensor:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            branch = dilated(nn.functional.leaky_relu(hidden_BCT, _SLOPE))
            hidden_BCT = hidden_BCT + plain(nn.functional.leaky_relu(branch, _SLOPE))
        return hidden_BCT


class DurationPredictor(nn.Module):
    """Embedded units to the log of one more than their frames (Ren et al., "FastSpeech 2", 2020)."""

    def __init__(self, encoder_embed_dim: int, var_pred_hidden_dim: int, var_pred_kernel_size: int, dropout: float):
        super().__init__()
        hidden, kernel = var_pred_hidden_dim, var_pred_kernel_size
        padding = (kernel - 1) // 2
        self.conv1 = nn.Sequential(nn.Conv1d(encoder_embed_dim, hidden, kernel, padding=padding), nn.ReLU())
        self.ln1 = nn.LayerNorm(hidden)
        # Published checkpoints pad the second convolution by one whatever its kernel; theirs is three.
        self.conv2 = nn.Sequential(nn.Conv1d(hidden, hidden, kernel, padding=padding), nn.ReLU())
        self.ln2 = nn.LayerNorm(hidden)
        self.proj = nn.Linear(hidden, 1)
        self.dropout = dropout

    def forward(self, embedded_BNC: Tensor, mask_BN: Tensor | None = None) -> Tensor:
        """``[batch, n]`` for ``[batch, n, channels]``; the mask is true where units are."""
        hidden = embedded_BNC
        for convolution, norm in ((self.conv1, self.ln1), (self.conv2, self.ln2)):
            if mask_BN is not None:
                hidden = hidden * mask_BN[..., None]
            hidden = norm(convolution(hidden.transpose(1, 2)).transpose(1, 2))
            hidden = nn.functional.dropout(hidden, self.dropout, self.training)
        return self.proj(hidden)[..., 0]


class HifiGanNetwork(nn.Module):
    """Units, a speaker and a style to samples; convolutions are plain, see :func:`add_weight_norm`."""

    def __init__(self, config: HifiGanConfig):
        super().__init__()
        channels, dim = config.upsample_initial_channel, config.embedding_dim
        self.dict = nn.Embedding(config.num_embeddings, dim)
        self.spkr = nn.Embedding(config.num_speakers, dim) if config.multispkr else None
        self.style = nn.Embedding(config.num_styles, dim) if config.multistyle else None
        self.conv_pre = nn.Conv1d(config.model_in_dim, channels, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            up = nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2)
            self.ups.append(up)
            channels //= 2
            self.resblocks.extend(
                ResidualBlock(channels, size, dilations)
                for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
            )
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3)
        self.dur_predictor = None
        if config.dur_predictor_params:
            given = config.dur_predictor_params
            self.dur_predictor = DurationPredictor(
                given["encoder_embed_dim"], given["var_pred_hidden_dim"], given["var_pred_kernel_size"],
                given["var_pred_dropout"],
            )  # fmt: skip
        self._blocks_each = len(config.resblock_kernel_sizes)
        # The published 0.01 suits 512 channels; in narrow networks the signal would die on its way.
        for up, rate in zip(self.ups, config.upsample_rates, strict=True):
            nn.init.normal_(up.weight, std=(up.weight.shape[0] * up.weight.shape[2] / rate) ** -0.5)

    def forward(self, frames_BF: Tensor, speakers_B: Tensor, styles_B: Tensor) -> Tensor:
        """Samples ``[batch, hop * frames]`` in [-1, 1].

        Args:
            frames_BF: int64 ``[batch, frames]``, units before deduplication.
            speakers_B, styles_B: int64 ``[batch]``; unused where it has none.
        """
        hidden = self.dict(frames_BF).transpose(1, 2)
        for table, numbers_B in ((self.spkr, speakers_B), (self.style, styles_B)):
            if table is not None:
                voice = table(numbers_B)[:, :, None].expand(-1, -1, hidden.shape[-1])
                hidden = torch.cat([hidden, voice], dim=1)
        hidden = self.conv_pre(hidden)
        for number, up in enumerate(self.ups):
            hidden = up(nn.functional.leaky_relu(hidden, _SLOPE))
            blocks = self.resblocks[number * self._blocks_each : (number + 1) * self._blocks_each]
            total = blocks[0](hidden)
            for block in blocks[1:]:
                total = total + block(hidden)
            hidden = total / self._blocks_each
        return self.conv_post(nn.functional.leaky_relu(hidden, _SLOPE_AT_END)).tanh()[:, 0]


def add_weight_norm(network: HifiGanNetwork) -> None:
    """Split the weight of each convolution into length and direction, as HiFi-GANs are trained; outputs stay."""
    for one in list(_convolutions(network)):
        parametrizations.weight_norm(one)


def remove_weight_norm(network: HifiGanNetwork) -> None:
    """The inverse of :func:`add_weight_norm`."""
    for one in list(_convolutions(network)):
        if parametrize.is_parametrized(one, "weight"):
            parametrize.remove_parametrizations(one, "weight")


def upsampling(hop: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rates and kernels of transposed convolutions for a hop: (5, 4, 4, 4, 2) and (11, 8, 8, 8, 4) for 640.

    Args:
        hop: samples in a frame of units.

    Raises:
        InputError: a hop with a prime factor above 11.
    """
    rates, rest = [], hop
    for rate in (5, 4, 3, 2, 7, 11):
        while rest % rate == 0:
            rates.append(rate)
            rest //= rate
    if rest != 1 or hop < 2:
        raise InputError(
            f"a frame of units must be a product of factors up to {_LARGEST_RATE} samples",
            f"{hop} samples",
            "use units at 50, 25 or 12.5 Hz",
        )
    rates.sort(reverse=True)
    # An odd difference of kernel and rate could not be padded evenly.
    return tuple(rates), tuple(2 * rate + rate % 2 for rate in rates)


def _convolutions(network: HifiGanNetwork) -> list[nn.Module]:
    parts = (network.conv_pre, network.ups, network.resblocks, network.conv_post)
    kinds = (nn.Conv1d, nn.ConvTranspose1d)
    return [one for part in parts for one in part.modules() if isinstance(one, kinds)]


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
