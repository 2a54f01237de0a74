"""Encoders: waveforms to one feature vector a frame, which a codebook turns into units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from smoltolk.common.devices import only_cpu
from smoltolk.common.errors import InputError

# A function of the features [frames, dim] of a window, applied where they are computed: units need less memory.
Reduce = Callable[[Tensor], Tensor]


class FrameEncoder(ABC):
    """Waveforms to features, a vector a frame; those of a recording depend on that recording alone.

    Attributes (fixed when built):
        kind: its name in a saved config.
        sample_rate: of the waveforms it takes, Hz.
        frame_rate: frames per second.
        dim: of a feature vector.
        network: everything with weights; may be empty.
    """

    kind: str
    sample_rate: int
    frame_rate: float
    dim: int
    network: nn.Module

    @abstractmethod
    def features(self, waveforms: Sequence[np.ndarray], reduce: Reduce | None = None) -> list[Tensor]:
        """Features of each waveform, in order.

        Args:
            waveforms: float32 ``[samples]`` each, mono, at :attr:`sample_rate`.
            reduce: applied to the features of each window ``[frames, dim]`` on the device where they are; keeps the
                number of frames.

        Returns:
            ``[frames, ...]`` each, on the CPU: what ``reduce`` returned, or the features in float32.

        Raises:
            InputError: a waveform is empty, too short for one frame, not mono, or holds values that are not finite.
        """

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """All that decides the features besides weights, as JSON takes it; ``build_encoder`` reads it."""

    def to(self, device: str) -> None:
        """Compute on this device from now on.

        Raises:
            InputError: it cannot.
        """
        only_cpu(device, "an encoder", type(self).__name__)


def too_short(num_samples: int, least: int) -> InputError:
    """The error of a recording without a frame."""
    return InputError(
        f"a recording must last one frame at least ({least} samples)",
        f"{num_samples} samples",
        "leave such short recordings out",
    )
