"""Settings of the unit HiFi-GAN: those of published checkpoints, and sizes of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.speech import features
from smoltolk.speech.units.tokenizer import UnitTokenizer

# name -> generator channels, embedding, residual kernels, dilations, width of the discriminators. Tiny is for trials;
# small (1.9 million parameters) speaks tens of times faster than real time on one CPU; standard is as published.
SIZES: dict[str, tuple[int, int, tuple[int, ...], tuple[int, ...], int]] = {
    "tiny": (32, 16, (3,), (1, 3), 1),
    "small": (256, 64, (3, 7), (1, 3, 5), 8),
    "standard": (512, 128, (3, 7, 11), (1, 3, 5), 32),
}
_LARGEST_RATE = 11
_DURATION_KEYS = ("encoder_embed_dim", "var_pred_hidden_dim", "var_pred_kernel_size", "var_pred_dropout")


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
        for name in _DURATION_KEYS if self.dur_predictor_params else ():
            if name not in self.dur_predictor_params:  # type: ignore[operator]
                raise KeyError(f"dur_predictor_params.{name}")
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


def hifigan_config(tokenizer: UnitTokenizer, size: str, num_speakers: int) -> HifiGanConfig:
    """Settings of a unit HiFi-GAN for a tokenizer's units at 16 kHz.

    Args:
        tokenizer: of the units.
        size: of :data:`SIZES`.
        num_speakers: an embedding of speakers where there are two or more.

    Raises:
        InputError: no such size, or a frame rate that cannot be reached.
    """
    if size not in SIZES:
        raise InputError(f"a size must be {', '.join(SIZES)}", f"{size!r}", "choose one of them")
    channels, dim, kernels, dilations, _ = SIZES[size]
    rates, rate_kernels = upsampling(features.hops_per_frame(tokenizer.frame_rate) * features.HOP)
    return HifiGanConfig(
        num_embeddings=tokenizer.num_units,
        embedding_dim=dim,
        model_in_dim=dim * (1 + (num_speakers > 1)),
        upsample_rates=rates,
        upsample_kernel_sizes=rate_kernels,
        upsample_initial_channel=channels,
        resblock_kernel_sizes=kernels,
        resblock_dilation_sizes=(dilations,) * len(kernels),
        dur_predictor_params={
            "encoder_embed_dim": dim,
            "var_pred_hidden_dim": dim,
            "var_pred_kernel_size": 3,
            "var_pred_dropout": 0.5 if dim > 64 else 0.1,
        },
        multispkr="by name" if num_speakers > 1 else None,
        num_speakers=num_speakers,
        sampling_rate=features.SAMPLE_RATE,
    )


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


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
