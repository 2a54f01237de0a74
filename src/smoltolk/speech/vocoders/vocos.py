"""The small Vocos: from log-mel to samples through magnitudes, phases and one inverse Fourier transform.

Siuzdak, "Vocos: Closing the gap between time-domain and Fourier-based neural vocoders" (2023), made small (1.6 million
parameters) and trained without discriminators. Its magnitudes start from the least-squares inverse of the mel filters,
so that it learns phases from the first step on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from smoltolk.speech import features
from smoltolk.speech.istft import inverse_stft
from smoltolk.speech.vocoders.mel_vocoder import MelVocoder

NUM_BINS = features.WINDOW // 2 + 1
_LARGEST_CORRECTION = 4.0  # nats of the magnitude


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, layer norm, two linear layers with GELU, added to the input.

    Args:
        width: channels.
        hidden: width between the linear layers.
        scale: of the branch when new.
    """

    def __init__(self, width: int, hidden: int, scale: float):
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.rise = nn.Linear(width, hidden)
        self.fall = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, hidden_BCT: Tensor) -> Tensor:
        """``[batch, width, frames]`` to the same shape."""
        branch = self.norm(self.depthwise(hidden_BCT).transpose(1, 2))
        branch = self.scale * self.fall(nn.functional.gelu(self.rise(branch)))
        return hidden_BCT + branch.transpose(1, 2)


class VocosNetwork(nn.Module):
    """Log-mel to samples.

    Args:
        width: channels.
        hidden: width inside the blocks.
        num_blocks: ConvNeXt blocks, each sees 3 hops further to either side.
    """

    def __init__(self, width: int = 192, hidden: int = 576, num_blocks: int = 6):
        super().__init__()
        self.settings = {"width": width, "hidden": hidden, "num_blocks": num_blocks}
        self.enter = nn.Conv1d(features.NUM_MELS, width, 7, padding=3)
        self.enter_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, hidden, 1 / num_blocks) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 2 * NUM_BINS)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d) and module.bias is not None:
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, normalised_BMT: Tensor, log_mel_BMT: Tensor) -> Tensor:
        """Samples ``[batch, 160 * hops]``.

        Args:
            normalised_BMT: log-mel ``[batch, 80, hops]`` with about zero mean and unit variance.
            log_mel_BMT: the same, natural log of mel magnitudes.
        """
        hidden = self.enter_norm(self.enter(normalised_BMT).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            hidden = block(hidden)
        spectrum = self.head(self.norm(hidden.transpose(1, 2))).transpose(1, 2)
        with torch.autocast(spectrum.device.type, enabled=False):
            correction, phase = spectrum.float().chunk(2, dim=1)
            bound = _LARGEST_CORRECTION * torch.tanh(correction / _LARGEST_CORRECTION)
            magnitude = features.mel_to_magnitudes(log_mel_BMT.float()) * bound.exp()
            return inverse_stft(torch.complex(magnitude * phase.cos(), magnitude * phase.sin()), features.HOP)


class VocosVocoder(MelVocoder):
    """Units to log-mel to sound by :class:`VocosNetwork`, in the voice it was trained on.

    Args:
        num_units, frame_rate, unit_fingerprint, width: see :class:`~smoltolk.speech.vocoders.mel_vocoder.MelVocoder`.
        network: settings of the network, default those of :class:`VocosNetwork`.
    """

    KIND = "mel-vocos"
    _SETTINGS = (*MelVocoder._SETTINGS, "network")

    def __init__(
        self,
        num_units: int,
        frame_rate: float,
        unit_fingerprint: str,
        *,
        width: int = 160,
        network: Mapping[str, int] | None = None,
    ):
        super().__init__(num_units, frame_rate, unit_fingerprint, width=width)
        self.vocos = VocosNetwork(**(network or {}))
        self.eval()

    @property
    def _hops_of_samples(self) -> int:
        """Those that a window covers, and those that the network sees."""
        seen = self.vocos.enter.kernel_size[0] // 2 * (1 + len(self.vocos.blocks))  # all of one kernel
        return super()._hops_of_samples + seen

    @torch.inference_mode()
    def _invert(self, log_mel: Tensor, seed: int) -> Tensor:
        log_mel = log_mel.to(self.device)[None]
        return self.vocos(self.normalise(log_mel), log_mel)[0]

    def _config(self) -> dict[str, Any]:
        return {**super()._config(), "network": self.vocos.settings}
