"""How a model attends while it trains: by the quickest way that computes the same, or by the one that is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

from smoltolk.common.errors import InputError, first_line
from smoltolk.model.text_models.attention import quick_attention
from smoltolk.training.hardware import Hardware


@contextmanager
def attending(model: PreTrainedModel, hardware: Hardware) -> Iterator[None]:
    """Attend as the hardware says inside the block, by the quickest implementation if it names none.

    Args:
        model: any model.
        hardware: its ``attention``, and its kind of device.

    Raises:
        InputError: an implementation that there is not, or none to train with there.
    """
    named = hardware.attention
    if named is None:
        with quick_attention(model):
            yield
        return
    before = model.config._attn_implementation
    if hardware.kind == "cpu" and "flex" in named:
        raise _refused(named, "on a CPU it has no backward pass")
    try:
        model.set_attn_implementation(named)
    except (ImportError, ValueError) as error:
        raise _refused(named, first_line(error)) from error
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def check_attention(model: PreTrainedModel, hardware: Hardware) -> None:
    """Refuse what :func:`attending` would, before any work."""
    if hardware.attention is not None:
        with attending(model, hardware):
            pass


def _refused(name: str, why: str) -> InputError:
    return InputError(
        "attention is one of transformers' implementations, and what it needs must be there",
        f"{name!r}: {why}",
        "choose e.g. sdpa or eager, or leave it out",
    )
