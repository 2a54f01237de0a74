"""An answer is what a model makes behind the prompt of its dialogue."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.data.rows.turns import Turn, answer_prompt
from smoltolk.inference.answering import answer_all
from smoltolk.model.modeling import SmolTolkForCausalLM


@pytest.mark.parametrize("in_speech", [True, False])
def test_answers(model: SmolTolkForCausalLM, tokenizer: PreTrainedTokenizerFast, in_speech: bool) -> None:
    written = (False, np.array(tokenizer("Meet Anna.")["input_ids"]))
    dialogues = [
        [Turn(False, ((True, np.array([3, 5])),))],
        [Turn(False, (written,)), Turn(True, ((True, np.array([1])),)), Turn(False, (written,))],
    ]
    space = model.config.id_space
    made = answer_all(model, dialogues, in_speech=in_speech, most=6)
    for turns, one in zip(dialogues, made, strict=True):
        ids = answer_prompt(space, turns, in_speech=in_speech).input_ids.tolist()
        for token in one.ids:
            with torch.no_grad():
                assert int(model(torch.tensor([ids])).logits[0, -1].argmax()) == token
            assert space.is_speech(int(token)) == in_speech
            ids.append(int(token))
        assert len(one.ids) == 6 or one.ended
    with pytest.raises(InputError, match="follows a question"):
        answer_all(model, [[]], in_speech=in_speech)
