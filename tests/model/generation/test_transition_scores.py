from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import GenerationMixin, PreTrainedModel

from smoltolk.model.modeling import SmolTolkForCausalLM

SETTINGS = {"max_new_tokens": 6, "return_dict_in_generate": True, "output_scores": True, "pad_token_id": 0}


@pytest.mark.parametrize("prompt", ["tttsuuuu", "uuuustt"])
def test_greedy_scores_are_the_log_probabilities(
    prompt: str, model: SmolTolkForCausalLM, write: Callable[..., Tensor]
) -> None:
    prompts = write(model.config.id_space, prompt, prompt)
    made = model.generate(prompts, attention_mask=torch.ones_like(prompts), do_sample=False, **SETTINGS)
    found = model.compute_transition_scores(made.sequences, made.scores, normalize_logits=True)
    with torch.no_grad():
        logits = model(made.sequences).logits.log_softmax(-1)
    expected = logits[:, len(prompt) - 1 : -1].gather(2, made.sequences[:, len(prompt) :, None])[..., 0]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("prompt", ["tttsuuuu", "uuuustt"])
def test_beam_scores_add_up_to_the_scores_of_sequences(
    prompt: str, model: SmolTolkForCausalLM, write: Callable[..., Tensor]
) -> None:
    prompts = write(model.config.id_space, prompt, prompt)
    made = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=False,
        num_beams=3,
        num_return_sequences=2,
        **SETTINGS,
    )
    found = model.compute_transition_scores(made.sequences, made.scores, made.beam_indices)
    lengths = (made.beam_indices >= 0).sum(1)
    torch.testing.assert_close(found.sum(1) / lengths, made.sequences_scores)


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("normalize", [False, True])
def test_on_a_text_model_it_is_what_transformers_computes(
    normalize: bool, beams: int, make_text_model: Callable[..., PreTrainedModel]
) -> None:
    text_model = make_text_model()
    prompts = torch.tensor([[5, 9, 3], [7, 7, 2]])
    made = text_model.generate(
        prompts, attention_mask=torch.ones_like(prompts), do_sample=False, num_beams=beams, **SETTINGS
    )
    rows = made.get("beam_indices")
    arguments = (made.sequences, made.scores, rows, normalize)
    expected = GenerationMixin.compute_transition_scores(text_model, *arguments)
    torch.testing.assert_close(SmolTolkForCausalLM.compute_transition_scores(text_model, *arguments), expected)
