"""Neural codecs of transformers as unit tokenizers: several units a frame, and a way back to sound."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import check_waveform
from smoltolk.speech.devices import device_of
from smoltolk.speech.fitting import check_same, load_config, load_weights, save_network
from smoltolk.speech.pretrained import load_model, plain_config
from smoltolk.speech.units.batching import Window, on_threads, plan_windows
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer, deduplicate, fingerprint_of

WINDOW_SECONDS, OVERLAP_SECONDS = 30.0, 2.0


class CodecUnitTokenizer(UnitTokenizer):
    """Units of a codec (Mimi, EnCodec, DAC, X-Codec, ...): a matrix ``[frames, codebooks]``, not deduplicated.

    With one codebook they are a sequence as any other, deduplicated.

    Every recording passes by itself, padded with zeros to whole frames; longer ones than ``window_seconds`` in
    windows, see :func:`~smoltolk.speech.units.batching.plan_windows`, and so do units on the way back.

    Args:
        model: of transformers, with ``encode`` and ``decode``, for one channel.
        num_codebooks: the first so many; None: all it has.
        window_seconds, overlap_seconds: of windows over long recordings.
        model_config: as it was saved; what another version of transformers adds must not change the fingerprint.

    Raises:
        InputError: not such a model, or fewer codebooks.
    """

    KIND = "codec"

    def __init__(
        self,
        model: Any,
        num_codebooks: int | None = None,
        *,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
        model_config: Mapping[str, Any] | None = None,
    ):
        _check_codec(model)
        self.model = model.float().eval().requires_grad_(False)
        self._model_config = plain_config(model.config) if model_config is None else dict(model_config)
        self._takes = set(inspect.signature(model.encode).parameters)
        self.sample_rate = int(_first(model.config, "sampling_rate", "sample_rate"))
        hop = getattr(model.config, "hop_length", None) or self.sample_rate / model.config.frame_rate
        self.hop = round(hop)
        self.frame_rate = self.sample_rate / self.hop
        self.num_units = int(model.config.codebook_size)
        self.window_seconds, self.overlap_seconds = window_seconds, overlap_seconds
        self.device = torch.device("cpu")
        self.num_codebooks = 0  # all, until it is known how many those are
        held = self._codes(torch.zeros(4 * self.hop), 4).shape[1]
        if num_codebooks is not None and not 1 <= num_codebooks <= held:
            raise InputError(f"this codec has 1 to {held} codebooks", f"{num_codebooks}", "ask for fewer")
        self.num_codebooks = num_codebooks or held
        self._fingerprint = fingerprint_of(self.config(), model.state_dict())

    @classmethod
    def from_pretrained(cls, name: str, num_codebooks: int | None = None) -> CodecUnitTokenizer:
        """Load a published codec, e.g. ``kyutai/mimi``, or a directory that ``save_pretrained`` wrote.

        Raises:
            NotFoundError: nothing there.
            InputError: see the class.
        """
        return cls(load_model(name, "a neural codec")[0], num_codebooks)

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def encode(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        checked = [check_waveform(waveform) for waveform in waveforms]
        jobs = [
            (number, window)
            for number, waveform in enumerate(checked)
            for window in self._windows(-(-len(waveform) // self.hop))
        ]

        def codes(job: tuple[int, Window]) -> np.ndarray:
            number, window = job
            samples = torch.from_numpy(checked[number][window.first * self.hop : window.last * self.hop])
            frames = window.last - window.first
            samples = torch.nn.functional.pad(samples, (0, frames * self.hop - len(samples)))
            return self._codes(samples, frames)[window.kept].cpu().numpy()

        found: list[list[np.ndarray]] = [[] for _ in waveforms]
        for (number, _), part in zip(jobs, self._each(codes, jobs), strict=True):
            found[number].append(part)
        units = [np.concatenate(parts) for parts in found]
        if self.num_codebooks == 1:
            return [deduplicate(one[:, 0]) for one in units]
        return [Units(one, np.ones(len(one), dtype=np.int64)) for one in units]

    def decode(self, units: np.ndarray) -> np.ndarray:
        """Sound of units.

        Args:
            units: ``[frames, codebooks]``, at most as many codebooks as this codec has; ``[frames]`` of the first.

        Returns:
            float32 ``[frames * hop]`` at :attr:`sample_rate`.

        Raises:
            InputError: no frames, another shape, or a unit outside the codebook.
        """
        units = np.asarray(units)
        units = units[:, None] if units.ndim == 1 else units
        fits = units.ndim == 2 and len(units) and 1 <= units.shape[1] <= self.num_codebooks
        if not fits or not np.issubdtype(units.dtype, np.integer) or units.min() < 0 or units.max() >= self.num_units:
            raise InputError(
                f"units of a codec are [frames, codebooks] from 0 to {self.num_units - 1}, "
                f"1 to {self.num_codebooks} codebooks",
                f"shape {units.shape} of {units.dtype}" + (f" up to {units.max()}" if units.size else ""),
                "decode what this tokenizer encoded",
            )
        windows = self._windows(len(units))

        def sound(window: Window) -> np.ndarray:
            made = self._sound(torch.from_numpy(units[window.first : window.last].astype(np.int64)))
            return made[window.kept.start * self.hop : window.kept.stop * self.hop]

        return np.concatenate(self._each(sound, windows))

    def to(self, device: str) -> None:
        self.device = device_of(device)
        self.model.to(self.device)

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "window_seconds": self.window_seconds,
            "overlap_seconds": self.overlap_seconds,
            "model": dict(self._model_config),
        }

    def save(self, directory: Path | str) -> None:
        save_network(directory, {**self.config(), "fingerprint": self.fingerprint}, self.model)

    @classmethod
    def load(cls, directory: Path | str) -> CodecUnitTokenizer:
        """Load what :meth:`save` wrote; raises as :func:`smoltolk.speech.units.tokenizer.load_unit_tokenizer`."""
        from transformers import AutoConfig, AutoModel

        config = load_config(directory, (cls.KIND,), "units of a codec")
        settings = dict(config["model"])
        model = AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings))
        load_weights(directory, model)
        tokenizer = cls(
            model,
            config["num_codebooks"],
            window_seconds=config["window_seconds"],
            overlap_seconds=config["overlap_seconds"],
            model_config=config["model"],
        )
        check_same("a unit tokenizer", config["fingerprint"], tokenizer.fingerprint)
        return tokenizer

    def _windows(self, frames: int) -> list[Window]:
        return plan_windows(
            frames, int(self.window_seconds * self.frame_rate), int(self.overlap_seconds * self.frame_rate)
        )

    def _each(self, function: Any, jobs: Sequence[Any]) -> list[Any]:
        if self.device.type == "cpu":
            windows = [job if isinstance(job, Window) else job[1] for job in jobs]
            return on_threads(function, jobs, [window.last - window.first for window in windows])
        return [function(job) for job in jobs]

    @torch.inference_mode()
    def _codes(self, samples: Tensor, frames: int) -> Tensor:
        """Units ``[frames, codebooks]`` of samples that fill their frames."""
        options: dict[str, Any] = {}
        for name in ("num_quantizers", "n_quantizers"):
            if name in self._takes and self.num_codebooks:
                options[name] = self.num_codebooks
        if "bandwidth" in self._takes:
            options["bandwidth"] = max(self.model.config.target_bandwidths)
        codes = self.model.encode(samples[None, None].to(self.device), **options).audio_codes
        codes = codes.reshape(-1, codes.shape[-1])  # one recording, one chunk: what is left is [codebooks, frames]
        if codes.shape[1] != frames:
            raise InputError(
                "a codec must give the frames that its hop says", f"{codes.shape[1]}, not {frames}", "take another"
            )
        # Codebooks refine each other in order: the first ones are the same with fewer.
        return codes[: self.num_codebooks or None].T

    @torch.inference_mode()
    def _sound(self, units: Tensor) -> np.ndarray:
        codes = units.T[None].to(self.device)
        options: dict[str, Any] = {}
        if "audio_scales" in inspect.signature(self.model.decode).parameters:
            codes, options = codes[None], {"audio_scales": [None]}
        made = self.model.decode(audio_codes=codes, **options).audio_values.flatten().float().cpu().numpy()
        wanted = len(units) * self.hop
        return np.pad(made, (0, max(0, wanted - len(made))))[:wanted]


def _check_codec(model: Any) -> None:
    config = model.config
    problem = None
    if not callable(getattr(model, "encode", None)) or not callable(getattr(model, "decode", None)):
        problem = "it has no encode and decode"
    elif "input_features" in inspect.signature(model.encode).parameters:
        problem = "it reads more than samples"
    elif getattr(config, "audio_channels", 1) != 1 or getattr(config, "normalize", False):
        problem = "it is for several channels, or scales loudness beside its units"
    elif not hasattr(config, "codebook_size"):
        problem = "its config names no codebook_size"
    if problem:
        raise InputError(
            "a codec turns the samples of one channel into units of codebooks and back",
            f"{type(model).__name__}: {problem}",
            "take another, e.g. kyutai/mimi",
        )


def _first(config: Any, *names: str) -> Any:
    return next(value for value in (getattr(config, name, None) for name in names) if value)
