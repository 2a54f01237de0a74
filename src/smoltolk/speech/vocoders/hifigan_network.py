"""The networks of the unit HiFi-GAN: units to samples, and units to durations.

Kong, Kim and Bae, "HiFi-GAN" (2020); Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised
Representations" (2021). Modules are named as in the published checkpoints, so that these load by name.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from smoltolk.speech.vocoders.hifigan_config import HifiGanConfig

_SLOPE = 0.1  # of the leaky ReLUs inside
_SLOPE_AT_END = 0.01  # of the one before conv_post, as the published networks were trained


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
            # The published 0.01 suits 512 channels; in narrow networks the signal would die on its way.
            nn.init.normal_(up.weight, std=(channels * kernel / rate) ** -0.5)
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

    def blocks_of(self, stage: int) -> list[ResidualBlock]:
        """The residual blocks behind one of the upsamplings, side by side."""
        return list(self.resblocks[stage * self._blocks_each : (stage + 1) * self._blocks_each])  # type: ignore[arg-type]

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
            blocks = self.blocks_of(number)
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


def _convolutions(network: HifiGanNetwork) -> list[nn.Module]:
    parts = (network.conv_pre, network.ups, network.resblocks, network.conv_post)
    kinds = (nn.Conv1d, nn.ConvTranspose1d)
    return [one for part in parts for one in part.modules() if isinstance(one, kinds)]
