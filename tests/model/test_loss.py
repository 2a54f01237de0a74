from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from smoltolk.model.loss import IGNORE, Loss, mean_entropy, modality_loss

V, U, D = 7, 5, 4


@pytest.fixture
def states() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 6, D, generator=generator), torch.randn(2, 6, D, generator=generator)


HEADS = (
    torch.randn(V, D, generator=torch.Generator().manual_seed(1)),
    torch.randn(U, D, generator=torch.Generator().manual_seed(2)),
)
LABELS = torch.tensor([[3, 1, 9, 11, IGNORE, 2], [8, 7, IGNORE, 0, 6, 6]])


def compute(states: tuple[torch.Tensor, torch.Tensor], labels: torch.Tensor, **settings: object) -> Loss:
    return modality_loss(
        *states,
        labels,
        text_head=lambda rows: rows @ HEADS[0].T,
        speech_head=lambda rows: rows @ HEADS[1].T,
        speech_offset=V,
        **settings,  # type: ignore[arg-type]
    )


def by_hand(states: tuple[torch.Tensor, torch.Tensor], labels: torch.Tensor) -> tuple[list, list]:
    """NLL of each predicted id, of text and of speech."""
    found: tuple[list, list] = ([], [])
    for b in range(labels.shape[0]):
        for t in range(labels.shape[1] - 1):
            label = int(labels[b, t + 1])
            if label != IGNORE:
                speech = int(label >= V)
                logits = states[speech][b, t] @ HEADS[speech].T
                found[speech].append(F.cross_entropy(logits, torch.tensor(label - V * speech)))
    return found


def test_against_a_loop(states: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss = compute(states, LABELS)
    text, speech = by_hand(states, LABELS)
    assert len(text) == 5 and len(speech) == 3
    torch.testing.assert_close(loss.text, torch.stack(text).mean())
    torch.testing.assert_close(loss.speech, torch.stack(speech).mean())
    torch.testing.assert_close(loss.total, torch.stack(text + speech).mean())


@pytest.mark.parametrize("at_once", [1, 3, 64, 100])
def test_in_parts_it_is_the_same_and_no_part_is_larger(at_once: int) -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, V + U, (2, 90), generator=generator)
    seen: list[int] = []

    def gradients(most: int | None) -> tuple[torch.Tensor, ...]:
        states = [torch.randn(2, 90, D, generator=torch.Generator().manual_seed(s)).requires_grad_() for s in (4, 5)]
        table = HEADS[0].clone().requires_grad_()

        def head(rows: torch.Tensor) -> torch.Tensor:
            seen.append(len(rows))
            return rows @ table.T

        loss = modality_loss(
            *states, labels, text_head=head, speech_head=lambda rows: rows @ HEADS[1].T, speech_offset=V,
            text_rows_at_once=most,
        )  # fmt: skip
        return loss.total.detach(), *torch.autograd.grad(loss.total, [*states, table])

    whole = gradients(None)
    assert seen.pop() > 100 and not seen
    for one, other in zip(gradients(at_once), whole, strict=True):
        torch.testing.assert_close(one, other)
    assert max(seen) <= at_once


def test_divided_by_the_given_number(states: tuple[torch.Tensor, torch.Tensor]) -> None:
    mean = compute(states, LABELS).total
    for number in (16, torch.tensor(16)):
        torch.testing.assert_close(compute(states, LABELS, num_predicted=number).total, mean * 8 / 16)


@pytest.mark.parametrize("labels", [LABELS.clamp(max=6), LABELS.clamp(min=7), torch.full_like(LABELS, IGNORE)])
def test_every_head_stays_in_the_graph(labels: torch.Tensor, states: tuple[torch.Tensor, torch.Tensor]) -> None:
    states = tuple(state.clone().requires_grad_() for state in states)  # type: ignore[assignment]
    loss = compute(states, labels)
    assert loss.total.isfinite() and loss.text.isfinite() and loss.speech.isfinite()
    loss.total.backward()
    assert all(state.grad is not None and state.grad.isfinite().all() for state in states)


def test_gradients_against_a_loop(states: tuple[torch.Tensor, torch.Tensor]) -> None:
    ours = tuple(state.clone().requires_grad_() for state in states)
    theirs = tuple(state.clone().requires_grad_() for state in states)
    compute(ours, LABELS).total.backward()  # type: ignore[arg-type]
    text, speech = by_hand(theirs, LABELS)  # type: ignore[arg-type]
    torch.stack(text + speech).mean().backward()
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


def test_many_rows(states: tuple[torch.Tensor, torch.Tensor]) -> None:
    many = tuple(state.repeat(40, 1, 1) for state in states)
    torch.testing.assert_close(compute(many, LABELS.repeat(40, 1)).total, compute(states, LABELS).total)  # type: ignore[arg-type]


def test_mean_entropy_passes_over_padding() -> None:
    entropy = torch.tensor([[1.0, 2.0, 3.0], [5.0, float("nan"), float("nan")]])
    real = torch.tensor([[True, True, True], [True, False, False]])
    assert mean_entropy(entropy, real) == 11 / 4
    assert mean_entropy(entropy[:1], None) == 2
    assert mean_entropy(entropy, torch.zeros_like(real)) == 0
