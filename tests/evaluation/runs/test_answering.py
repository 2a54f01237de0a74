"""Written answers to spoken questions, by a model that looks positions up in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from smoltolk.evaluation.runs.answering import MOST, answer
from smoltolk.evaluation.tasks.items import SoundCell
from smoltolk.evaluation.tasks.spoken_answers import Question
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.tokenizer import Units


class OfManyUnits:
    """So many units for each recording as its row says."""

    fingerprint, num_units, num_codebooks, frame_rate = "f", 12, 1, 25.0

    def of(self, groups: Any, progress: Any = None) -> list[Units]:
        return [Units(np.arange(sound.row) % 12, np.ones(sound.row, np.int64)) for (sound,) in groups]


def test_a_question_longer_than_the_table_fails_by_itself(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=1, n_positions=MOST + 20,
                        bos_token_id=0, eos_token_id=0)  # fmt: skip
    model = SmolTolkForCausalLM.from_text_model(
        GPT2LMHeadModel(config), num_units=12, eos_text_id=0, num_input_layers=0, num_output_layers=0
    ).eval()
    questions = [
        Question(str(size), SoundCell(Path("x"), "audio", size, str(size)), ("a",)) for size in (5, 40, 0, 200)
    ]
    records = answer(model, tokenizer, model.config.id_space, OfManyUnits(), questions)
    assert [record["error"] is None for record in records] == [True, False, False, False]
    assert f"the model has {MOST + 20} positions" in records[1]["error"] and "answer" in records[0]
