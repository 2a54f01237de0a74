"""Loss and gradients made in one pass are those of the plain cross entropy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoltolk.model import fused_loss, loss
from smoltolk.model.fused_loss import summed_cross_entropy
from smoltolk.model.loss import IGNORE
from smoltolk.model.text_models.text_head import TextHead

N, V, D = 300, 37, 16


def problem(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States, a table with spare rows, a column more, and what is asked: some rows nothing."""
    generator = torch.Generator().manual_seed(5)
    states, table, more = (
        torch.randn(*shape, generator=generator).to(dtype).requires_grad_() for shape in ((N, D), (V + 3, D), (1, D))
    )
    wanted = torch.randint(0, V + 1, (N,), generator=generator)
    wanted[::7] = IGNORE
    return states, table, more, wanted


def plain(states: Tensor, table: Tensor, more: Tensor, wanted: Tensor) -> Tensor:
    logits = torch.cat([F.linear(states, table[:V]), F.linear(states, more)], dim=1)
    return F.cross_entropy(logits.float(), wanted, reduction="sum", ignore_index=IGNORE)


def fused(states: Tensor, table: Tensor, more: Tensor, wanted: Tensor) -> Tensor:
    return summed_cross_entropy(states, [(table, V), (more, 1)], wanted)[0]


@pytest.mark.parametrize("cached_rows", [1, 128, 1 << 10])
def test_loss_and_gradients_are_the_plain_ones(cached_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_loss, "_CACHED_ROWS", cached_rows)
    *inputs, wanted = problem()
    found, expected = fused(*inputs, wanted), plain(*inputs, wanted)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    # what is upstream scales all of them: a mean, gradient accumulation, a loss scaler
    ours, theirs = (torch.autograd.grad(total * 0.37, inputs) for total in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert ours[1][V:].eq(0).all()  # spare rows


@pytest.mark.parametrize("way", ["autocast", "weights"])
@pytest.mark.parametrize("numbers", [1, 1 << 24])  # of the least rows a part, and all at once
def test_bfloat16_is_within_its_own_rounding(way: str, numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "NUMBERS_AT_ONCE", numbers)
    monkeypatch.setattr(fused_loss, "_CACHED_ROWS", 64)
    dtype = torch.float32 if way == "autocast" else torch.bfloat16
    *inputs, wanted = problem(dtype)
    exact = [value.detach().double().requires_grad_() for value in inputs]
    expected = torch.autograd.grad(plain(*exact, wanted), exact)
    errors = {}
    for name, total in (("fused", fused), ("plain", plain)):
        with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
            value = total(*inputs, wanted)
        assert value.dtype == torch.float32
        gradients = torch.autograd.grad(value, inputs)
        errors[name] = [
            float((one.double() - other).norm() / other.norm()) for one, other in zip(gradients, expected, strict=True)
        ]
    for ours, theirs in zip(errors["fused"], errors["plain"], strict=True):
        assert ours <= 2 * theirs + 1e-3  # a sum of parts in bfloat16 rounds once a part


def test_what_does_not_train_gets_nothing_and_costs_nothing() -> None:
    states, table, more, wanted = problem()
    table.requires_grad_(False)
    found = torch.autograd.grad(fused(states, table, more, wanted), [states, more], retain_graph=False)
    expected = torch.autograd.grad(plain(states, table, more, wanted), [states, more])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_no_rows() -> None:
    states, table, more, _ = problem()
    total = fused(states[:0], table, more, torch.zeros(0, dtype=torch.int64))
    total.backward()
    assert total == 0 and table.grad is not None and table.grad.eq(0).all()


def test_a_second_backward_pass_is_refused() -> None:
    """Gradients are scaled in place: a silent second pass would give wrong ones."""
    *inputs, wanted = problem()
    total = fused(*inputs, wanted)
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        total.backward()


def test_whole_logits_are_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows there are, so many logits at a time and no more."""
    seen = []
    linear = F.linear

    def counting(x: Tensor, weight: Tensor) -> Tensor:
        seen.append(len(x))
        return linear(x, weight)

    monkeypatch.setattr(fused_loss.F, "linear", counting)
    *inputs, wanted = problem()
    fused(*inputs, wanted)
    assert max(seen) == 128 and sum(seen) == 2 * N


@pytest.mark.parametrize("predict_switch", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("everything", [False, True])  # stage 1 freezes what the text model brought
def test_a_model_learns_the_same(
    predict_switch: bool,
    tied: bool,
    everything: bool,
    make_text_model: Callable,
    make_model: Callable,
    gradients: Callable,
    write: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make_model(make_text_model(tie_word_embeddings=tied), predict_switch=predict_switch)
    trained = model.trainable_parameters(everything)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    ids = write(model.config.id_space, "tttttsuuuuuuustttsuuuuuuu", "uuuuusttttttttttttsuuuuuu")
    fused = gradients(model, input_ids=ids, labels=ids)
    monkeypatch.setattr(TextHead, "matrix", lambda self, backbone: None)
    plain = gradients(model, input_ids=ids, labels=ids)
    assert fused.keys() == plain.keys() and fused
    for name, gradient in plain.items():
        torch.testing.assert_close(fused[name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))
