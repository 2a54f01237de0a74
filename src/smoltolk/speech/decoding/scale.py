"""Whether samples have full scale at 1: those of files that hold floats, for what is decoded may pass it by itself."""

from __future__ import annotations

import numpy as np

from smoltolk.common.errors import InputError

# Overshoot is usual where a loud sound was compressed or resampled, and is clipped when it is saved. Integers that were
# written as floats lie beyond full scale almost throughout.
LARGEST_SHARE, LARGEST_PEAK = 0.1, 8.0


class Scale:
    """Counts samples beyond full scale, block after block.

    Args:
        what: they are, for the message.
    """

    def __init__(self, what: str):
        self._what, self._beyond, self._sound, self._peak = what, 0, 0, 0.0

    def add(self, samples: np.ndarray) -> None:
        """Count a block of samples of any shape."""
        peak = float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))
        self._peak = max(self._peak, peak)
        if peak > 1:
            self._beyond += int(np.count_nonzero(np.abs(samples) > 1))
        self._sound += int(np.count_nonzero(samples))

    def check(self) -> None:
        """See whether the samples seen so far have full scale at 1.

        Raises:
            InputError: more than a tenth of those that are not zero lie beyond it, or one of them by more than 18 dB.
        """
        share = self._beyond / max(1, self._sound)
        if share > LARGEST_SHARE or self._peak > LARGEST_PEAK:
            raise InputError(
                f"samples of {self._what} must have full scale at 1: {LARGEST_SHARE:.0%} of them may lie beyond it, "
                f"none beyond {LARGEST_PEAK:g}",
                f"{share:.1%} beyond it, the largest {self._peak:g}",
                "divide them by full scale (32768 if they were 16-bit integers), or write them as integers",
            )
