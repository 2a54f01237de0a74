"""What a training runs on is said in one place, and refused there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.training.hardware import Hardware


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [("dtype", "float16", "'float16'"), ("rows_per_device", 0, "0"), ("rows_per_device", "all", "'all'"),
     ("rows_per_device", True, "True"), ("device", "mps", "mps, Apple's GPU"), ("device", "abacus", "'abacus'")],
)  # fmt: skip
def test_what_is_no_hardware_is_refused(field: str, value: Any, found: str) -> None:
    with pytest.raises(InputError, match=f"found: {found}"):
        Hardware(**{field: value})


def test_the_device_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert Hardware().kind == kind and Hardware(device="cpu").kind == "cpu"
    with pytest.raises(InputError, match="no GPU that torch can use"):
        _ = Hardware(device="cuda").kind


def test_rows_are_tried_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Hardware(rows_per_device="auto", device="cpu").tries_rows
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Hardware(rows_per_device="auto").tries_rows and not Hardware(rows_per_device=4).tries_rows


def test_the_device_decides_on_bfloat16_where_nobody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """On processors that multiply it by itself only slowly, as most laptops', float32 takes less than half the time."""
    for native in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native})
        here = Hardware(device="cpu")
        assert here.autocast is None and here.computes_bfloat16 is native
        assert here.decided() == Hardware(device="cpu", autocast=native)
        for named in (True, False):
            assert Hardware(device="cpu", autocast=named).decided().computes_bfloat16 is named
