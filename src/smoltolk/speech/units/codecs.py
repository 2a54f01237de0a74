"""Neural codecs of transformers as unit tokenizers: several units a frame, and a way back to sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smoltolk.common.devices import device_of
from smoltolk.common.errors import InputError
from smoltolk.speech.audio import check_waveform
from smoltolk.speech.pretrained import load_model, plain_config
from smoltolk.speech.small_networks import check_same, load_config, load_weights, save_network
from smoltolk.speech.units.batching import FrameWindow, on_threads, plan_windows
from smoltolk.speech.units.codec_models import CodecModel, feature_settings, libraries_of
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer, deduplicate, fingerprint_of

WINDOW_SECONDS, OVERLAP_SECONDS = 30.0, 2.0


class CodecUnitTokenizer(UnitTokenizer):
    """Units of a codec: a matrix ``[frames, codebooks]``, not deduplicated.

    :class:`~smoltolk.speech.units.codec_models.CodecModel` says which codecs, and how they are called.

    With one codebook they are a sequence as any other, deduplicated.

    Every recording passes by itself, padded with zeros to whole frames; longer ones than ``window_seconds`` in
    windows, see :func:`~smoltolk.speech.units.batching.plan_windows`, and so do units on the way back. Where a codec
    has a longest piece of its own, windows are no longer than that, and overlap by a tenth at most.

    Attributes:
        sound_rate: of decoded sound, Hz.

    Args:
        model: of transformers.
        num_codebooks: the first so many; None: all it has.
        window_seconds, overlap_seconds: of windows over long recordings.
        extractor: settings of the feature extractor of a codec that reads features; None: those it has by default.
        model_config: as it was saved; what another version of transformers adds must not change the fingerprint.

    Raises:
        InputError: not such a model, or fewer codebooks.
        MissingExtraError: it needs a library that is not installed.
    """

    KIND = "codec"

    def __init__(
        self,
        model: Any,
        num_codebooks: int | None = None,
        *,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
        extractor: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
    ):
        self._codec = CodecModel(model, extractor)
        self.model = model
        self._model_config = plain_config(model.config) if model_config is None else dict(model_config)
        self.sample_rate, self.sound_rate = self._codec.sample_rate, self._codec.sound_rate
        self.hop = self._codec.hop
        self.frame_rate = self.sample_rate / self.hop
        self.num_units = self._codec.codebook_size
        longest = self._codec.longest
        self.window_seconds = min(window_seconds, longest)
        self.overlap_seconds = min(overlap_seconds, longest / 10)
        held = self._codec.codes(torch.zeros(4 * self.hop), 4).shape[1]
        if num_codebooks is not None and not 1 <= num_codebooks <= held:
            raise InputError(f"this codec has 1 to {held} codebooks", f"{num_codebooks}", "ask for fewer")
        self.num_codebooks = num_codebooks or held
        self._fingerprint = fingerprint_of(self.config(), model.state_dict())

    @classmethod
    def from_pretrained(cls, name: str, num_codebooks: int | None = None) -> CodecUnitTokenizer:
        """Load a published codec, e.g. ``kyutai/mimi``, or a directory that ``save_pretrained`` wrote.

        Raises:
            NotFoundError: nothing there.
            InputError, MissingExtraError: see the class.
        """
        model, settings = load_model(name, "a neural codec")
        return cls(model, num_codebooks, extractor=feature_settings(model, settings))

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

        def codes(job: tuple[int, FrameWindow]) -> np.ndarray:
            number, window = job
            samples = torch.from_numpy(checked[number][window.first * self.hop : window.last * self.hop])
            frames = window.last - window.first
            samples = torch.nn.functional.pad(samples, (0, frames * self.hop - len(samples)))
            return self._codec.codes(samples, frames, self.num_codebooks)[window.kept].cpu().numpy()

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
            float32 ``[samples]`` at :attr:`sound_rate`, as long as the frames.

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

        def sound(window: FrameWindow) -> np.ndarray:
            made = self._codec.sound(torch.from_numpy(units[window.first : window.last].astype(np.int64)))
            return made[window.kept.start * self._codec.sound_hop : window.kept.stop * self._codec.sound_hop]

        return np.concatenate(self._each(sound, windows))

    def to(self, device: str) -> None:
        self._codec.to(device_of(device))

    def config(self) -> dict[str, Any]:
        # Named only where there is one: fingerprints of other codecs stay what they were.
        extractor = {} if self._codec.extractor is None else {"extractor": self._codec.extractor}
        return {
            **extractor,
            **super().config(),
            "window_seconds": self.window_seconds,
            "overlap_seconds": self.overlap_seconds,
            "model": dict(self._model_config),
        }

    def save(self, directory: Path | str) -> None:
        save_network(directory, {**self.config(), "fingerprint": self.fingerprint}, self.model)

    @classmethod
    def load(cls, directory: Path | str) -> CodecUnitTokenizer:
        """Load what :meth:`save` wrote; raises as :func:`~smoltolk.speech.units.kinds.load_unit_tokenizer`."""
        from transformers import AutoConfig, AutoModel

        config = load_config(directory, (cls.KIND,), "units of a codec")
        settings = dict(config["model"])
        with libraries_of("this codec"):
            model = AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings))
        load_weights(directory, model)
        tokenizer = cls(
            model,
            config["num_codebooks"],
            window_seconds=config["window_seconds"],
            overlap_seconds=config["overlap_seconds"],
            extractor=config.get("extractor"),
            model_config=config["model"],
        )
        check_same("a unit tokenizer", config["fingerprint"], tokenizer.fingerprint)
        return tokenizer

    def _windows(self, frames: int) -> list[FrameWindow]:
        return plan_windows(
            frames, int(self.window_seconds * self.frame_rate), int(self.overlap_seconds * self.frame_rate)
        )

    def _each(self, function: Any, jobs: Sequence[Any]) -> list[Any]:
        if self._codec.device.type == "cpu":
            windows = [job if isinstance(job, FrameWindow) else job[1] for job in jobs]
            return on_threads(function, jobs, [window.last - window.first for window in windows])
        return [function(job) for job in jobs]
