"""What every decoder gives: a sound that is read from its start to its end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

# A promise that is missed by less shows nothing: headers are some bytes off, encoders count a frame more or less.
SLACK_SECONDS = 0.1


class Sound(ABC):
    """An opened sound, read forward once.

    Attributes:
        sample_rate: samples per second.
        num_channels: at least one.
        num_samples: of each channel, as the container tells it without decoding; None: only decoding tells.
        holds_floats: whether samples are kept as floats, of which nobody knows the full scale.
    """

    sample_rate: int
    num_channels: int
    num_samples: int | None = None
    holds_floats: bool = False

    @abstractmethod
    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """All that decodes, float32 ``[samples, channels]``, about ``size`` samples at a time, none of them empty.

        Raises:
            InputError: its data is damaged.
        """

    @abstractmethod
    def missing(self, held: int) -> str | None:
        """What shows that the file breaks off, None if nothing does.

        Args:
            held: how many samples of each channel it has; all blocks are read.
        """

    def stretch(self, first: int, count: int) -> tuple[np.ndarray, int]:
        """Some samples, in place of :meth:`blocks`.

        Returns:
            float32 ``[samples, channels]``, fewer than ``count`` where the sound ends before; and where they end: its
            length, if they are fewer.
        """
        parts, position = [np.zeros((0, self.num_channels), np.float32)], 0
        for block in self.blocks(self.sample_rate):
            parts.append(block[max(0, first - position) : max(0, first + count - position)])
            position += len(block)
            if position >= first + count:
                return np.concatenate(parts), first + count
        return np.concatenate(parts), position

    def _short(self, held: float, promised: float) -> str | None:
        """The usual evidence: samples that a header promised and that are not there; more than promised is no fault."""
        if promised - held <= SLACK_SECONDS * self.sample_rate:
            return None
        return f"{held / promised:.0%} of what its header promises"
