"""NLL of chosen ids: the same as of all logits, without all logits."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.evaluation.likelihood import id_nll
from smoltolk.model import loss
from smoltolk.model.modeling import SmolTolkForCausalLM

V = WIDTH = 20_032  # a multiple of 64


@pytest.fixture(scope="module")
def make_text_model() -> Callable[..., PreTrainedModel]:
    """A small text model with many ids; some architectures scale or cap their logits."""

    def make(architecture: str = "llama", **changes: Any) -> PreTrainedModel:
        torch.manual_seed(0)
        sizes = {"vocab_size": V, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": None}
        config = AutoConfig.for_model(architecture, **(sizes | heads | changes))
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return model.eval()

    return make


def rows(num_scored: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Ids [6, 50] of rows of several lengths, labels of some of them, and the mask."""
    generator = torch.Generator().manual_seed(1)
    input_ids = torch.randint(0, V, (6, 50), generator=generator)
    mask = (torch.arange(50) < torch.tensor([50, 50, 31, 20, 7, 2])[:, None]).long()
    labels = input_ids.masked_fill(mask == 0, -100)
    asked = torch.randperm(labels.numel(), generator=generator)[num_scored:]
    labels = labels.flatten().index_fill(0, asked, -100).view_as(labels)
    labels[:, 0] = -100
    return input_ids, labels, mask


def from_all_logits(model: PreTrainedModel, input_ids: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    with torch.no_grad():
        logits = model(input_ids=input_ids, attention_mask=mask).logits[:, :-1].float()
    nll = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="none").view(len(labels), -1)
    return F.pad(nll, (1, 0))


@pytest.mark.parametrize(
    "architecture",
    [("llama", {}), ("gemma2", {"final_logit_softcapping": 3.0}), ("granite", {"logits_scaling": 4.0}), ("gpt2", {})],
    ids=lambda one: one[0],
)
def test_as_from_all_logits(architecture: tuple[str, dict], make_text_model: Callable) -> None:
    model, (input_ids, labels, mask) = make_text_model(architecture[0], **architecture[1]), rows()
    found = id_nll(model, input_ids, labels, mask)
    assert (found > 0).sum() == (labels != -100).sum() > 10
    torch.testing.assert_close(found, from_all_logits(model, input_ids, labels, mask), rtol=1e-5, atol=1e-5)


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that was made."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        # A view makes nothing: weights are seen through many.
        if isinstance(made, Tensor) and made.numel() and not function.is_view:
            self.numel = max(self.numel, made.numel())
        return made


@pytest.mark.parametrize("smoltolk", [False, True])
@pytest.mark.parametrize("num_scored", [30, 100, 250])
def test_no_more_logits_than_promised(
    num_scored: int, smoltolk: bool, make_text_model: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ids a batch has and are scored, so many logits exist at a time; of what is not scored none."""
    model, (input_ids, labels, mask) = make_text_model(), rows(num_scored)
    expected = from_all_logits(model, input_ids, labels, mask)
    if smoltolk:
        model = SmolTolkForCausalLM.from_text_model(model, num_units=12, eos_text_id=0).eval()
    monkeypatch.setattr(loss, "NUMBERS_AT_ONCE", 64 * WIDTH)
    with torch.no_grad(), Largest() as made:
        found = id_nll(model, input_ids, labels, mask)
    num_asked = int((labels != -100).sum())
    assert 10 < num_asked < 64 or (num_asked > 100 and num_scored == 250)
    assert made.numel == 64 * WIDTH < labels.numel() * V / 4
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_autocast_left_on_a_model_does_not_reach_it(make_text_model: Callable) -> None:
    """accelerate leaves the forward of a model that it trained under autocast."""
    model, (input_ids, labels, mask) = make_text_model(), rows()
    expected = id_nll(model, input_ids, labels, mask)
    model.forward = MethodType(torch.autocast("cpu", torch.bfloat16)(type(model).forward), model)
    assert torch.equal(id_nll(model, input_ids, labels, mask), expected)


def test_ids_that_a_text_model_does_not_have(make_text_model: Callable) -> None:
    with pytest.raises(InputError, match=f"below {V}\n  found: {V}"):
        id_nll(make_text_model(), torch.tensor([[1, V]]), torch.tensor([[-100, 1]]), torch.ones(1, 2))


@pytest.mark.parametrize("smoltolk", [False, True])
def test_adapters_of_peft_have_their_say(smoltolk: bool, make_text_model: Callable) -> None:
    peft = pytest.importorskip("peft")
    model, (input_ids, labels, mask) = make_text_model(), rows()
    if smoltolk:
        model = SmolTolkForCausalLM.from_text_model(model, num_units=12, eos_text_id=0).eval()
    plain = id_nll(model, input_ids, labels, mask)
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], r=2)).eval()
    torch.testing.assert_close(id_nll(adapted, input_ids, labels, mask), plain)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
        logits = adapted(input_ids=input_ids, attention_mask=mask).logits[:, :-1].float()
    found = id_nll(adapted, input_ids, labels, mask)
    expected = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="none").view(6, -1)
    torch.testing.assert_close(found[:, 1:], expected, rtol=1e-4, atol=1e-4)
    assert (found - plain).abs().max() > 0.01
