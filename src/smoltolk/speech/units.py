"""Units: what a speech model reads and writes instead of sound."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.speech.fitting import load_config


@dataclass(frozen=True, slots=True)
class Units:
    """Deduplicated units of one recording.

    Attributes:
        units: int64 ``[n]``, no two neighbours equal.
        durations: int64 ``[n]``, frames of each unit, at least 1; they sum to the recording's frame count.
    """

    units: np.ndarray
    durations: np.ndarray

    @property
    def num_frames(self) -> int:
        """Frames of the recording."""
        return int(self.durations.sum())

    def frames(self) -> np.ndarray:
        """The units before deduplication, int64 ``[num_frames]``."""
        return np.repeat(self.units, self.durations)


def deduplicate(frames: np.ndarray) -> Units:
    """Join runs of equal units.

    Args:
        frames: ``[num_frames]``, one unit per frame; may be empty.
    """
    frames = np.asarray(frames, dtype=np.int64)
    starts = np.flatnonzero(np.diff(frames, prepend=-1))
    return Units(frames[starts], np.diff(starts, append=len(frames)).astype(np.int64))


class UnitTokenizer(ABC):
    """Waveforms to units: an encoder and a quantizer, with the settings that decide which unit comes out.

    Attributes (fixed when built):
        sample_rate: of the waveforms it takes, Hz.
        frame_rate: frames per second before deduplication, Hz.
        num_units: distinct units K; units are 0 .. K-1.
        num_codebooks: units per frame (1 where units are deduplicated).
    """

    sample_rate: int
    frame_rate: float
    num_units: int
    num_codebooks: int

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the units: settings and weights. Data made with one
        tokenizer must never meet a model or a vocoder made for another."""

    @abstractmethod
    def encode(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        """Units of each waveform, in order; they depend on that waveform alone.

        Args:
            waveforms: float32 ``[samples]`` each, mono, at :attr:`sample_rate`.

        Raises:
            InputError: a waveform is empty, has more than one channel or holds values that are not finite.
        """

    def to(self, device: str) -> None:
        """Compute on this device from now on (a tokenizer that can compute on others than the CPU says so itself).

        Raises:
            InputError: it cannot.
        """
        if device != "cpu":
            raise InputError(
                "a unit tokenizer computes on the devices that it was written for",
                f"{type(self).__name__} on {device!r}, it knows the CPU only",
                "leave the device out",
            )

    @abstractmethod
    def save(self, directory: Path | str) -> None:
        """Write ``config.json`` and ``model.safetensors``; the directory appears whole or not at all."""


def load_unit_tokenizer(directory: Path | str) -> UnitTokenizer:
    """Load what any tokenizer's ``save`` wrote.

    Raises:
        NotFoundError: no ``config.json`` there.
        InputError: not a unit tokenizer of this project, or its weights do not match its fingerprint.
    """
    from smoltolk.speech.phone_encoder import PhoneUnitTokenizer  # here, because it imports this module

    kinds = {PhoneUnitTokenizer.KIND: PhoneUnitTokenizer}
    return kinds[load_config(directory, tuple(kinds), "a unit tokenizer")["kind"]].load(directory)


def fingerprint_of(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """SHA-256 (64 hex digits) over settings and weights, independent of key order."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def check_waveform(waveform: np.ndarray) -> np.ndarray:
    """A waveform as float32 ``[samples]``.

    Raises:
        InputError: empty, not one-dimensional, or not finite.
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1 or waveform.size == 0:
        raise InputError(
            "a waveform must be one-dimensional with at least one sample",
            f"shape {waveform.shape}",
            "mix channels down first (smoltolk.speech.audio.load does) and leave empty recordings out",
        )
    if not np.isfinite(waveform).all():
        raise InputError(
            "samples of a waveform must be finite",
            f"{int((~np.isfinite(waveform)).sum())} of {waveform.size} samples are NaN or infinite",
            "repair or leave out the recording",
        )
    return waveform
