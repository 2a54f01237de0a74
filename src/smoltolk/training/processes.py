"""Several processes that train one model: they begin together, and wait for each other where one of them writes."""

from __future__ import annotations

import torch
from accelerate import PartialState

from smoltolk.common.processes import num_processes


def begin_together(on_cpu: bool | None = None) -> None:
    """Meet the other processes of this command, if there are any; before this nothing can be waited for.

    Args:
        on_cpu: whether they compute on the CPU; None: if there are no GPUs.
    """
    if num_processes() > 1 and not torch.distributed.is_initialized():
        PartialState(cpu=not torch.cuda.is_available() if on_cpu is None else on_cpu)
    wait_for_all()


def said_by_first(number: int, device: torch.device) -> int:
    """The number that the first process says; all of them must ask.

    Args:
        number: of this process.
        device: that this process computes on.
    """
    if not torch.distributed.is_initialized():
        return number
    told = torch.tensor(number, device=device)
    torch.distributed.broadcast(told, 0)
    return int(told)


class Agreement:
    """The largest number that any process has, known to all of them at the same step, without a GPU that waits.

    Args:
        device: that this process computes on.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._under_way: tuple[torch.Tensor, torch.cuda.Event] | None = None

    def at_once(self, number: int) -> int:
        """The largest number of now; all processes must ask."""
        if not torch.distributed.is_initialized():
            return number
        told = torch.full((), number, device=self._device)
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
        return int(told)

    def lately(self, number: int) -> int:
        """The largest number of now, on GPUs that of the call before; all processes must ask."""
        if self._device.type != "cuda" or not torch.distributed.is_initialized():
            return self.at_once(number)
        found = 0
        if self._under_way is not None:
            told, there = self._under_way
            there.synchronize()  # of the step before: that of this one may be under way
            found = int(told)
        told = torch.full((), number, device=self._device)
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
        copied, there = torch.empty((), dtype=told.dtype, pin_memory=True), torch.cuda.Event()
        copied.copy_(told, non_blocking=True)
        there.record()
        self._under_way = copied, there
        return found


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
