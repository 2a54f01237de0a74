"""Units: what a speech model reads and writes instead of sound."""

from __future__ import annotations

import hashlib
import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from smoltolk.common.devices import only_cpu
from smoltolk.common.errors import InputError


@dataclass(frozen=True, slots=True)
class Units:
    """Units of one recording.

    Attributes:
        units: int64 ``[n]``, no two neighbours equal; of a codec ``[frames, codebooks]``, every frame.
        durations: int64 ``[n]``, frames of each unit, at least 1; they sum to the recording's frame count.
    """

    units: np.ndarray
    durations: np.ndarray

    @property
    def num_frames(self) -> int:
        """Frames of the recording."""
        return int(self.durations.sum())

    def frames(self) -> np.ndarray:
        """The units before deduplication, int64 ``[num_frames]`` (of a codec ``[num_frames, codebooks]``)."""
        return np.repeat(self.units, self.durations, axis=0)


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
        KIND: its name in a saved config.
        sample_rate: of the waveforms it takes, Hz.
        frame_rate: frames per second before deduplication, Hz.
        num_units: distinct units K; units are 0 .. K-1.
        num_codebooks: units per frame (1 where units are deduplicated).
    """

    KIND: ClassVar[str]
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

    def strangeness(self, waveform: np.ndarray) -> float | None:
        """How far a recording is from those that the units were learnt for: above 1 the units mean little.

        None where that is not known: only phone units that were measured tell it.

        Args:
            waveform: as for :meth:`encode`.

        Raises:
            InputError: as :meth:`encode`.
        """
        return None

    def to(self, device: str) -> None:
        """Compute on this device from now on (a tokenizer that can compute on others than the CPU says so itself).

        Raises:
            InputError: it cannot.
        """
        only_cpu(device, "a unit tokenizer", type(self).__name__)

    def config(self) -> dict[str, Any]:
        """All that decides the units besides weights: what every tokenizer has; each kind adds its own."""
        return {
            "kind": self.KIND,
            "sample_rate": self.sample_rate,
            "frame_rate": self.frame_rate,
            "num_units": self.num_units,
            "num_codebooks": self.num_codebooks,
        }

    @abstractmethod
    def save(self, directory: Path | str) -> None:
        """Write ``config.json`` and ``model.safetensors``; the directory appears whole or not at all."""

    def push(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload what :meth:`save` writes to the Hugging Face Hub; ``hf://REPO_ID`` loads it again.

        Args:
            repo_id: ``owner/name``; made if it does not exist.
            private: of a new repository.
            token: default: that of `hf auth login`.

        Returns:
            The address of the repository.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        with tempfile.TemporaryDirectory() as place:
            self.save(Path(place) / "units")
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repo_id, folder_path=Path(place) / "units", commit_message=f"Units {self.fingerprint[:16]}"
            )
        return str(address)


def check_one_codebook(tokenizer: UnitTokenizer, what: str) -> None:
    """Refuse a tokenizer that says a frame with several units.

    Args:
        tokenizer: to be looked at.
        what: needs one unit a frame, for the message.

    Raises:
        InputError: it has several codebooks.
    """
    if tokenizer.num_codebooks != 1:
        raise InputError(
            f"{what} one unit a frame",
            f"units of {tokenizer.num_codebooks} codebooks",
            "take units of an encoder, or a codec with its first codebook alone (`units fetch --codebooks 1`)",
        )


def fingerprint_of(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """SHA-256 (64 hex digits) over settings and weights, independent of key order."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
