"""Plain ``generate()`` on the one id space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, StaticCache
from transformers.generation.streamers import BaseStreamer

from smoltolk.model.modeling import SmolTolkForCausalLM

Make = Callable[..., SmolTolkForCausalLM]
Write = Callable[..., Tensor]

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam search": {"num_beams": 3},
    "sampling": {"do_sample": True, "temperature": 0.8},
    "beam sampling": {"num_beams": 2, "do_sample": True},
}


def generate(model: SmolTolkForCausalLM, input_ids: Tensor, **settings: Any) -> Tensor:
    torch.manual_seed(0)
    mask = settings.pop("attention_mask", torch.ones_like(input_ids))
    settings = {"max_new_tokens": 8, "pad_token_id": 0, "do_sample": False} | settings
    return model.generate(input_ids, attention_mask=mask, **settings)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prompt", ["tttsuuuu", "uuuustt", "ttts"])
def test_cached_equals_uncached(prompt: str, way: str, model: SmolTolkForCausalLM, write: Write) -> None:
    prompts = write(model.config.id_space, prompt, prompt)
    cached = generate(model, prompts, use_cache=True, **WAYS[way])
    assert cached.shape == (2, len(prompt) + 8)
    assert torch.equal(cached, generate(model, prompts, use_cache=False, **WAYS[way]))


@pytest.mark.parametrize(
    "changes", [{}, {"sliding_window": 4, "layer_types": ["sliding_attention"] * 3}], ids=["full", "sliding"]
)
@pytest.mark.parametrize("way", ["greedy", "beam search"])
def test_static_cache(
    way: str, changes: dict, make_model: Make, make_text_model: Callable[..., PreTrainedModel], write: Write
) -> None:
    text_model = make_text_model("qwen2", use_sliding_window=True, **changes) if changes else make_text_model()
    model = make_model(text_model)
    prompts = write(model.config.id_space, "tttsuuuu", "uuuusttt")
    expected = generate(model, prompts, **WAYS[way])
    found = generate(model, prompts, cache_implementation="static", disable_compile=True, **WAYS[way])
    assert torch.equal(found, expected)


def test_a_static_cache_made_by_the_user(model: SmolTolkForCausalLM, write: Write) -> None:
    prompts = write(model.config.id_space, "tttsuuuu")
    cache = StaticCache(config=model.config, max_cache_len=24)
    assert torch.equal(generate(model, prompts, past_key_values=cache, disable_compile=True), generate(model, prompts))


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_chunked_prefill(static: bool, model: SmolTolkForCausalLM, write: Write) -> None:
    prompts = write(model.config.id_space, "ttttsuuuuuuuusttts", "uuuuuuuusttttttttt")
    cache = {"cache_implementation": "static", "disable_compile": True} if static else {}
    assert torch.equal(generate(model, prompts, prefill_chunk_size=5, **cache), generate(model, prompts))


def test_left_padded_rows_of_different_modalities(model: SmolTolkForCausalLM, write: Write) -> None:
    space = model.config.id_space
    rows = [write(space, row) for row in ("tttttt", "uuuu", "ttsuuuuusttt", "tttts")]
    longest = max(row.shape[1] for row in rows)
    batch = torch.stack([torch.nn.functional.pad(row[0], (longest - row.shape[1], 0)) for row in rows])
    lengths = torch.tensor([row.shape[1] for row in rows])
    mask = (torch.arange(longest) >= longest - lengths[:, None]).long()
    for way in ("greedy", "beam search"):
        found = generate(model, batch, attention_mask=mask, **WAYS[way])[:, longest:]
        for number, row in enumerate(rows):
            assert torch.equal(found[number], generate(model, row, **WAYS[way])[0, row.shape[1] :])


def test_modality_is_forced_by_the_prompt(model: SmolTolkForCausalLM, write: Write) -> None:
    space = model.config.id_space
    for prompt, speech in {"ttt": False, "ttts": True, "uuu": True, "uuus": False}.items():
        new = generate(model, write(space, prompt))[0, len(prompt) :]
        assert ((new >= space.speech_offset) == speech).all(), prompt


class _Prefer(LogitsProcessor):
    """Makes an id certain at one length and impossible at all others."""

    def __init__(self, token_id: int, length: int):
        self.token_id, self.length = token_id, length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        scores[:, self.token_id] = 1e4 if input_ids.shape[1] == self.length else -1e4
        return scores


@pytest.mark.parametrize("prompt", ["tttt", "uuuu"])
def test_a_model_that_chooses_its_modality(prompt: str, make_model: Make, write: Write) -> None:
    model = make_model(predict_switch=True)
    space = model.config.id_space
    processors = LogitsProcessorList([_Prefer(space.switch, length=6)])
    prompts = write(space, prompt)
    new = generate(model, prompts, logits_processor=processors)[0, 4:]
    speech = (new >= space.speech_offset).tolist()
    assert new[2] == space.switch
    assert speech[:2] == [prompt == "uuuu"] * 2 and speech[3:] == [prompt != "uuuu"] * 5
    assert torch.equal(new, generate(model, prompts, logits_processor=processors, use_cache=False)[0, 4:])


def test_stops_at_the_end_of_the_utterance(model: SmolTolkForCausalLM, write: Write) -> None:
    space = model.config.id_space
    found = generate(
        model,
        write(space, "ttsuu"),
        eos_token_id=[space.eos_speech, space.eos_text],
        logits_processor=LogitsProcessorList([_Prefer(space.eos_speech, length=7)]),
    )
    assert found.shape[1] == 8 and found[0, -1] == space.eos_speech


def test_continues_from_the_cache_of_an_earlier_call(model: SmolTolkForCausalLM, write: Write) -> None:
    space = model.config.id_space
    first = generate(model, write(space, "tttsuu"), return_dict_in_generate=True)
    turn = torch.cat([first.sequences, write(space, "sttts", seed=1)], dim=1)
    assert torch.equal(generate(model, turn, past_key_values=first.past_key_values), generate(model, turn))


def test_several_returned_sequences(model: SmolTolkForCausalLM, write: Write) -> None:
    prompts = write(model.config.id_space, "tttsuu", "uuuuuu")
    settings = {"do_sample": True, "num_return_sequences": 3}
    assert torch.equal(generate(model, prompts, **settings), generate(model, prompts, use_cache=False, **settings))


def test_prompt_lookup(model: SmolTolkForCausalLM, write: Write) -> None:
    prompts = write(model.config.id_space, "ttts" + "uuuuuu")
    assert torch.equal(generate(model, prompts, prompt_lookup_num_tokens=3), generate(model, prompts))


class _Collector(BaseStreamer):
    def __init__(self) -> None:
        self.pieces: list[Tensor] = []

    def put(self, value: Tensor) -> None:
        self.pieces.append(value.flatten())

    def end(self) -> None:
        self.pieces.append(torch.tensor([-1]))


def test_streamer(model: SmolTolkForCausalLM, write: Write) -> None:
    streamer, prompts = _Collector(), write(model.config.id_space, "tttsuu")
    found = generate(model, prompts, streamer=streamer)
    assert torch.cat(streamer.pieces).tolist() == [*found[0].tolist(), -1]
