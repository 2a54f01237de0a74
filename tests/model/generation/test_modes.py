"""The modality that is asked for, chosen by the model, or left.

What a model wants is what it was trained to want, in a second: to say what it remembers, to change its modality at
every id, or to end at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.model.generation.modes import due_is_speech, generation_settings
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Write = Callable[..., Tensor]
PROMPTS = ["tttt", "uuuu", "tsuu", "uust"]


def learn(model: SmolTolkForCausalLM, rows: Tensor, labels: Tensor) -> SmolTolkForCausalLM:
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.0)
    model.train()
    for _ in range(60):
        optimizer.zero_grad()
        model(rows, labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


def remembered(space: IdSpace) -> Tensor:
    """Text that becomes speech and ends as text, and speech that does the opposite."""
    unit, switch = space.speech_offset, space.switch
    text = [2, 3, 7, switch, unit + 3, unit + 4, switch, 8, space.eos_text]
    speech = [unit + 1, unit + 2, unit + 3, switch, 9, 9, switch, unit + 5, space.eos_speech]
    return torch.tensor([text, speech])


@pytest.fixture(scope="module")
def chooser(make_model: Make) -> SmolTolkForCausalLM:
    """A model that may choose its modality, and has learned two rows by heart. Read only."""
    model = make_model(predict_switch=True)
    rows = remembered(model.config.id_space)
    return learn(model, rows, rows)


@pytest.fixture(scope="module")
def restless(make_model: Make, write: Write) -> SmolTolkForCausalLM:
    """A model that would change its modality at every id. Read only."""
    model = make_model(predict_switch=True)
    rows = write(model.config.id_space, *["tttttsuuuu", "uuuuustttt", "tsusttsuus", "uusttttsuu", "stsusttsuu"] * 2)
    return learn(model, rows, torch.full_like(rows, model.config.switch_id))


@pytest.fixture(scope="module")
def finisher(make_model: Make, write: Write) -> SmolTolkForCausalLM:
    """A model that would end at every id. Read only."""
    model = make_model(predict_switch=True)
    space = model.config.id_space
    rows = torch.cat([write(space, *["tttttt"] * 4), write(space, *["ttsuuu", "uuuuuu"] * 2)])
    ends = torch.where(rows >= space.speech_offset, space.eos_speech, space.eos_text)
    return learn(model, rows, ends.masked_fill(rows == space.switch, -100))


def generate(model: SmolTolkForCausalLM, prompts: Tensor, settings: dict[str, Any]) -> Tensor:
    mask = torch.ones_like(prompts)
    made = model.generate(prompts, attention_mask=mask, **{"max_new_tokens": 6, "do_sample": False} | settings)
    return made[:, prompts.shape[1] :]


def test_what_the_models_want(restless: SmolTolkForCausalLM, finisher: SmolTolkForCausalLM, write: Write) -> None:
    """Without these wishes the tests below would show nothing."""
    space = restless.config.id_space
    for prompt in PROMPTS:
        assert generate(restless, write(space, prompt), {"max_new_tokens": 1, "eos_token_id": [-1]}) == space.switch
        end = space.eos_speech if prompt[-1] == "u" else space.eos_text
        assert generate(finisher, write(space, prompt), {"max_new_tokens": 1, "eos_token_id": [-1]}) == end


@pytest.mark.parametrize("name", ["model", "chooser", "restless"])
@pytest.mark.parametrize("modality", ["text", "speech"])
def test_one_modality(name: str, modality: str, request: pytest.FixtureRequest, write: Write) -> None:
    asked = request.getfixturevalue(name)
    space = asked.config.id_space
    for prompt in PROMPTS:
        made = generate(asked, write(space, prompt), generation_settings(asked.config, modality))[0]
        if bool(due_is_speech(write(space, prompt), space)) != (modality == "speech"):
            assert made[0] == space.switch
            made = made[1:]
        assert len(made) and space.switch not in made
        assert ((made >= space.speech_offset) == (modality == "speech")).all()


@pytest.mark.parametrize("way", [{"num_beams": 3}, {"do_sample": True, "top_k": 5}, {"use_cache": False}])
def test_one_modality_in_every_way_of_decoding(way: dict, restless: SmolTolkForCausalLM, write: Write) -> None:
    space = restless.config.id_space
    prompts = torch.cat([write(space, "tttt"), write(space, "uuuu")])
    torch.manual_seed(0)
    made = generate(restless, prompts, generation_settings(restless.config, "speech") | way)
    assert made[0, 0] == space.switch
    assert (made[0, 1:] >= space.speech_offset).all() and (made[1] >= space.speech_offset).all()


def test_it_stops_at_the_end_of_its_modality(finisher: SmolTolkForCausalLM, write: Write) -> None:
    space = finisher.config.id_space
    for modality, prompt, end in (("text", "ttt", space.eos_text), ("speech", "tsu", space.eos_speech)):
        made = generate(finisher, write(space, prompt), generation_settings(finisher.config, modality))
        assert made.tolist() == [[end]]


def test_without_any_settings_it_stops_at_both_ends(finisher: SmolTolkForCausalLM, write: Write) -> None:
    space = finisher.config.id_space
    for prompt, end in (("ttt", space.eos_text), ("tsu", space.eos_speech)):
        assert generate(finisher, write(space, prompt), {}).tolist() == [[end]]


def test_the_model_chooses(chooser: SmolTolkForCausalLM) -> None:
    """From text to speech and back, and from speech to text and back, as it has learned: nothing else decides."""
    settings = generation_settings(chooser.config, "any") | {"max_new_tokens": 12}
    for row in remembered(chooser.config.id_space):
        assert generate(chooser, row[None, :2], settings)[0].tolist() == row[2:].tolist()


def test_a_run_is_not_empty_nor_shorter_than_asked(restless: SmolTolkForCausalLM, write: Write) -> None:
    space = restless.config.id_space
    for shortest in (1, 3):
        settings = generation_settings(restless.config, "any", shortest_run=shortest)
        settings |= {"max_new_tokens": 9, "eos_token_id": [-1]}
        made = generate(restless, write(space, "tttt"), settings)[0]
        assert (made == space.switch).nonzero().flatten().tolist() == list(range(0, 9, shortest + 1))


def test_it_stops_where_it_would_change_its_modality(chooser: SmolTolkForCausalLM) -> None:
    settings = generation_settings(chooser.config, "any", stop_at_switch=True)
    for row in remembered(chooser.config.id_space):
        assert generate(chooser, row[None, :2], settings)[0].tolist() == row[2:4].tolist()
        assert generate(chooser, row[None, :4], settings)[0].tolist() == row[4:7].tolist()


def test_what_is_due() -> None:
    space = IdSpace(speech_offset=20, num_units=8, begin_prompt=17, end_prompt=18, switch=19, eos_text=16)
    rows = {
        (3, 4): False,
        (3, 21): True,
        (3, 19): True,
        (21, 19): False,
        (19, 21): True,
        (19, 3): False,
        (21, 18): False,
    }
    assert due_is_speech(torch.tensor(list(rows)), space).tolist() == list(rows.values())
    assert due_is_speech(torch.tensor([[19], [3], [22]]), space).tolist() == [True, False, True]


def test_behind_a_switch(model: SmolTolkForCausalLM, write: Write) -> None:
    space = model.config.id_space
    for prompt, modality, other in (("tts", "speech", "text"), ("uus", "text", "speech"), ("s", "speech", "text")):
        made = generate(model, write(space, prompt), generation_settings(model.config, modality))
        assert ((made >= space.speech_offset) == (modality == "speech")).all()
        with pytest.raises(InputError, match=f"{other} behind a <switch> to {modality}"):
            generate(model, write(space, prompt), generation_settings(model.config, other))


def test_mistakes(model: SmolTolkForCausalLM, chooser: SmolTolkForCausalLM) -> None:
    with pytest.raises(InputError, match="trained to predict <switch>"):
        generation_settings(model.config, "any")
    with pytest.raises(InputError, match="'song'"):
        generation_settings(model.config, "song")
    with pytest.raises(InputError, match="an id at least"):
        generation_settings(chooser.config, "any", shortest_run=0)
