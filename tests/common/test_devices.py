"""Devices that are there, and those that are not."""

from __future__ import annotations

import pytest
import torch

from smoltolk.common.devices import best_device, chosen_device, device_of, multiplies_bfloat16
from smoltolk.common.errors import InputError


def test_a_device_that_is_not_there() -> None:
    assert device_of("cpu").type == "cpu"
    for name in ("nosuch", "cuda:99"):
        with pytest.raises(InputError, match="a device must be there"):
            device_of(name)


@pytest.mark.parametrize("device", ["abacus", "cpu:x", *([] if torch.cuda.is_available() else ["cuda"])])
def test_a_device_is_one_of_this_machine(device: str) -> None:
    assert device_of("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match=f"found: {device}: "):
        device_of(device)


def test_apples_gpus_are_refused_by_name_and_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert best_device() == chosen_device() and "mps" not in best_device()
    for choose in (device_of, chosen_device):
        with pytest.raises(InputError, match="mps, Apple's GPU"):
            choose("mps:0")


def test_processors_and_gpus_that_multiply_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for capabilities, does in (({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert multiplies_bfloat16("cpu") is does
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not multiplies_bfloat16("cpu")  # nobody can tell
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: asked.append(how) or True)
    assert multiplies_bfloat16("cuda") and asked == [{"including_emulation": False}]
