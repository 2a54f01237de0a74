"""What a training runs on, and how it uses it: nothing of what is learnt, but for the precision of its numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from smoltolk.common.devices import check_supported, multiplies_bfloat16
from smoltolk.common.errors import InputError

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
DeviceKind = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """How a training computes.

    ``dtype`` and ``autocast`` decide what comes out; all else is how fast and in how much memory, and an interrupted
    run may go on with other values of it.

    Attributes:
        dtype: of the weights.
        autocast: compute in bfloat16 over them; None: where the device multiplies it by itself, as GPUs do and few
            processors. What was decided is written down with a run, which goes on with it.
        gradient_checkpointing: compute the states inside of layers a second time instead of keeping them.
        compile: by ``torch.compile``.
        attention: implementation, by its name in transformers; None: the quickest that computes the same.
        fsdp: share out weights, gradients and optimizer among the processes (FSDP2) instead of copying them to each.
        rows_per_device: most rows of one forward pass on each device; None: as many as have 16,384 ids; ``"auto"``: on
            a GPU as many as are found to fit. Gradients are gathered up to the rows of a step.
        device: ``cpu`` or ``cuda``; None: a GPU where there is one.

    Raises:
        InputError: a value that is none of these, or a device that is not supported or not there.
    """

    dtype: Precision = "float32"
    autocast: bool | None = None
    gradient_checkpointing: bool = False
    compile: bool = False
    attention: str | None = None
    fsdp: bool = False
    rows_per_device: int | Literal["auto"] | None = None
    device: str | None = None  # not DeviceKind: then a recipe with mps would be told no reason

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Precision):
            raise InputError(
                f"weights are of {' or '.join(get_args(Precision))}", repr(self.dtype), "choose one of them"
            )
        rows = self.rows_per_device
        if isinstance(rows, bool) or not (rows in (None, "auto") or (isinstance(rows, int) and rows >= 1)):
            raise InputError("a forward pass needs a row", f"{rows!r}", "give 1 or more, auto, or nothing")
        if rows == "auto" and self.fsdp:
            raise InputError(
                "the rows of a pass are found before weights are shared out, while each device holds all of them",
                "rows_per_device=auto with fsdp",
                "give their number",
            )
        if self.device is not None:
            check_supported(self.device)
            if self.device not in get_args(DeviceKind):
                raise InputError("a training is on cpu or cuda", repr(self.device), "choose one of them")

    @property
    def kind(self) -> DeviceKind:
        """The kind of device that is used.

        Raises:
            InputError: one is asked for that is not there.
        """
        import torch

        there = torch.cuda.is_available()
        if self.device == "cuda" and not there:
            raise InputError("a device must be there", "cuda: no GPU that torch can use", "leave it out, or choose cpu")
        return "cuda" if there and self.device != "cpu" else "cpu"

    @property
    def computes_bfloat16(self) -> bool:
        """Whether it autocasts to bfloat16, decided by the device where nothing else does."""
        return multiplies_bfloat16(self.kind) if self.autocast is None else self.autocast

    def decided(self) -> Hardware:
        """With nothing left to the device that changes the result."""
        return replace(self, autocast=self.computes_bfloat16)

    @property
    def tries_rows(self) -> bool:
        """Whether the rows of a pass are found by trial: memory of a GPU runs out in a way that can be noticed."""
        return self.rows_per_device == "auto" and self.kind == "cuda"

    @property
    def torch_dtype(self) -> torch.dtype:
        """``dtype`` as torch has it."""
        import torch

        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32
