"""lm-evaluation-harness scores the model's text as it scores the bare text model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from smoltolk.model.modeling import SmolTolkForCausalLM

lm_eval = pytest.importorskip("lm_eval", reason="the extra 'eval' brings lm_eval")
datasets = pytest.importorskip("datasets", reason="lm_eval brings datasets")

QUESTIONS = [
    {"question": "dab", "options": ["ba", "abc", "d"], "answer": 0},
    {"question": "a cab", "options": ["c", "bad dad", "ab"], "answer": 2},
    {"question": "bbb", "options": ["aa", "dc", "cab a"], "answer": 1},
]
SHARED = {"test_split": "test", "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(QUESTIONS)}}
TASKS: dict[str, dict[str, Any]] = {
    "choice": {
        "output_type": "multiple_choice", "doc_to_text": "{{question}} ", "doc_to_choice": "{{options}}",
        "doc_to_target": "answer", "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    },
    "perplexity": {
        "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{question}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
    },
    "continuation": {
        "output_type": "generate_until", "doc_to_text": "{{question}} ", "doc_to_target": "{{options[0]}}",
        "generation_kwargs": {"until": ["zzz"], "max_gen_toks": 5, "do_sample": False},
        "metric_list": [{"metric": "exact_match"}],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A letter is an id; 1 is the end."""
    letters = {"<pad>": 0, "<eos>": 1} | {letter: number + 2 for number, letter in enumerate("abcdĠ")}
    core = Tokenizer(models.BPE(letters, [], unk_token="a"))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", pad_token="<pad>")


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores, and what the model answered to each request."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    tasks = [{"task": name, **SHARED, **task} for name, task in TASKS.items()]
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2, device="cpu")
    known = TaskManager(include_defaults=False)  # to read the thousands that it brings takes a minute
    done = lm_eval.simple_evaluate(harness, tasks=tasks, task_manager=known, bootstrap_iters=0, log_samples=True)
    answers = {name: [sample["resps"] for sample in samples] for name, samples in done["samples"].items()}
    return done["results"], answers


def test_the_same_scores(
    make_text_model: Callable[..., PreTrainedModel],
    make_model: Callable[..., SmolTolkForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    text_model = make_text_model(vocab_size=len(tokenizer))
    model = make_model(text_model)
    expected, expected_answers = evaluate(text_model, tokenizer)
    found, found_answers = evaluate(model, tokenizer)
    assert set(found) == set(TASKS)
    for task, scores in expected.items():
        numbers = {name: value for name, value in scores.items() if isinstance(value, float)}
        assert numbers and {name: found[task][name] for name in numbers} == pytest.approx(numbers, rel=1e-5)
    assert found_answers["continuation"] == expected_answers["continuation"]
    for task in ("choice", "perplexity"):
        for ours, theirs in zip(_numbers(found_answers[task]), _numbers(expected_answers[task]), strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-5, atol=1e-5)


def _numbers(answers: Any) -> list[float]:
    """All numbers in nested lists."""
    if isinstance(answers, list | tuple):
        return [number for answer in answers for number in _numbers(answer)]
    return [float(answers)]


def test_it_knows_how_long_a_text_may_be(make_model: Callable[..., SmolTolkForCausalLM], tokenizer: Any) -> None:
    from lm_eval.models.huggingface import HFLM

    assert HFLM(pretrained=make_model(), tokenizer=tokenizer, device="cpu").max_length == 128
