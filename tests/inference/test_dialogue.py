"""Turns: what the model is given, and what is forgotten where it has no more positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.inference.answers import Speech
from smoltolk.inference.bundle import BundleSettings
from smoltolk.inference.dialogue import Dialogue
from smoltolk.inference.speech_text import SpeechText
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.processing import SmolTolkProcessor


def make(tokenizer: PreTrainedTokenizerFast, positions: int, **settings: Any) -> SpeechText:
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=0, max_position_embeddings=positions,
    )  # fmt: skip
    torch.manual_seed(0)
    model = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12).eval()
    model.generation_config.suppress_tokens = [model.config.id_space.eos_text, model.config.id_space.eos_speech]
    return SpeechText(model, tokenizer, settings=BundleSettings(None, max_tokens=8, **settings))


class Recorder:
    """Remembers prompts, and answers with the number of the turn."""

    def __init__(self, processor: SmolTolkProcessor, tuned: bool = False):
        self.processor, self.settings = processor, BundleSettings(tuned=tuned)
        self.prompts: list[Any] = []
        self.seeds: list[int] = []

    def units_of(self, audio: Any) -> np.ndarray:
        return np.array([1, 2, 3])

    def most_ids(self, *_: Any) -> int:
        return 10

    def room_behind(self, *_: Any) -> int:
        return 100

    def generate(self, prompt: Any, to: str, seed: int, **options: Any) -> Any:
        from smoltolk.inference.answers import Answer

        self.prompts.append(prompt)
        self.seeds.append(seed)
        speech = Speech(np.zeros(10, np.float32), 100, np.array([len(self.prompts)]))
        return Answer(text=f"answer {len(self.prompts)}") if to == "text" else Answer(speech=speech)


def test_a_turn_stands_behind_all_before_it(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    space = make(byte_tokenizer, 64).space
    talker = Recorder(SmolTolkProcessor(byte_tokenizer, space))
    dialogue = Dialogue(talker, "text", seed=7)
    dialogue.ask("One.")
    dialogue.ask(["Two", np.zeros(50, np.float32)], to="speech")
    dialogue.ask("Three.")
    last = [list(map(int, one)) if isinstance(one, np.ndarray) else one for one in talker.prompts[-1]]
    assert last == ["One.", " answer 1", " Two", [1, 2, 3], [2], " Three."]
    assert talker.seeds == [7, 8, 9] and dialogue.dropped == 0 and len(dialogue.turns) == 3


def test_a_tuned_model_gets_prompts_of_their_own(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    space = make(byte_tokenizer, 64).space
    talker = Recorder(SmolTolkProcessor(byte_tokenizer, space), tuned=True)
    dialogue = Dialogue(talker, "text")
    dialogue.ask("One.")
    dialogue.ask(np.zeros(50, np.float32))
    ids = talker.prompts[-1].input_ids.tolist()
    assert ids.count(space.begin_prompt) == ids.count(space.end_prompt) == 2
    assert ids.index(space.end_prompt) < ids.index(space.eos_text, 1)  # the answer, and its end
    assert [one - space.speech_offset for one in ids if one >= space.speech_offset] == [1, 2, 3]


def test_the_oldest_turns_are_forgotten_and_it_says_so(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    talker = make(byte_tokenizer, 48)
    dialogue = talker.dialogue("text")
    answers = [dialogue.ask("a" * 10) for _ in range(5)]
    assert answers[0].dropped == 0 < answers[-1].dropped
    assert len(dialogue.turns) + dialogue.dropped == 5
    # What is left, and the answer behind it, fit; one turn more would not have.
    before = dialogue.turns[:-1]
    wholes = [dialogue._whole(turns, ["a" * 10], "text") for turns in (before, dialogue.turns)]
    assert len(before) == 1 and talker.room_behind(wholes[0], "text") >= 8 > talker.room_behind(wholes[1], "text")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_turn_that_is_refused_changes_nothing(byte_tokenizer: PreTrainedTokenizerFast, streamed: bool) -> None:
    dialogue = make(byte_tokenizer, 48).dialogue("text")
    dialogue.ask("a" * 10)
    known = dialogue.turns
    for prompt, said in (("a" * 60, "room to answer"), (" ", "needs a word"), ("\udc80", "whole characters")):
        with pytest.raises(InputError, match=said):
            list(dialogue.stream(prompt)) if streamed else dialogue.ask(prompt)
    assert dialogue.turns == known and dialogue.dropped == 0
    assert len(dialogue.ask("a").text) > 0


def test_a_streamed_turn_is_remembered_as_far_as_it_was_heard(byte_tokenizer: PreTrainedTokenizerFast) -> None:
    talker = make(byte_tokenizer, 64)
    whole, cut = talker.dialogue("text"), talker.dialogue("text")
    text = "".join(piece.text for piece in whole.stream("Hi"))
    assert whole.turns[0].answer == text == talker.dialogue("text").ask("Hi").text
    pieces = cut.stream("Hi")
    first = next(pieces).text
    pieces.close()
    assert cut.turns[0].answer == first and len(first) < len(text)
