"""The modality of models of several codebooks: frames are said to their end before anything else comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from smoltolk.model.codec.codebooks import frames_of
from smoltolk.model.generation.modes import ShortestRun, generation_settings
from smoltolk.model.modeling import SmolTolkForCausalLM

Make, Written = Callable[..., SmolTolkForCausalLM], Callable[..., tuple[Tensor, Tensor]]
DELAYS = [[0, 1, 2], [0, 0, 0], [0, 3, 1]]
SMALL = {"num_codebooks": 3, "num_input_layers": 1, "num_output_layers": 1}


def generate(model: SmolTolkForCausalLM, ids: Tensor, codes: Tensor, settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    made = model.generate(
        ids, codes=codes, attention_mask=torch.ones_like(ids), return_dict_in_generate=True,
        **{"do_sample": False, "max_new_tokens": 8} | settings,
    )  # fmt: skip
    return made.sequences[0], made.codes[0]


@pytest.mark.parametrize("predict_switch", [False, True])
@pytest.mark.parametrize("delays", DELAYS, ids=str)
def test_text_behind_frames_that_are_being_said(
    delays: list[int], predict_switch: bool, make_model: Make, written: Written
) -> None:
    model = make_model(**SMALL, codebook_delays=delays, predict_switch=predict_switch)
    space, tail = model.config.id_space, max(delays)
    for prompt, least in (("tts4.", 0), ("e1.", 0), ("e3", 0), ("tts4.", 20)):
        ids, codes = written(space, prompt)
        settings = generation_settings(model.config, "text") | {"min_new_tokens": least, "max_new_tokens": least + 8}
        made, made_codes = generate(model, ids, codes, settings)
        new = made[ids.shape[1] :].tolist()
        pads = tail if prompt.endswith(".") else 0
        assert new[: pads + 1] == [space.pad_speech] * pads + [space.switch]
        assert len(new) > pads + 1 and all(token_id < space.num_text for token_id in new[pads + 1 :])
        (frames,) = frames_of(made, made_codes, space)
        assert len(frames) == int(prompt.rstrip(".")[-1]) and (frames >= 0).all()


@pytest.mark.parametrize("delays", DELAYS, ids=str)
def test_a_run_of_frames_is_no_shorter_than_asked(delays: list[int], make_model: Make, written: Written) -> None:
    """A model that would leave speech as soon as it may, and never ends."""
    model = make_model(**SMALL, codebook_delays=delays, predict_switch=True)
    space, tail = model.config.id_space, max(delays)
    ids, codes = written(space, "ttts")
    for shortest in (1, 2, 4, 7):
        settings = generation_settings(model.config, "any", shortest_run=shortest, stop_at_switch=True)
        wish = torch.zeros(space.size)  # to fall silent, and to change its modality
        wish[[space.pad_speech, space.switch]] = 1e4
        settings["logits_processor"].insert(0, lambda ids, scores, wish=wish: scores + wish)
        made, _ = generate(model, ids, codes, settings | {"max_new_tokens": 40, "eos_token_id": [-1]})
        new = made[ids.shape[1] :].tolist()
        assert new[-1] == space.switch and len(new) - 1 == max(shortest, tail + 1)
        assert new[-1 - tail : -1] == [space.pad_speech] * tail


def test_a_short_run_that_has_begun_to_close_goes_on_closing(make_model: Make, written: Written) -> None:
    """As a prompt may have it: behind its first pad_speech nothing else can stand."""
    space = make_model(**SMALL).config.id_space
    ids, _ = written(space, "tts2")
    rule, scores = ShortestRun(space, 6), torch.zeros(1, space.size)
    assert rule(ids[:, :5], scores)[0, space.pad_speech] == -torch.inf  # two units: too early
    assert rule(ids[:, :6], scores)[0, space.pad_speech] == 0
