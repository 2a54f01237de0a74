from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.model.spans import find_spans, gather, group_spans, round_up, scatter, span_ids


def spans_by_loop(is_speech: torch.Tensor, document_ids: torch.Tensor | None) -> list[list[int]]:
    """The rule, position by position."""
    found: list[list[int]] = []
    rows, length = is_speech.shape
    for b in range(rows):
        for t in range(length):
            if not is_speech[b, t]:
                continue
            same = t > 0 and is_speech[b, t - 1]
            if same and document_ids is not None:
                same = document_ids[b, t] == document_ids[b, t - 1]
            if not same:
                found.append([])
            found[-1].append(b * length + t)
    return found


@st.composite
def grids(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor | None]:
    rows, length = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    flags = draw(st.lists(st.booleans(), min_size=rows * length, max_size=rows * length))
    is_speech = torch.tensor(flags).view(rows, length)
    if draw(st.booleans()):
        return is_speech, None
    borders = draw(st.lists(st.booleans(), min_size=rows * length, max_size=rows * length))
    return is_speech, torch.tensor(borders).view(rows, length).long().cumsum(1)


@given(grids())
@settings(max_examples=200, deadline=None)
def test_spans_are_the_maximal_runs_inside_documents(grid):
    is_speech, document_ids = grid
    expected = spans_by_loop(is_speech, document_ids)
    spans = find_spans(is_speech, document_ids)
    assert [row[keep].tolist() for row, keep in zip(spans.index, spans.mask, strict=True)] == expected
    assert spans.longest == max((len(span) for span in expected), default=0)
    numbers = span_ids(is_speech, document_ids).flatten()
    assert [(numbers == number).nonzero().flatten().tolist() for number in range(len(expected))] == expected
    assert torch.equal(numbers >= 0, is_speech.flatten())


@given(grids())
@settings(max_examples=100, deadline=None)
def test_scatter_undoes_gather_and_leaves_text_alone(grid):
    is_speech, document_ids = grid
    spans = find_spans(is_speech, document_ids)
    x = torch.randn(*is_speech.shape, 3)
    before = x.clone()
    assert torch.equal(scatter(gather(x, spans), spans, x), x)
    doubled = scatter(gather(x, spans) * 2, spans, x)
    assert torch.equal(doubled, torch.where(is_speech[..., None], x * 2, x))
    assert torch.equal(x, before)


def test_gradients_reach_each_speech_position_once():
    is_speech = torch.tensor([[True, True, False, True], [False, False, False, True]])
    spans = find_spans(is_speech)
    x = torch.randn(2, 4, 3, requires_grad=True)
    base = torch.zeros(2, 4, 3, requires_grad=True)
    scatter(gather(x, spans), spans, base).sum().backward()
    assert torch.equal(x.grad[..., 0], is_speech.float())
    assert torch.equal(base.grad[..., 0], (~is_speech).float())


def test_no_speech_at_all():
    spans = find_spans(torch.zeros(2, 3, dtype=torch.bool))
    x = torch.randn(2, 3, 5)
    assert (spans.num_spans, spans.longest) == (0, 0)
    assert gather(x, spans).shape == (0, 0, 5)
    assert torch.equal(scatter(gather(x, spans), spans, x), x)


def test_scatter_keeps_the_dtype_of_the_batch():
    spans = find_spans(torch.tensor([[True, False]]))
    x = torch.randn(1, 2, 4)
    assert scatter(gather(x, spans).bfloat16(), spans, x).dtype == torch.float32


def test_spans_move_between_devices_as_one():
    spans = find_spans(torch.tensor([[True, False]])).to("meta")
    assert {spans.index.device.type, spans.mask.device.type, spans.slot.device.type} == {"meta"}


def test_spans_of_another_batch_are_refused():
    spans = find_spans(torch.tensor([[True, False]]))
    with pytest.raises(InputError, match="spans must be those of the batch"):
        gather(torch.randn(1, 3, 4), spans)
    with pytest.raises(InputError, match=r"must both be \[B, T\]"):
        find_spans(torch.tensor([[True, False]]), torch.tensor([[0, 0, 0]]))


def _mixed_batch() -> torch.Tensor:
    """One span of 40 and many of 2 to 5."""
    generator = torch.Generator().manual_seed(0)
    flags = torch.zeros(3, 60, dtype=torch.bool)
    flags[0, 10:50] = True
    for row in (1, 2):
        for start in range(0, 54, 8):
            flags[row, start : start + int(torch.randint(2, 6, (), generator=generator))] = True
    return flags


def test_groups_have_every_span_once_and_less_padding():
    flags = _mixed_batch()
    spans = find_spans(flags)
    groups = group_spans(spans)
    assert len(groups) > 1
    assert sum(group.num_spans for group in groups) == spans.num_spans
    assert sum(group.index.numel() for group in groups) < 0.5 * spans.index.numel()
    covered = sum((group.slot >= 0).long() for group in groups)
    assert torch.equal(covered, flags.long())


def test_spans_are_parted_where_that_saves_most():
    flags = torch.zeros(2, 60, dtype=torch.bool)
    flags[0, :20] = flags[0, 25:44] = True
    for start in range(0, 60, 6):
        flags[1, start : start + 2] = True
    assert [(group.num_spans, group.longest) for group in group_spans(find_spans(flags))] == [(2, 20), (10, 2)]


def test_equal_spans_are_left_together():
    flags = torch.zeros(2, 20, dtype=torch.bool)
    flags[:, 2:9] = True
    spans = find_spans(flags)
    assert group_spans(spans) == (spans,)
    assert group_spans(find_spans(torch.zeros_like(flags)))[0].num_spans == 0


@pytest.mark.parametrize("pad", [lambda spans: spans, round_up])
def test_groups_and_rounding_put_everything_back(pad):
    flags = _mixed_batch()
    x = torch.randn(3, 60, 4)
    out = torch.zeros_like(x)
    for group in map(pad, group_spans(find_spans(flags))):
        out = scatter(gather(x, group) * 2, group, out)
    assert torch.equal(out, torch.where(flags[..., None], 2 * x, 0))


@pytest.mark.parametrize(("num_spans", "length"), [(4, 16), (3, 7), (1, 1)])
def test_rounding_gives_multiples_and_only_padding(num_spans, length):
    spans = find_spans(_mixed_batch())
    rounded = round_up(spans, num_spans=num_spans, length=length)
    for size, before, multiple in zip(rounded.mask.shape, spans.mask.shape, (num_spans, length), strict=True):
        assert size % multiple == 0 and before <= size < before + multiple
    assert rounded.mask.sum() == spans.mask.sum()
    assert round_up(find_spans(torch.zeros(2, 5, dtype=torch.bool))).num_spans == 0
