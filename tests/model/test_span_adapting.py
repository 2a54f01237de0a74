from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from smoltolk.model import span_adapting
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.span_adapting import adapt_spans
from smoltolk.model.spans import find_spans, group_spans


@pytest.mark.parametrize("shared", [False, True])
@torch.no_grad()
def test_every_process_calls_the_adapter_equally_often(
    shared: bool, model: SmolTolkForCausalLM, write: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_adapting, "shares_out", lambda module: shared)
    calls = []
    handle = model.input_adapter.register_forward_hook(lambda *_: calls.append(1))
    units, padding = torch.randn(1, 24, 32), torch.randn(1, 1, 32)
    alone = model.input_adapter(padding)[-1]
    counts = {}
    for row in ("uuuuuuuuuuuuusuststststs", "uuuuuuuuuuuuuuuttttttttt", "tttttttttttttttttttttttt"):
        groups = group_spans(find_spans(write(model.config.id_space, row) >= model.config.speech_offset))
        calls.clear()
        adapted, lone = adapt_spans(model.input_adapter, units, groups, padding, False)
        counts[row] = len(calls)
        torch.testing.assert_close(lone[-1], alone)
        assert sum(int(group.mask.sum()) for group, _ in adapted) == row.count("u")
    handle.remove()
    assert list(counts.values()) == ([1, 1, 1] if shared else [2, 1, 1])


@torch.no_grad()
def test_groups_and_joined_groups_are_adapted_alike(
    model: SmolTolkForCausalLM, ids: Tensor, monkeypatch: pytest.MonkeyPatch, assert_close: Callable
) -> None:
    expected = model(ids).logits
    monkeypatch.setattr(span_adapting, "shares_out", lambda module: True)
    assert_close(model(ids).logits, expected)
