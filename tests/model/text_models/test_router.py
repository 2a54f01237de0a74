"""The loss that balances experts: as much as transformers adds, for every architecture that adds one."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.modeling import SmolTolkForCausalLM
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


@torch.no_grad()
def test_a_smoltolk_model_keeps_it(
    make_text_model: Callable[..., PreTrainedModel], make_model: Callable[..., SmolTolkForCausalLM], write: Callable
) -> None:
    """Of text alone, the loss is the text model's own; each of several batches adds its part of a mean."""
    settings = {"num_local_experts": 4, "output_router_logits": True, "router_aux_loss_coef": 0.5}
    text_model = make_text_model("mixtral", **settings)
    model = make_model(text_model, entropy_weight=0.0)
    text = write(model.config.id_space, "tttttttttt", "tttttttttt")
    expected = text_model(text, labels=text).loss
    assert text_model(text, labels=text, output_router_logits=False).loss < expected - 0.5
    torch.testing.assert_close(model(text, labels=text).loss, expected)
    plain = make_model(make_text_model("mixtral", num_local_experts=4), entropy_weight=0.0)
    parts = [
        m(text, labels=text, num_items_in_batch=4 * 18, num_positions_in_batch=4 * 20).loss for m in (model, plain)
    ]
    whole = [m(text, labels=text).loss for m in (model, plain)]
    torch.testing.assert_close(4 * (parts[0] - parts[1]), whole[0] - whole[1])
