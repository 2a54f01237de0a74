"""The loss that balances experts: as much as transformers adds, for every architecture that adds one."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.text_models.router import router_loss
from smoltolk.model.text_models.trials import check_text_model


def test_as_transformers_adds_it(tiny: ModuleType) -> None:
    ids = torch.randint(2, 60, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    balanced = []
    for architecture in tiny.causal_architectures():
        config = tiny.known_config(architecture)
        if config is None or not hasattr(config, "output_router_logits"):
            continue
        model = tiny.running_text_model(architecture)
        if model is None or not _takes_states(model):
            continue
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": ids, "use_cache": False}
        with torch.no_grad():
            plain = model(**inputs).loss
            model.config.output_router_logits = True
            whole = model(**inputs).loss
        states = model.get_input_embeddings()(ids)
        output = model.base_model(inputs_embeds=states, attention_mask=mask, use_cache=False)
        found = router_loss(model, output.last_hidden_state, output.get("router_logits"), mask)
        if found is None:
            assert torch.equal(whole, plain), architecture
            continue
        balanced.append(architecture)
        torch.testing.assert_close(found, whole - plain, rtol=1e-3, atol=1e-6)
        found.backward()
        gradients = [p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.any()]
        assert gradients, architecture
    assert len(balanced) >= 15 and {"mixtral", "qwen2_moe", "jetmoe"} <= set(balanced)


def _takes_states(model: PreTrainedModel) -> bool:
    try:
        check_text_model(model)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("settings", [{}, {"output_router_logits": True, "router_aux_loss_coef": 0.0}])
def test_nothing_is_added_unasked(settings: dict, make_text_model: Callable[..., PreTrainedModel]) -> None:
    model = make_text_model("mixtral", num_local_experts=4, **settings)
    output = model.base_model(torch.arange(2, 9)[None], use_cache=False, output_router_logits=True)
    assert router_loss(model, output.last_hidden_state, output.router_logits, None) is None
    llama = make_text_model("llama")
    assert router_loss(llama, output.last_hidden_state, None, None) is None
