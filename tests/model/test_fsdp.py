"""FSDP2 in two processes computes what one process does, gradients too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.spans import find_spans, group_spans

PROCESS = Path(__file__).parent / "processes" / "fsdp.py"
ROWS = {
    "both speak, in one group of spans and in two": ("uuuuuuuuuuuuustsutsutsusu", "uuuuuusttttttttttttsuuuuu"),
    "one hears no speech": ("tttttsuuuuuustttsuuuu", "ttttttttttttttttttttt"),
    "one reads no text": ("uuuuuuuuuuuuuuuuuuuuu", "tttttsuuuuuustttsuuuu"),
}


@pytest.fixture(scope="module")
def made(
    make_model: Callable[..., SmolTolkForCausalLM],
    write: Callable[..., Tensor],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[SmolTolkForCausalLM, dict[str, list[Tensor]], Path]:
    """The model, its batches for each process, and where the two processes left what they computed."""
    directory = tmp_path_factory.mktemp("fsdp")
    model = make_model(layer_mix_pool="all")
    batches = {name: [write(model.config.id_space, row) for row in rows] for name, rows in ROWS.items()}
    model.save_pretrained(directory / "model")
    torch.save(batches, directory / "batches.pt")
    done = subprocess.run([sys.executable, PROCESS, directory], stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return model, batches, directory


@pytest.mark.parametrize("name", ROWS)
def test_two_processes_compute_what_one_does(
    name: str, made: tuple[SmolTolkForCausalLM, dict[str, list[Tensor]], Path]
) -> None:
    model, batches, directory = made
    rows = batches[name]
    count = sum(int((ids[:, 1:] != model.config.switch_id).sum()) for ids in rows)
    model.train().zero_grad()
    losses = [model(input_ids=ids, labels=ids, num_items_in_batch=count).loss for ids in rows]
    sum(losses).backward()
    found: list[dict[str, Any]] = [torch.load(directory / f"{name}-{rank}.pt") for rank in range(2)]
    for loss, part in zip(losses, found, strict=True):
        torch.testing.assert_close(part["loss"] / 2, loss.detach(), rtol=1e-5, atol=1e-6)
    # As often, and each over no more than its own spans, with one more for what stands at text, or over one position.
    calls = [part["calls"] for part in found]
    assert len(calls[0]) == len(calls[1]) and (name != next(iter(ROWS)) or len(calls[0]) == 2)
    for ids, called in zip(rows, calls, strict=True):
        groups = group_spans(find_spans(ids >= model.config.speech_offset))
        own = [(group.num_spans, group.longest) for group in groups if group.num_spans]
        expected = [(num + (number == 0), longest) for number, (num, longest) in enumerate(own)]
        assert called == expected + [(1, 1)] * (len(called) - len(own))
    for parameter_name, parameter in model.named_parameters():
        for part in found:
            gradient = part["gradients"][parameter_name]
            assert (gradient - parameter.grad).abs().max() <= 1e-5 * parameter.grad.abs().max().clamp(min=1e-2), (
                parameter_name
            )
    model.eval().zero_grad()
