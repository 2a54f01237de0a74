"""Weights and optimizers as plain files, read into the memory that is there; on several processes: test_processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from smoltolk.common.errors import InputError
from smoltolk.training import sharding
from smoltolk.training.sharding import is_sharded, load_optimizer, load_weights, save_optimizer, whole_state
from smoltolk.training.stages import save_model


def stepped(model: nn.Module, steps: int = 2) -> torch.optim.Optimizer:
    """An optimizer that has trained all but the first parameter."""
    trained = list(model.parameters())[1:]
    optimizer = torch.optim.AdamW([{"params": trained[::2]}, {"params": trained[1::2]}], lr=1e-3, fused=True)
    for step in range(steps):
        torch.manual_seed(step)
        for parameter in trained:
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return optimizer


def test_weights_are_read_into_the_memory_of_a_model(build: Callable, tmp_path: Path) -> None:
    model, other = build(), build(initializer_range=0.5)
    save_model(model, tmp_path / "model")
    places = [parameter.data_ptr() for parameter in other.parameters()]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        assert load_weights(other, tmp_path / "model")
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    # The file, which is mapped, and nothing beside it.
    assert most <= (tmp_path / "model" / "model.safetensors").stat().st_size + 4096
    assert places == [parameter.data_ptr() for parameter in other.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert not is_sharded(model) and whole_state(model).keys() == model.state_dict().keys()


def test_files_with_other_names_change_nothing(build: Callable, make_text_model: Callable, tmp_path: Path) -> None:
    make_text_model().save_pretrained(tmp_path / "text")
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert not load_weights(model, tmp_path / "text")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("file_bytes", [1 << 30, 5000])
def test_an_optimizer_goes_on_where_it_was(
    build: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_bytes: int
) -> None:
    monkeypatch.setattr(sharding, "_FILE_BYTES", file_bytes)
    model, again = build(), build()
    optimizer = stepped(model)
    save_model(model, tmp_path)
    save_optimizer(model, optimizer, tmp_path)
    assert (len(list(tmp_path.glob("optimizer-*.safetensors"))) > 1) == (file_bytes < 1 << 30)
    fresh = torch.optim.AdamW(list(again.parameters())[:0:-1], lr=1e-3, fused=True)  # in another order, in one group
    load_weights(again, tmp_path)
    load_optimizer(again, fresh, tmp_path)
    for one, other in ((model, optimizer), (again, fresh)):
        for parameter in list(one.parameters())[1:]:
            parameter.grad = torch.ones_like(parameter)
        other.step()
    for (name, a), (_, b) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_what_is_not_whole_is_told(build: Callable, tmp_path: Path) -> None:
    model = build()
    optimizer = stepped(model)
    with pytest.raises(InputError, match="no "):
        load_optimizer(model, optimizer, tmp_path)
    save_optimizer(model, optimizer, tmp_path)
    strange = torch.optim.AdamW(list(model.parameters())[:3])
    with pytest.raises(InputError, match="other parameters"):
        load_optimizer(model, strange, tmp_path)
    path = next(tmp_path.glob("optimizer-*"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=path.name):
        load_optimizer(model, optimizer, tmp_path)
