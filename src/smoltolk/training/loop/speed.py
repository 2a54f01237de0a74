"""How fast a training is, how much of the device it uses, and how long it waits for its rows."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress

import torch
from torch import nn

# Dense bfloat16 FLOPs a second that makers publish, by a part of the name that CUDA gives.
_PEAKS: Mapping[str, float] = {
    "B200": 2250e12, "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L40": 181e12, "A40": 150e12,
    "L4": 121e12, "4090": 165e12, "3090": 71e12,
}  # fmt: skip
_GB = 1e9


def peak_of_device() -> float | None:
    """FLOPs a second that the GPU of this process could do in bfloat16; None without one, or an unknown one."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in _PEAKS.items() if part in name), None)


def flops_per_id(model: nn.Module) -> float:
    """FLOPs of a step for each id by the usual rule: 6 a parameter, 4 where it is frozen; rows of tables cost nothing.

    A table counts where it is a head too. Attention is left out, and that the parts for one modality do not compute
    the other one, so an MFU made of it compares runs of one architecture.

    Args:
        model: as it trains now.
    """
    heads = getattr(model, "get_output_embeddings", lambda: None)()
    head = getattr(heads, "weight", None)
    tables = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module.weight is not head
    }
    counted = [parameter for parameter in model.parameters() if id(parameter) not in tables]
    return float(sum((6 if parameter.requires_grad else 4) * parameter.numel() for parameter in counted))


def memory() -> dict[str, float]:
    """Most memory so far, GB: of this process (where the system tells), and what torch allocated on its GPU."""
    told: dict[str, float] = {}
    with suppress(ModuleNotFoundError):  # Windows
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        told["rss_gb"] = most * (1 if sys.platform == "darwin" else 1024) / _GB
    if torch.cuda.is_available():
        told["gpu_gb"] = torch.cuda.max_memory_allocated() / _GB
    return told


class Clock:
    """Seconds of training: of steps, of waiting for rows, and neither of what is done between steps.

    Args:
        before: seconds that were trained before.
    """

    def __init__(self, before: float = 0.0):
        self.seconds = before
        self.waited = self.stepped = 0.0  # since the last time it was read
        self.steps = 0
        self.last_wait = 0.0
        self.waiting_since: float | None = time.monotonic()
        self._began = 0.0

    def begin_step(self) -> None:
        """The rows of a step are there."""
        self._began = time.monotonic()
        self.last_wait = self._began - (self.waiting_since or self._began)
        self.waiting_since = None
        self.waited += self.last_wait
        self.seconds += self.last_wait

    def end_step(self) -> None:
        """The step is done."""
        taken = time.monotonic() - self._began
        self.stepped += taken
        self.seconds += taken
        self.steps += 1
        self.wait()

    def wait(self) -> None:
        """From now on the next rows are waited for."""
        self.waiting_since = time.monotonic()

    def waiting(self) -> float | None:
        """Seconds that the next rows have been waited for; None while a step is under way."""
        since = self.waiting_since
        return None if since is None else time.monotonic() - since

    def pause(self) -> None:
        """Something else is done than waiting, until :meth:`wait` is called."""
        self.waiting_since = None

    def read(self) -> tuple[int, float, float]:
        """Steps, seconds of them and seconds of waiting since the last time; begins anew."""
        found = self.steps, self.stepped, self.waited
        self.steps, self.stepped, self.waited = 0, 0.0, 0.0
        return found
