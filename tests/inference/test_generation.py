from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.inference.generation import Generation, Sampling, generate, to_text, to_units
from smoltolk.model.modeling import SmolTolkForCausalLM


@pytest.fixture(scope="module")
def prompts(model, tokenizer):
    ids, rng = model.config.id_space, np.random.default_rng(0)
    spoken = [recognition_prompt(ids, rng.integers(0, 12, n)).input_ids for n in (3, 9, 5)]
    return [*spoken, synthesis_prompt(ids, tokenizer("Mia has a fox.")["input_ids"]).input_ids]


def test_greedy_does_not_depend_on_the_batch(model, prompts):
    ids = model.config.id_space
    options = {"end_id": ids.eos_text, "pad_id": ids.eos_text, "max_new_tokens": 6}
    together = generate(model, prompts, **options)
    for prompt, made in zip(prompts, together, strict=True):
        alone = generate(model, [prompt], **options)[0]
        assert made.ids.tolist() == alone.ids.tolist()
        assert made.ended == alone.ended
    small_batches = generate(model, prompts, batch_size=2, **options)
    assert [one.ids.tolist() for one in small_batches] == [one.ids.tolist() for one in together]


def test_modality_of_what_is_generated(model, prompts):
    """Behind <end prompt> comes text, behind <switch> speech."""
    ids = model.config.id_space
    made = generate(model, prompts, end_id=ids.eos_text, pad_id=ids.eos_text, max_new_tokens=8)
    assert all((one.ids < ids.speech_offset).all() for one in made[:3])
    assert (made[3].ids >= ids.speech_offset).all()


def test_sampling_is_repeated_by_its_seed_and_leaves_the_global_state(model, prompts):
    ids = model.config.id_space
    options = {"end_id": ids.eos_speech, "pad_id": ids.eos_text, "max_new_tokens": 12, "sampling": Sampling()}
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    first = generate(model, prompts, seed=1, **options)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [one.ids.tolist() for one in generate(model, prompts, seed=1, **options)] == [
        one.ids.tolist() for one in first
    ]
    assert [one.ids.tolist() for one in generate(model, prompts, seed=2, **options)] != [
        one.ids.tolist() for one in first
    ]


class Ending:
    """Writes 5, then the end, then what a finished row is filled with; the second row never ends."""

    training = False

    def parameters(self):
        yield torch.zeros(1)

    def train(self, mode=True):
        return self

    eval = train

    def generate(self, input_ids, max_new_tokens, eos_token_id, **_):
        end = eos_token_id
        made = torch.tensor([[5, end, end], [6, 7, 8]])
        return torch.cat([input_ids, made], 1)


def test_end_is_cut_off_and_its_lack_is_reported():
    first, second = generate(Ending(), [[1, 2], [3]], end_id=9, pad_id=0, max_new_tokens=3)
    assert (first.ids.tolist(), first.ended) == ([5], True)
    assert (second.ids.tolist(), second.ended) == ([6, 7, 8], False)


def test_units_are_deduplicated_and_others_left_out(ids):
    made = Generation(np.array([22, 22, 23, 29, 23, 22, 3]), True)
    assert to_units(made, ids).tolist() == [2, 3, 2]
    assert to_units(Generation(np.zeros(0, np.int64), True), ids).shape == (0,)


def test_text_has_no_special_tokens_and_no_spaces_around(tokenizer):
    encoded = tokenizer(" Mia has a fox.")["input_ids"]
    assert to_text(Generation(np.array([*encoded, 0]), True), tokenizer) == "Mia has a fox."


def test_errors(model):
    with pytest.raises(InputError, match="temperature > 0"):
        Sampling(temperature=0)
    with pytest.raises(InputError, match="at least one id"):
        generate(model, [[1], []], end_id=0, pad_id=0, max_new_tokens=1)


def test_a_model_that_may_choose_is_held_to_what_was_asked(tokenizer):
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
        eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    chooser = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12, predict_switch=True)
    space = chooser.config.id_space
    prompts = [recognition_prompt(space, [3, 1, 4]).input_ids, synthesis_prompt(space, [5, 6, 7, 8]).input_ids]
    spoken = torch.randint(space.speech_offset, space.eos_speech, (2, 4))
    # It learns to change its modality behind whatever it reads.
    rows = torch.cat([torch.from_numpy(np.stack(prompts)), torch.tensor([[9, 10, 11, 12]] * 2), spoken], dim=1)
    optimizer = torch.optim.AdamW(chooser.parameters(), 3e-2)
    for _ in range(60):
        optimizer.zero_grad()
        chooser(rows, labels=torch.full_like(rows, space.switch)).loss.backward()
        optimizer.step()
    for prompt, end in zip(prompts, (space.eos_text, space.eos_speech), strict=True):
        free = chooser.eval().generate(torch.from_numpy(prompt)[None], max_new_tokens=1, do_sample=False)
        assert free[0, -1] == space.switch
        (made,) = generate(chooser, [prompt], end_id=end, pad_id=space.eos_text, max_new_tokens=4)
        assert len(made.ids) and space.switch not in made.ids
        assert ((made.ids >= space.speech_offset) == space.is_speech(end)).all()
