"""The unit HiFi-GAN as a vocoder: deduplicated units straight to samples, in one of its voices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech.vocoders.hifigan_config import HifiGanConfig
from smoltolk.speech.vocoders.hifigan_network import HifiGanNetwork
from smoltolk.speech.vocoders.vocoder import Reach, Vocoder, to_samples


class HifiGanVocoder(Vocoder):
    """A generator with its duration predictor.

    Args:
        config: of its networks.
        unit_fingerprint: of the unit tokenizer that it belongs to.
        speakers: names of its voices, where it has several; the first speaks unless another is named.
        styles: names of its styles, where it has several; likewise.
    """

    KIND = "unit-hifigan"

    def __init__(
        self,
        config: HifiGanConfig,
        unit_fingerprint: str,
        *,
        speakers: Sequence[str] = (),
        styles: Sequence[str] = (),
    ):
        super().__init__(config.num_embeddings, config.frame_rate, unit_fingerprint, config.sampling_rate)
        for what, names, room in (
            ("speakers", speakers, config.num_speakers if config.multispkr else 1),
            ("styles", styles, config.num_styles if config.multistyle else 1),
        ):
            if len(names) > room or len(set(names)) != len(names):
                raise InputError(
                    f"{what} must have a name each, and a row of the embedding",
                    f"{len(names)} names, {len(set(names))} of them different, {room} rows",
                    f"give the list of {what} that belongs to this vocoder",
                )
        self.config, self.styles = config, tuple(styles)
        self.speakers = tuple(speakers)
        self.network = HifiGanNetwork(config)
        self.eval()

    @property
    def reach(self) -> Reach:
        """Of its convolutions: half a kernel, times the dilation, at the rate of each."""
        network, rate, frames = self.network, 1, float(_half(self.network.conv_pre))
        for number, (stride, kernel) in enumerate(
            zip(self.config.upsample_rates, self.config.upsample_kernel_sizes, strict=True)
        ):
            frames += kernel / stride / rate  # of its input
            rate *= stride
            each = self.network.blocks_of(number)
            widest = max(sum(map(_half, [*block.convs1, *block.convs2])) for block in each)
            frames += widest / rate
        predictor = network.dur_predictor
        # Both of its convolutions see half a kernel.
        units = 0 if predictor is None else 2 * ((self.config.dur_predictor_params or {})["var_pred_kernel_size"] // 2)
        return Reach(units, math.ceil(frames + _half(network.conv_post) / rate))

    @torch.inference_mode()
    def synthesize(
        self,
        units: np.ndarray,
        durations: np.ndarray | None = None,
        seed: int = 0,
        *,
        speaker: str | int | None = None,
        style: str | int | None = None,
    ) -> np.ndarray:
        """See :meth:`Vocoder.synthesize`; nothing in it is random.

        Args:
            style: name or number; default: its first.
        """
        units_N = self.check_units(units)
        frames_F = units_N.repeat_interleave(self.check_durations(durations, units))
        voice = torch.tensor([self.speaker_index(speaker)], device=self.device)
        manner = torch.tensor([self.style_index(style)], device=self.device)
        return to_samples(self.network(frames_F[None], voice, manner)[0])

    @torch.inference_mode()
    def predict_durations(self, units: np.ndarray) -> np.ndarray:
        """Frames of each unit, int64 ``[n]``: one less than what its predictor says, at least 1."""
        units_N = self.check_units(units)
        if self.network.dur_predictor is None:
            raise InputError(
                "this vocoder predicts no durations",
                "units without durations",
                "give the durations that the unit tokenizer found, or a vocoder with a duration predictor",
            )
        logs = self.network.dur_predictor(self.network.dict(units_N)[None])[0]
        return (logs.float().exp() - 1).round().long().clamp(min=1).cpu().numpy()

    @property
    def predicts_durations(self) -> bool:
        """Published ones need not."""
        return self.network.dur_predictor is not None

    @property
    def num_speakers(self) -> int:
        """Rows of its embedding; one without."""
        return self.config.num_speakers if self.config.multispkr else 1

    def style_index(self, style: str | int | None) -> int:
        """Number of a style; 0 for None.

        Raises:
            InputError: it has no such style.
        """
        rows = (len(self.styles) or self.config.num_styles) if self.config.multistyle else 1
        if isinstance(style, str) and style in self.styles:
            return self.styles.index(style)
        if style is None or (isinstance(style, int) and 0 <= style < rows):
            return style or 0
        raise InputError(
            "a style must be one of the vocoder's",
            f"{style!r}; there are {', '.join(self.styles[:10]) or rows}",
            "name one of them or give its number",
        )

    def _config(self) -> dict[str, Any]:
        return {
            "kind": self.KIND,
            "unit_fingerprint": self.unit_fingerprint,
            "generator": self.config.as_dict(),
            "speakers": list(self.speakers),
            "styles": list(self.styles),
        }

    @classmethod
    def _from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(
            HifiGanConfig.from_dict(config["generator"]),
            config["unit_fingerprint"],
            speakers=config["speakers"],
            styles=config["styles"],
        )


def _half(convolution: Any) -> int:
    """Places to either side that a convolution sees."""
    return (convolution.kernel_size[0] - 1) // 2 * convolution.dilation[0]
