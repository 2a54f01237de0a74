from __future__ import annotations

import math

import pytest
import torch

from smoltolk.model.layer_mix import LayerMix

L, D = 4, 8


def layers(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 5, D, generator=generator) for _ in range(L)]


def mix(mode: str, norm: bool = False) -> LayerMix:
    torch.manual_seed(0)
    module = LayerMix(mode, L, D, norm)  # type: ignore[arg-type]
    module.reset_parameters(0.02)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def test_last_is_the_last_layer_and_has_no_parameters() -> None:
    module, states = mix("last"), layers()
    mixed = module(states)
    assert mixed.state is states[-1] and mixed.weights is None and mixed.entropy is None
    assert not list(module.parameters())


def test_static() -> None:
    module, states = mix("static"), layers()
    mixed = module(states)
    weights = module.static_logits.softmax(0)
    torch.testing.assert_close(mixed.state, torch.einsum("l,lbtd->btd", weights, torch.stack(states)))
    torch.testing.assert_close(mixed.weights, weights)
    assert mixed.entropy is None and not hasattr(module, "selector")


def test_dynamic_is_equation_by_equation() -> None:
    module, states = mix("dynamic"), torch.stack(layers())
    mixed = module(list(states))
    s = torch.einsum("l,lbtd->btd", module.static_logits.softmax(0), states)
    a = (s @ module.selector.weight.T + module.selector.bias).softmax(-1)
    torch.testing.assert_close(mixed.weights, a)
    torch.testing.assert_close(mixed.state, torch.einsum("btl,lbtd->btd", a, states))
    torch.testing.assert_close(mixed.entropy, -(a * a.log()).sum(-1))


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_norm_makes_the_scale_of_a_layer_irrelevant(mode: str) -> None:
    module, states = mix(mode, norm=True), layers()
    scaled = [state * 10.0**number for number, state in enumerate(states)]
    torch.testing.assert_close(module(scaled).state, module(states).state, rtol=1e-4, atol=1e-5)
    unit = [state / state.square().mean(-1, keepdim=True).sqrt() for state in states]
    torch.testing.assert_close(module(states).state, mix(mode)(unit).state, rtol=1e-4, atol=1e-5)


def test_published_initialisation() -> None:
    module = LayerMix("dynamic", 1000, D)
    torch.manual_seed(0)
    module.reset_parameters(0.02)
    assert module.static_logits.std().item() == pytest.approx(0.01, rel=0.1)
    assert module.selector.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not module.selector.bias.any()


def test_entropy_of_an_undecided_selector() -> None:
    module = LayerMix("dynamic", L, D)
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(module(layers()).entropy, torch.full((2, 5), math.log(L)))


def test_entropy_of_a_decided_selector_is_finite() -> None:
    module = LayerMix("dynamic", L, D)
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        module.selector.bias[2] = 1e4
    states = layers()
    mixed = module(states)
    torch.testing.assert_close(mixed.entropy, torch.zeros(2, 5))
    torch.testing.assert_close(mixed.state, states[2])
    mixed.entropy.sum().backward()
    assert module.selector.bias.grad is not None and module.selector.bias.grad.isfinite().all()


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_wrong_number_of_layers(mode: str) -> None:
    with pytest.raises(ValueError, match="zip"):
        mix(mode)(layers()[:-1])


def test_fixed_is_that_layer_and_has_no_parameters() -> None:
    module, states = LayerMix("fixed", L, D, layer=2), layers()
    mixed = module(states)
    assert mixed.state is states[1] and mixed.weights is None and mixed.entropy is None
    assert not list(module.parameters())


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_the_last_layer_can_lead_at_the_start(mode: str) -> None:
    """By so many logits in every softmax of the mix, whatever else is drawn; without it the start is the paper's."""
    weights = {}
    for lead in (0.0, 3.0):
        torch.manual_seed(0)
        module = LayerMix(mode, L, D, lead=lead)  # type: ignore[arg-type]
        module.reset_parameters(0.02)
        weights[lead] = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
        share = module(layers()).weights[..., -1].detach()
        odds = share / (1 - share) * (L - 1)
        assert float(odds.log().mean()) == pytest.approx(lead, abs=0.1)
    for name, led in weights[3.0].items():
        difference = led - weights[0.0][name]
        expected = torch.zeros_like(difference)
        if name != "selector.weight":
            expected[-1] = 3.0
        torch.testing.assert_close(difference, expected)
