from pathlib import Path

import pytest
import torch
from torch import nn

from smoltolk.common.errors import InputError
from smoltolk.speech.small_networks import fit, load_weights, one_thread


def test_fitting_minimises_and_leaves_a_network_to_use() -> None:
    torch.manual_seed(0)
    network = nn.Linear(4, 1)
    inputs, wanted = torch.randn(64, 4), torch.randn(64, 1)

    def loss() -> torch.Tensor:
        return (network(inputs).float() - wanted).square().mean()

    before = loss().item()
    fit(network, loss, steps=200, learning_rate=0.05)
    design = torch.cat([inputs, torch.ones(64, 1)], 1)
    best = (design @ torch.linalg.lstsq(design, wanted).solution - wanted).square().mean().item()
    assert loss().item() < before and loss().item() < best * 1.05
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_a_loss_that_explodes_stops_the_run() -> None:
    network = nn.Linear(1, 1)
    with pytest.raises(InputError, match="finite"):
        fit(network, lambda: network(torch.full((1, 1), float("inf"))).sum(), steps=5, learning_rate=0.1)


def test_one_thread_gives_the_threads_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError), one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_weights(tmp_path, nn.Linear(1, 1))
