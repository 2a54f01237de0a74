"""Units of recordings, kept by what is heard and by which tokenizer hears it: the same is never encoded again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from smoltolk.common.files import atomic_file, cache_dir
from smoltolk.speech.units.tokenizer import Units


def digest_of(content: bytes) -> str:
    """What a recording is known by, wherever it lies."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


class UnitCache:
    """Files ``ROOT/FINGERPRINT/DIGEST``.

    Args:
        fingerprint: of the tokenizer.
        root: default: ``$SMOLTOLK_CACHE/units``.
    """

    def __init__(self, fingerprint: str, root: Path | None = None):
        self._place = (root or cache_dir() / "units") / fingerprint

    def read(self, digest: str) -> Units | None:
        """Units of a recording; None if they were never made."""
        path = self._path(digest)
        if not path.is_file():
            return None
        table = np.load(path).astype(np.int64)
        units = table[:, :-1]
        return Units(units[:, 0] if units.shape[1] == 1 else units, table[:, -1])

    def write(self, digest: str, units: Units) -> None:
        """Keep them; their durations are the last column."""
        with atomic_file(self._path(digest)) as temporary:
            table = np.column_stack([units.units.reshape(len(units.units), -1), units.durations])
            np.save(temporary, table.astype(np.int32))

    def _path(self, digest: str) -> Path:
        return self._place / digest[:2] / f"{digest}.npy"
