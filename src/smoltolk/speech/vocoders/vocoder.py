"""What every vocoder is: deduplicated units in, a waveform out, in a directory that says of which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import isabstract
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from smoltolk.common.errors import InputError
from smoltolk.speech import features
from smoltolk.speech.audio import check_waveform
from smoltolk.speech.small_networks import check_same, load_config, load_weights, one_thread, save_network
from smoltolk.speech.units.tokenizer import UnitTokenizer, fingerprint_of


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a vocoder looks to either side.

    Attributes:
        units: that decide how long one of them lasts.
        frames: that decide how one of them sounds, given how long all last.
    """

    units: int
    frames: int


class Vocoder(nn.Module, ABC):
    """Deduplicated units to sound. Its parts sit on one device; units and waveforms are NumPy arrays.

    Attributes (fixed when built):
        KIND: of its class, as in ``config.json``.
        sample_rate: of its waveforms, Hz.
        num_units: distinct units; units are 0 .. num_units - 1.
        frame_rate: of the units before deduplication, Hz.
        unit_fingerprint: of the unit tokenizer that it belongs to.
        speakers: names of its voices, the one it uses unless told otherwise first; empty if it has one without a name.
    """

    KIND: str
    speakers: tuple[str, ...] = ()

    def __init__(self, num_units: int, frame_rate: float, unit_fingerprint: str, sample_rate: int):
        super().__init__()
        self.num_units, self.frame_rate, self.unit_fingerprint = num_units, frame_rate, unit_fingerprint
        self.sample_rate = sample_rate

    @abstractmethod
    def synthesize(
        self,
        units: np.ndarray,
        durations: np.ndarray | None = None,
        seed: int = 0,
        *,
        speaker: str | int | None = None,
    ) -> np.ndarray:
        """Speak units.

        Args:
            units: int ``[n]``, deduplicated.
            durations: int ``[n]`` in frames; default: predicted.
            seed: of what is random in it; kinds without anything random ignore it.
            speaker: name or number of a voice; default: its first.

        Returns:
            float32 ``[samples]`` in [-1, 1], exactly ``sum(durations) / frame_rate`` seconds at :attr:`sample_rate`.

        Raises:
            InputError: no units, a unit out of range, durations that do not fit, or no such speaker.
        """

    @abstractmethod
    def predict_durations(self, units: np.ndarray) -> np.ndarray:
        """Frames of each unit, int64 ``[n]``, at least 1.

        Raises:
            InputError: as :meth:`synthesize`, or it predicts none.
        """

    @property
    @abstractmethod
    def reach(self) -> Reach:
        """How far it looks: what lies further away changes nothing, but where its samples come from a search."""

    def resume(
        self,
        units: np.ndarray,
        durations: np.ndarray,
        said: np.ndarray,
        seed: int = 0,
        *,
        speaker: str | int | None = None,
        frames: int | None = None,
    ) -> np.ndarray:
        """:meth:`synthesize` of units whose beginning has been said already.

        Args:
            units, durations, seed, speaker: as for :meth:`synthesize`.
            said: float32 ``[n]``, the first samples as they were said, at :attr:`sample_rate`. Kinds whose samples
                follow from the units alone need not look at them; others go on from their phases.
            frames: how far sound is asked for; what stands behind only decides how these sound. None: to the end. Kinds
                may say more.
        """
        return self.synthesize(units, durations, seed, speaker=speaker)

    @abstractmethod
    def _config(self) -> dict[str, Any]:
        """All that is needed to build it but its weights, with ``kind`` and ``unit_fingerprint``."""

    @classmethod
    @abstractmethod
    def _from_config(cls, config: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`_config`, with weights of no meaning."""

    def synthesize_batch(
        self,
        units: Sequence[np.ndarray],
        durations: Sequence[np.ndarray] | None = None,
        seed: int = 0,
        *,
        speakers: Sequence[str | int | None] | None = None,
    ) -> list[np.ndarray]:
        """:meth:`synthesize` for each, with the same result and errors as one by one.

        Raises:
            InputError: besides, durations or speakers of another number than units.
        """
        # One by one is not slower on a CPU, and no waveform can depend on its neighbours.
        every = [None] * len(units) if durations is None else durations
        voices = [None] * len(units) if speakers is None else speakers
        if len(every) != len(units) or len(voices) != len(units):
            raise InputError(
                "every sequence of units needs its durations and its speaker, where they are given",
                f"{len(units)} and {len(every) if len(every) != len(units) else len(voices)}",
                "give them in the same order, or None",
            )
        together = zip(units, every, voices, strict=True)
        return [self.synthesize(one, length, seed, speaker=voice) for one, length, voice in together]

    @one_thread()
    def copy_synthesis(self, waveform: np.ndarray, seed: int = 0) -> np.ndarray:
        """A recording's log-mel spectrogram and back: what it would lose if units lost nothing.

        Kinds that know no spectrogram take the fixed way of Griffin and Lim, for comparison.

        Args:
            waveform: float32 ``[samples]``, 16 kHz.
            seed: as in :meth:`synthesize`.

        Returns:
            float32, as many samples, 16 kHz.

        Raises:
            InputError: empty, not mono, or not finite.
        """
        samples = torch.from_numpy(check_waveform(waveform))
        made = self._invert(features.log_mel(samples[None])[0], seed)
        return to_samples(made)[: len(waveform)]

    @torch.inference_mode()
    def _invert(self, log_mel: Tensor, seed: int) -> Tensor:
        """Log-mel ``[80, hops]`` on the CPU to samples ``[160 * hops]``."""
        return features.griffin_lim(log_mel[None], iterations=16, seed=seed)[0]

    @property
    def predicts_durations(self) -> bool:
        """Whether it can speak units without being told how long they last."""
        return True

    @property
    def fingerprint(self) -> str:
        """Hex digest of settings and weights."""
        return fingerprint_of(self._config(), self.state_dict())

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def check_units_of(self, tokenizer: UnitTokenizer) -> None:
        """Refuse units of another tokenizer.

        Raises:
            InputError: the fingerprints differ.
        """
        _check_fingerprint(self.unit_fingerprint, tokenizer.fingerprint)

    def save(self, directory: Path | str) -> None:
        """Write ``config.json`` and ``model.safetensors``; the directory appears whole or not at all."""
        save_network(directory, {**self._config(), "fingerprint": self.fingerprint}, self)

    @classmethod
    def load(cls, directory: Path | str, unit_fingerprint: str | None = None) -> Self:
        """Load what :meth:`save` of this kind wrote; :func:`~smoltolk.speech.vocoders.kinds.load_vocoder` loads any.

        Args:
            directory: where.
            unit_fingerprint: of the units it is to speak, if they are known.

        Raises:
            NotFoundError: nothing there.
            InputError: made for other units, another kind, files that do not belong together; or this class is no kind.
        """
        if isabstract(cls):
            raise InputError(
                "a class of vocoders loads its own kind", f"{cls.__name__} is none", "use smoltolk.load_vocoder"
            )
        config = load_config(directory, (cls.KIND,), "a vocoder")
        if unit_fingerprint is not None:
            _check_fingerprint(config.get("unit_fingerprint", "?"), unit_fingerprint)
        try:
            vocoder = cls._from_config(config)
        except (KeyError, TypeError) as error:
            raise InputError(
                "config.json of a vocoder must be as it was saved",
                f"{directory}: {error!r}",
                "fit or copy it again, whole",
            ) from error
        load_weights(directory, vocoder)
        check_same("a vocoder", config.get("fingerprint", "?"), vocoder.fingerprint)
        return vocoder

    def check_units(self, units: np.ndarray) -> Tensor:
        """Units as int64 ``[n]``, on its device.

        Raises:
            InputError: none, not whole numbers, or out of range.
        """
        units = np.asarray(units)
        if units.ndim != 1 or units.size == 0 or not np.issubdtype(units.dtype, np.integer):
            raise InputError(
                "units must be one or more whole numbers in a row",
                f"shape {units.shape}, type {units.dtype}",
                "give Units.units of one recording",
            )
        if units.min() < 0 or units.max() >= self.num_units:
            raise InputError(
                f"units must be 0 .. {self.num_units - 1}",
                f"{units.min()} .. {units.max()}",
                "take the offset of the speech ids off, and drop control ids",
            )
        return torch.from_numpy(units.astype(np.int64)).to(self.device)

    def check_durations(self, durations: np.ndarray | None, units: np.ndarray) -> Tensor:
        """Durations of ``units`` as int64 ``[n]``, on its device; predicted where they are None.

        Raises:
            InputError: not as many, not whole frames, or below one.
        """
        durations = self.predict_durations(units) if durations is None else np.asarray(durations)
        fit = durations.shape == np.shape(units) and np.issubdtype(durations.dtype, np.integer)
        if not fit or (durations < 1).any():
            raise InputError(
                "durations must be whole frames, at least one for each unit",
                f"shape {durations.shape}, type {durations.dtype} for {len(units)} units",
                "give what the unit tokenizer gave, or None",
            )
        return torch.from_numpy(durations.astype(np.int64)).to(self.device)

    @property
    def num_speakers(self) -> int:
        """How many voices it has, with names or without."""
        return max(1, len(self.speakers))

    def speaker_index(self, speaker: str | int | None) -> int:
        """Number of a voice; 0 for None. Voices without names go by number.

        Raises:
            InputError: it has no such voice.
        """
        known: list[str | int | None] = [None, *self.speakers, *range(self.num_speakers)]
        if speaker not in known:
            if self.speakers:
                there, fix = f"are {', '.join(self.speakers[:10])}", "name one of them or give its number"
            elif self.num_speakers > 1:
                there, fix = f"are {self.num_speakers} without names", f"give a number, 0 to {self.num_speakers - 1}"
            else:
                there, fix = "is one, without a name", "leave the speaker out (no --speaker)"
            raise InputError("a speaker must be one of the vocoder's voices", f"{speaker!r}; there {there}", fix)
        if isinstance(speaker, str):
            return self.speakers.index(speaker)
        return speaker or 0


def to_samples(waveform: Tensor) -> np.ndarray:
    """Samples ``[n]`` as float32 in [-1, 1]."""
    return waveform.detach().float().clamp(-1, 1).cpu().numpy()


def _check_fingerprint(own: str, other: str) -> None:
    if own != other:
        raise InputError(
            "a vocoder speaks the units of one tokenizer only",
            f"made for units {own[:16]}, given units {other[:16]}",
            "fit a vocoder for these units, or load the tokenizer it was made for",
        )
