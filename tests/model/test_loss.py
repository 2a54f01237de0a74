from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoltolk.model import loss
from smoltolk.model.loss import IGNORE, cross_entropy, mean_entropy, of_rows

V, D = 7, 4


def by_hand(states: Tensor, rows: Tensor, wanted: Tensor, table: Tensor) -> Tensor:
    each = [
        F.cross_entropy(states[row] @ table.T, asked) if asked != IGNORE else torch.zeros(())
        for row, asked in zip(rows.tolist(), wanted, strict=True)
    ]
    return torch.stack(each)


@pytest.mark.parametrize("at_once", [1, 64, 100, 1 << 20])
def test_in_parts_it_is_the_same_and_no_part_is_larger(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    states, table = torch.randn(200, D, generator=generator), torch.randn(V, D, generator=generator)
    rows = torch.randperm(200, generator=generator)[:170]
    wanted = torch.randint(0, V, (170,), generator=generator)
    wanted[::9] = IGNORE
    monkeypatch.setattr(loss, "NUMBERS_AT_ONCE", at_once * V)
    seen: list[int] = []

    def nll(chosen: Tensor, asked: Tensor) -> Tensor:
        seen.append(len(chosen))
        return cross_entropy(chosen @ table.T, asked)

    states.requires_grad_()
    table.requires_grad_()
    found = of_rows(nll, states, rows, wanted, V)
    expected = by_hand(states, rows, wanted, table)
    torch.testing.assert_close(found, expected)
    weights = torch.rand(170, generator=generator)  # each row's gradient is its own
    ours = torch.autograd.grad((found * weights).sum(), [states, table])
    theirs = torch.autograd.grad((expected * weights).sum(), [states, table])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    assert max(seen) <= max(64, at_once) or at_once > 170
    with torch.no_grad():
        torch.testing.assert_close(of_rows(nll, states, rows, wanted, V), expected.detach())


def test_nothing_asked_stays_in_the_graph() -> None:
    states, table = torch.randn(5, D, requires_grad=True), torch.randn(V, D, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    found = of_rows(lambda chosen, asked: cross_entropy(chosen @ table.T, asked), states, none, none, V)
    found.sum().backward()
    assert found.shape == (0,) and states.grad.eq(0).all() and table.grad.eq(0).all()


def test_mean_entropy_passes_over_padding() -> None:
    entropy = torch.tensor([[1.0, 2.0, 3.0], [5.0, float("nan"), float("nan")]])
    real = torch.tensor([[True, True, True], [True, False, False]])
    assert mean_entropy(entropy, real) == 11 / 4
    assert mean_entropy(entropy[:1], None) == 2
    assert mean_entropy(entropy, torch.zeros_like(real)) == 0


def test_a_gpu_with_free_memory_holds_more_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    for free, expected in ((1 << 30, loss.NUMBERS_AT_ONCE), (1 << 34, 1 << 27), (1 << 40, 1 << 28)):
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda device, free=free: (free, free))
        assert loss.numbers_at_once(gpu) == expected
        assert loss.numbers_at_once(cpu) == loss.NUMBERS_AT_ONCE
