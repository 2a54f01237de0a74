"""Documents side by side give what documents end to end give."""

from __future__ import annotations

from collections.abc import Callable

import torch

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.packing import documents_as_rows


@torch.no_grad()
def test_side_by_side_equals_end_to_end(
    model: SmolTolkForCausalLM, write: Callable[..., torch.Tensor], assert_close: Callable
) -> None:
    input_ids = write(model.config.id_space, "ttsuuuuuuusttttt", "uuuuuuustttsuuuu")
    document_ids = torch.tensor([[0] * 5 + [1] * 11, [3] * 9 + [2] * 3 + [3] * 4])  # a number may come back
    mask = torch.ones_like(input_ids)
    mask[0, -3:] = 0
    labels = input_ids.masked_fill(mask == 0, -100)
    wanted = {"output_hidden_states": True, "output_selector_weights": True}
    expected = model(input_ids, attention_mask=mask, document_ids=document_ids, labels=labels, **wanted)
    found = documents_as_rows(model, input_ids, document_ids, attention_mask=mask, labels=labels, **wanted)
    real = mask.bool()
    assert_close(found.logits[real], expected.logits[real])
    assert_close(found.selector_weights[real], expected.selector_weights[real])
    for state, other in zip(found.hidden_states, expected.hidden_states, strict=True):
        assert_close(state[real], other[real])
    for name in ("loss", "text_loss", "speech_loss", "selector_entropy"):
        torch.testing.assert_close(found[name], expected[name])
    assert_close(found.label_nll, expected.label_nll)
    kept = documents_as_rows(model, input_ids, document_ids, logits_to_keep=2).logits
    assert_close(kept, model(input_ids, document_ids=document_ids).logits[:, -2:])
