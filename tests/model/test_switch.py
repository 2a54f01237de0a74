"""`<switch>` where the model chooses its modality: one softmax with what it competes with, learned before speech is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]


@pytest.fixture(scope="module")
def rows(make_model: Make) -> Tensor:
    """Text of 3 and runs of exactly 8 units, in turns."""
    space, generator = make_model().config.id_space, torch.Generator().manual_seed(0)
    text = torch.randint(2, 50, (8, 4, 3), generator=generator)
    units = torch.randint(space.speech_offset, space.eos_speech, (8, 4, 8), generator=generator)
    switch = torch.full((8, 4, 1), space.switch)
    return torch.cat([text, switch, units, switch], dim=-1).flatten(1)


@pytest.mark.slow
def test_it_is_learned_against_units(make_model: Make, rows: Tensor) -> None:
    """Trained in the text softmax alone it would have no negative example, and be certain before each unit."""
    model = make_model(predict_switch=True, entropy_weight=0.0).train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(60):
        model(rows, labels=rows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    space = model.eval().config.id_space
    with torch.no_grad():
        probability = model(rows).logits.softmax(-1)[:, :-1, space.switch]
    is_switch, is_unit = rows[:, 1:] == space.switch, rows[:, 1:] >= space.speech_offset
    leaves = is_switch & (rows[:, :-1] >= space.speech_offset)
    assert probability[is_unit].mean() < 0.1 < 0.5 < probability[leaves].mean()
    assert probability[~is_unit & ~is_switch].mean() < 0.1 < 0.5 < probability[is_switch & ~leaves].mean()


def test_probabilities_sum_to_one_over_what_can_follow(make_model: Make, rows: Tensor) -> None:
    model = make_model(predict_switch=True)
    space = model.config.id_space
    with torch.no_grad():
        logits, probability = model(rows).logits, model(rows).logits.softmax(-1)
    follows = (logits[..., space.speech_offset :] > -1e30).all(-1)
    speech = probability[..., space.speech_offset :].sum(-1) + probability[..., space.switch]
    text = probability[..., : space.num_text].sum(-1) + probability[..., space.switch]
    torch.testing.assert_close(torch.where(follows, speech, text), torch.ones(rows.shape))
    assert follows.any() and not follows.all()


@pytest.mark.parametrize("predict_switch", [False, True])
def test_stage_1_trains_the_rows_of_control_ids(predict_switch: bool, make_model: Make, rows: Tensor) -> None:
    """The text model is frozen then: in its table they would stay random exactly while speech is learned."""
    model = make_model(predict_switch=predict_switch).train()
    speech = model.speech_parameters()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in speech)
    model(rows, labels=rows).loss.backward()
    space = model.config.id_space
    grad = model.control_embed.weight.grad[[space.switch - space.first_control]]
    assert grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    rows_of_switch = {"units.switch.weight", "heads.switch.weight"}
    assert {name for name in speech if "switch" in name} == (rows_of_switch if predict_switch else set())
    assert all(speech[name].grad.abs().sum() > 0 for name in speech if "switch" in name)


def test_control_ids_are_read_from_their_own_table(model: SmolTolkForCausalLM, rows: Tensor) -> None:
    space = model.config.id_space
    with torch.no_grad():
        expected = model(rows, output_hidden_states=True).hidden_states[0]
    assert model.get_input_embeddings().weight.shape[0] % 64 == 0 and space.first_control % 64 == 0
    table = model.control_embed.weight
    for number, name in enumerate(("begin_prompt", "end_prompt", "switch")):
        ids = torch.tensor([[5, getattr(space, name), 7]])
        with torch.no_grad():
            state = model(ids, output_hidden_states=True).hidden_states[0][0, 1]
        torch.testing.assert_close(state, table[number])
    torch.testing.assert_close(expected[0, 3], table[2])


def test_new_control_rows_are_as_long_as_words(make_text_model: Callable, ids: Tensor) -> None:
    """By what the table gives, not by what it holds: Gemma 3 scales its rows when they are read."""
    for architecture in ("llama", "gemma3_text"):
        model = SmolTolkForCausalLM.from_text_model(make_text_model(architecture), num_units=20)
        words = model.get_input_embeddings()(torch.arange(model.config.num_text_ids)).norm(dim=-1).mean()
        torch.testing.assert_close(model.control_embed.weight.norm(dim=-1), words.expand(3))
