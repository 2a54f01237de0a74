"""The modality that is asked for, chosen by the model, or left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from smoltolk.common.errors import InputError
from smoltolk.model.generation.modes import due_is_speech, generation_settings
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Write = Callable[..., Tensor]
PROMPTS = ["tttt", "uuuu", "tsuu", "uust"]


class Wish(LogitsProcessor):
    """What a trained model might want: the ids of a plan, one a step, with all its might."""

    def __init__(self, plan: list[int], prompt_length: int):
        self.plan, self.prompt_length = plan, prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        scores[:, self.plan[input_ids.shape[1] - self.prompt_length]] = 1e4
        return scores


@pytest.fixture(scope="module")
def chooser(make_model: Make) -> SmolTolkForCausalLM:
    """A model that may choose its modality. Read only."""
    return make_model(predict_switch=True)


def generate(model: SmolTolkForCausalLM, prompts: Tensor, settings: dict[str, Any], wish: Wish | None = None) -> Tensor:
    if wish is not None:  # what the model wants comes before what is allowed
        settings = settings | {"logits_processor": LogitsProcessorList([wish, *settings["logits_processor"]])}
    mask = torch.ones_like(prompts)
    made = model.generate(prompts, attention_mask=mask, **{"max_new_tokens": 6, "do_sample": False} | settings)
    return made[:, prompts.shape[1] :]


@pytest.mark.parametrize("predict_switch", [False, True])
@pytest.mark.parametrize("modality", ["text", "speech"])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_one_modality(
    prompt: str,
    modality: str,
    predict_switch: bool,
    model: SmolTolkForCausalLM,
    chooser: SmolTolkForCausalLM,
    write: Write,
) -> None:
    asked = chooser if predict_switch else model
    space, prompts = asked.config.id_space, write(asked.config.id_space, prompt)
    made = generate(asked, prompts, generation_settings(asked.config, modality))[0]
    if bool(due_is_speech(prompts, space)) != (modality == "speech"):
        assert made[0] == space.switch
        made = made[1:]
    assert len(made) and space.switch not in made
    assert ((made >= space.speech_offset) == (modality == "speech")).all()


@pytest.mark.parametrize("way", [{"num_beams": 3}, {"do_sample": True, "top_k": 5}, {"use_cache": False}])
def test_one_modality_in_every_way_of_decoding(way: dict, chooser: SmolTolkForCausalLM, write: Write) -> None:
    space = chooser.config.id_space
    prompts = torch.cat([write(space, "tttt"), write(space, "uuuu")])
    torch.manual_seed(0)
    made = generate(chooser, prompts, generation_settings(chooser.config, "speech") | way)
    assert made[0, 0] == space.switch
    assert (made[0, 1:] >= space.speech_offset).all() and (made[1] >= space.speech_offset).all()


def test_a_wish_for_the_other_modality_is_refused(chooser: SmolTolkForCausalLM, write: Write) -> None:
    space = chooser.config.id_space
    made = generate(
        chooser, write(space, "tttt"), generation_settings(chooser.config, "text"), Wish([space.switch] * 6, 4)
    )
    assert space.switch not in made and (made < space.speech_offset).all()


def test_it_stops_at_the_end_of_its_modality(chooser: SmolTolkForCausalLM, write: Write) -> None:
    space = chooser.config.id_space
    for modality, prompt, end in (("text", "ttt", space.eos_text), ("speech", "tts", space.eos_speech)):
        made = generate(
            chooser, write(space, prompt), generation_settings(chooser.config, modality), Wish([end] * 6, 3)
        )
        assert made.tolist() == [[end]]


def test_without_any_settings_it_stops_at_both_ends(chooser: SmolTolkForCausalLM, write: Write) -> None:
    space = chooser.config.id_space
    for prompt, end in (("ttt", space.eos_text), ("tts", space.eos_speech)):
        made = generate(chooser, write(space, prompt), {"logits_processor": []}, Wish([end] * 6, 3))
        assert made.tolist() == [[end]]


def test_the_model_chooses(chooser: SmolTolkForCausalLM, write: Write) -> None:
    space = chooser.config.id_space
    unit, word = space.speech_offset + 3, 7
    plan = [word, space.switch, unit, unit, space.switch, word, space.eos_text]
    settings = generation_settings(chooser.config, "any") | {"max_new_tokens": 12}
    assert generate(chooser, write(space, "ttt"), settings, Wish(plan, 3)).tolist() == [plan]


def test_a_run_is_not_empty_nor_shorter_than_asked(chooser: SmolTolkForCausalLM, write: Write) -> None:
    space = chooser.config.id_space
    for shortest in (1, 3):
        settings = generation_settings(chooser.config, "any", shortest_run=shortest)
        made = generate(chooser, write(space, "tttt"), settings | {"max_new_tokens": 9}, Wish([space.switch] * 9, 4))[0]
        switches = (made == space.switch).nonzero().flatten()
        assert switches[0] == 0 and switches.diff().tolist() == [shortest + 1] * (len(switches) - 1)


def test_it_stops_where_it_would_change_its_modality(chooser: SmolTolkForCausalLM, write: Write) -> None:
    space = chooser.config.id_space
    unit = space.speech_offset + 3
    settings = generation_settings(chooser.config, "any", stop_at_switch=True)
    made = generate(chooser, write(space, "tuuu"), settings, Wish([unit, unit, space.switch, 7, 7, 7], 4))
    assert made.tolist() == [[unit, unit, space.switch]]


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
