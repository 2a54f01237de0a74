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


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
