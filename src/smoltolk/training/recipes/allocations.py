"""Bytes of tensors that are alive, counted where they are made: of a real run, or of tensors without numbers."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """Counts storages that operations make, inside of the block, until they are let go.

    Kernels' own scratch space is not seen. Several tensors that look at one storage count once.

    Attributes:
        alive: bytes now.
        most: bytes at the worst moment since the last :meth:`forget`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.most = 0
        self._seen: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Run an operation and count what is new in what it returns."""
        found = func(*args, **(kwargs or {}))
        self.add(one for one in tree_leaves(found) if isinstance(one, torch.Tensor))
        return found

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count tensors that were there before."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = id(storage)
            if key not in self._seen:
                self._seen[key] = weakref.finalize(storage, self._gone, key, storage.nbytes())
                self.alive += storage.nbytes()
                self.most = max(self.most, self.alive)

    def _gone(self, key: int, size: int) -> None:
        del self._seen[key]
        self.alive -= size

    def forget(self) -> None:
        """Begin to look for the worst moment anew."""
        self.most = self.alive
