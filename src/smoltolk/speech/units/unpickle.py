"""Centres out of a published k-means pickle, without running what else the pickle may hold.

A pickle is a program. The codebooks of the field are pickles that joblib wrote of scikit-learn's ``KMeans``; this
reader runs such a program with a vocabulary of a few names, none of which does anything but hold values, and reads the
arrays that joblib writes between the instructions. Whatever else a pickle names is refused before it is called.
"""

from __future__ import annotations

import io
import math
import pickle
import zlib
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError

_MOST_BYTES = 1 << 31  # of a codebook, unpacked; published ones have some megabytes
_GZIP = b"\x1f\x8b"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


class _Refused(Exception):
    """What the pickle asks for is not a k-means model."""


class _State:
    """Stands for an object of scikit-learn: takes its attributes, does nothing."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update({str(name): value for name, value in state.items()})


class _JoblibArray(_State):
    """What joblib writes in the place of an array; the array's bytes follow in the file."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype

    def read(self, file: BinaryIO) -> np.ndarray:
        dtype, shape = self.dtype, tuple(int(size) for size in self.shape)
        if not isinstance(dtype, np.dtype) or dtype.hasobject or min(shape, default=0) < 0:
            raise _Refused(f"an array of {dtype!r} with shape {shape}")
        size = math.prod(shape) * dtype.itemsize
        if size > _MOST_BYTES:
            raise _Refused(f"an array of {size} bytes")
        if "numpy_array_alignment_bytes" in self.__dict__ and self.numpy_array_alignment_bytes is not None:  # type: ignore[attr-defined]
            file.read(file.read(1)[0])
        content = file.read(size)
        if len(content) != size:
            raise EOFError
        array = np.frombuffer(content, dtype)
        return array.reshape(shape[::-1]).T if self.order == "F" else array.reshape(shape)


class _Array(np.ndarray):
    """An array that takes no state but that of numbers."""

    def __setstate__(self, state: Any) -> None:
        if np.dtype(state[2]).hasobject:
            raise _Refused("an array of objects")
        super().__setstate__(state)


def _reconstruct(*_: Any) -> np.ndarray:
    """numpy's way to begin an array in a plain pickle: an empty one, filled by its state."""
    return np.ndarray.__new__(_Array, (0,), dtype=np.int8)


def _from_buffer(content: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """How protocol 5 stores an array in a plain pickle."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise _Refused(f"an array of {dtype!r}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if order == "F" else "C")


def _dtype(name: Any, *_: Any) -> np.dtype:
    """A number's type; ``np.dtype`` itself would also make types of objects and structures."""
    made = np.dtype(str(name))
    if made.hasobject or made.fields is not None:
        raise _Refused(f"an array of {made}")
    return made


def _scalar(dtype: np.dtype, content: bytes = b"") -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise _Refused(f"a scalar of {dtype!r}")
    return np.frombuffer(content, dtype, 1)[0]


def _bytes(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocol 2 stores bytes, with the one encoding it uses."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused(f"text as {encoding!r}")
    return text.encode("latin1")


def _new(kind: type, *_: Any) -> Any:
    """``copyreg._reconstructor`` of protocol 2 and below, for the stand-ins alone."""
    if kind not in (_State, _JoblibArray):
        raise _Refused(f"an object of {kind!r}")
    return kind()


# What a pickle may name, and what stands for it here.
_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _Array,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    ("_codecs", "encode"): _bytes,
    ("copy_reg", "_reconstructor"): _new,
    ("copyreg", "_reconstructor"): _new,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
}
# A fitted model may carry its random generator; it is put together and thrown away.
_STAND_INS = {
    ("numpy.random._pickle", "__randomstate_ctor"),
    ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random", "__RandomState_ctor"),
    ("numpy.random._mt19937", "MT19937"),
}
_MODELS = {"KMeans", "MiniBatchKMeans", "BisectingKMeans"}


def _stand_in(*_: Any) -> _State:
    return _State()


# The interpreter written in Python lets us put the arrays in their places as its instructions pass.
_Interpreter: Any = pickle._Unpickler


class _Unpickler(_Interpreter):
    dispatch: ClassVar[dict[int, Any]] = dict(_Interpreter.dispatch)

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self._raw = file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        if (module, name) in _STAND_INS:
            return _stand_in
        if name in _MODELS and module.split(".")[:2] == ["sklearn", "cluster"]:
            return _State
        raise _Refused(f"{module}.{name}")

    def load_build(self) -> None:
        if isinstance(self.stack[-2], np.dtype):
            # numpy's state of a dtype: byte order first; anything else about it was settled when it was made.
            state = self.stack.pop()
            self.stack[-1] = self.stack[-1].newbyteorder(state[1] if state[1] in "<>=|" else "=")
            return
        if not isinstance(self.stack[-2], _State | _Array):
            raise _Refused(f"a state for {type(self.stack[-2]).__name__}")
        super().load_build()
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack[-1] = self.stack[-1].read(self._raw)

    dispatch[pickle.BUILD[0]] = load_build

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("something stored elsewhere")


def read_kmeans(path: Path | str) -> np.ndarray:
    """The centres of a k-means model that joblib or pickle wrote (plain, or packed by zlib or gzip).

    Args:
        path: e.g. ``hubert_base_ls960_L9_km500.bin`` as published.

    Returns:
        float32 ``[clusters, dim]``.

    Raises:
        NotFoundError: no such file.
        InputError: it is cut short, holds something else than a k-means model, or names code to run.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("a codebook must exist", f"no file {path}", "check the path")
    try:
        held = _Unpickler(io.BytesIO(_unpacked(path.read_bytes()))).load()
    except _Refused as refused:
        raise InputError(
            "a codebook's pickle may hold a scikit-learn KMeans and its arrays, and nothing that runs",
            f"{path} asks for {refused}",
            "do not use this file, or write its centres into a .npy or .safetensors file where you trust it",
        ) from refused
    except (
        pickle.UnpicklingError, EOFError, zlib.error, AttributeError, IndexError, KeyError, TypeError, ValueError,
        MemoryError, OverflowError,
    ) as error:  # fmt: skip
        raise InputError(
            "a codebook must be a k-means model as joblib writes it",
            f"{path}: {type(error).__name__} {error}".rstrip(),
            "fetch it again, whole",
        ) from error
    centers = held if isinstance(held, np.ndarray) else getattr(held, "cluster_centers_", None)
    if not isinstance(centers, np.ndarray) or centers.ndim != 2 or not centers.size:
        raise InputError(
            "a k-means model must have cluster_centers_ [clusters, dim]",
            f"{path} has {type(held).__name__} with {getattr(centers, 'shape', None)}",
            "fit it first, or give another file",
        )
    return np.array(centers, dtype=np.float32, subok=False)


def _unpacked(content: bytes) -> bytes:
    if content[:2] == _GZIP or content[:2] in _ZLIB:
        unpacker = zlib.decompressobj(wbits=47)  # either of the two, as its head says
        content = unpacker.decompress(content, _MOST_BYTES)
        if not unpacker.eof:
            raise EOFError
    return content
