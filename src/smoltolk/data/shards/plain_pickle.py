"""Pickle files of numbers and strings, read without running anything that is in them."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError

_MOST_BYTES = 1_000_000
_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
    struct.error,
)


# The one written in Python: that in C sets aside memory for whatever number a damaged file says.
_Interpreter: Any = pickle._Unpickler


class _PlainUnpickler(_Interpreter):
    """Builds dicts, lists, numbers and strings; any class or function, even a harmless one, is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_plain_pickle(path: Path | str) -> Any:
    """Read a pickle that holds plain data only.

    Raises:
        NotFoundError: no such file.
        InputError: it holds or calls anything else, is damaged, or larger than 1 MB.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path.name} must exist", f"no file {path}", "check the path")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise pickle.UnpicklingError(f"it has {path.stat().st_size} bytes")
        return _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except _DAMAGED as error:
        raise InputError(
            "a pickle file is read only if it holds plain numbers and strings (others can run any code)",
            f"{path}: {error}",
            "write its values again as plain int, float and str",
        ) from error
