"""Columns of a table as flat numpy arrays: random access without an object for every cell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def offsets(lengths: pa.ChunkedArray) -> np.ndarray:
    """int64 [rows + 1]: where each of ``rows`` pieces begins when they lie end to end."""
    return np.concatenate([[0], np.cumsum(lengths.to_numpy(), dtype=np.int64)])


class Strings:
    """A column of strings: their UTF-8 bytes end to end, and where each begins.

    Args:
        column: Arrow strings without nulls.
    """

    def __init__(self, column: pa.ChunkedArray):
        self._offsets = offsets(pc.binary_length(column))
        self._bytes = "".join(column.to_pylist()).encode()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> str:
        return self._bytes[self._offsets[index] : self._offsets[index + 1]].decode()


class Coded:
    """A column of strings with few distinct values: an int32 for each cell, and the values.

    Args:
        column: Arrow strings without nulls.
    """

    def __init__(self, column: pa.ChunkedArray):
        # 64-bit strings: all chunks together may hold more than 2 GB of text.
        encoded = pc.dictionary_encode(column.cast(pa.large_string()).combine_chunks())
        self.values: list[str] = encoded.dictionary.to_pylist()
        self.codes: np.ndarray = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int) -> str:
        return self.values[self.codes[index]]


class Ragged:
    """A column of lists of numbers, or of rows of Q numbers: all end to end, and where each list begins.

    Attributes:
        flat: [total], or [total, Q].
        offsets: int64 [rows + 1].
    """

    def __init__(self, column: pa.ChunkedArray):
        # Chunk by chunk: one Arrow list array cannot hold more than 2**31 numbers.
        row = column.type.value_type
        width = row.list_size if pa.types.is_fixed_size_list(row) else None
        parts = [_numbers(chunk.flatten(), width) for chunk in column.chunks]
        shape = 0 if width is None else (0, width)
        self.flat: np.ndarray = np.concatenate(parts) if parts else np.zeros(shape, np.int64)
        self.offsets = offsets(pc.list_value_length(column))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.flat[self.offsets[index] : self.offsets[index + 1]]


def _numbers(values: pa.Array, width: int | None) -> np.ndarray:
    if width is None:
        return values.to_numpy(zero_copy_only=False)
    return values.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
