"""An order without replacement that needs no memory: any element of a random permutation, by itself."""

from __future__ import annotations

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import derive

_ROUNDS = 6
_MASK = (1 << 64) - 1


class Permutation:
    """A pseudo-random permutation of ``0 .. size - 1``: a Feistel network with cycle walking.

    The network permutes the smallest power of four that holds ``size``; a result outside goes through again
    until it falls inside. That keeps the map one to one and takes at most four passes on average.

    Args:
        size: >= 1.
        seed, names: which permutation (as for :func:`smoltolk.common.seeds.derive`).
    """

    def __init__(self, size: int, seed: int, *names: str | int):
        if size < 1:
            raise InputError("a permutation needs at least one item", f"size {size}", "give at least one")
        self.size = size
        self._half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
        self._keys = [derive(seed, *names, number) for number in range(_ROUNDS)]

    def __len__(self) -> int:
        return self.size

    def __call__(self, index: int) -> int:
        """Element ``index`` of the permutation."""
        if not 0 <= index < self.size:
            raise InputError(f"0 <= index < {self.size}", f"{index}", "take it modulo the size")
        bits, low_mask = self._half_bits, (1 << self._half_bits) - 1
        while True:
            high, low = index >> bits, index & low_mask
            for key in self._keys:
                high, low = low, high ^ (_mix(low ^ key) & low_mask)
            index = high << bits | low
            if index < self.size:
                return index


def _mix(value: int) -> int:
    """The finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31
