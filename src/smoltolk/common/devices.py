"""Where networks compute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from smoltolk.common.errors import InputError, first_line

if TYPE_CHECKING:
    import torch

SUPPORTED = ("cpu", "cuda")


def best_device() -> str:
    """A GPU if there is one; of several processes that were started together each has its own.

    Apple's GPUs (``mps``) are never chosen: see :func:`check_supported`.
    """
    import torch  # here and below: names are checked before anything large is loaded

    if not torch.cuda.is_available():
        return "cpu"
    rank = os.environ.get("LOCAL_RANK", "")
    return f"cuda:{int(rank) % torch.cuda.device_count()}" if rank.isdecimal() else "cuda"


def chosen_device(name: str | None = None) -> str:
    """A device by its name; the best one where none is named.

    Raises:
        InputError: one of a kind that is not supported.
    """
    if name is not None:
        check_supported(name.partition(":")[0])
    return name or best_device()


def device_of(name: torch.device | str) -> torch.device:
    """A device that is there.

    Raises:
        InputError: no such device, no such name, or one of a kind that is not supported.
    """
    import torch

    check_supported(str(name).partition(":")[0])
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    # What torch raises: of a name or number that is not there; built without CUDA; of a device it has only the name of.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = f"{name}: {first_line(error)}"
        raise InputError("a device must be there", found, "name another, or leave it out") from error
    return device


def multiplies_bfloat16(kind: str) -> bool:
    """Whether devices multiply bfloat16 by themselves; on other processors it takes more than twice as long as float32.

    Args:
        kind: ``cpu`` or ``cuda``.
    """
    import torch

    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def check_supported(kind: str) -> None:
    """Refuse kinds of devices by name that none of this was tried on: a run there would end somewhere in the middle.

    Args:
        kind: of device, without its number.

    Raises:
        InputError: Apple's ``mps``.
    """
    if kind == "mps":
        raise InputError(
            f"networks compute on {' or '.join(SUPPORTED)}",
            "mps, Apple's GPU, where not all of it computes the same",
            "choose cpu, or leave the device out",
        )


def only_cpu(device: str, what: str, kind: str) -> None:
    """Refuse every device but the CPU.

    Args:
        device: that is asked for.
        what: computes, for the message, e.g. ``"an encoder"``.
        kind: the name of its class.

    Raises:
        InputError: it is another device.
    """
    if device != "cpu":
        raise InputError(
            f"{what} computes on the devices that it was written for",
            f"{kind} on {device!r}, it knows the CPU only",
            "leave the device out",
        )
