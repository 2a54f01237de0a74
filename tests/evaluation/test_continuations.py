"""Transcripts of continuations, read by a text model, and what repeats itself in them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.evaluation.continuations import auto_bleu, continuations, first_seconds, long_prompts, transcript_nll


@pytest.fixture(scope="module")
def text_model(tokenizer: Any) -> LlamaForCausalLM:
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), eos_token_id=0, **sizes)).eval()


def test_the_perplexity_is_that_of_the_text_model(text_model: Any, tokenizer: Any) -> None:
    texts = ["Anna has a dog.", "", "It rains again and again."]
    found = transcript_nll(text_model, tokenizer, texts)
    assert found[1] is None
    for place in (0, 2):
        ids = torch.tensor([tokenizer(texts[place], add_special_tokens=False)["input_ids"]])
        assert found[place] == pytest.approx(float(text_model(ids, labels=ids).loss), rel=1e-5)


@pytest.mark.parametrize(
    ("text", "size", "share"),
    [
        ("a b a b", 2, 2 / 3), ("a b a b", 1, 1.0), ("A, b. a B!", 2, 2 / 3), ("a b c", 2, 0.0), ("a", 2, 0.0),
        ("", 2, 0.0), ("a a a", 2, 1.0),
    ],
)  # fmt: skip
def test_what_repeats_itself(text: str, size: int, share: float) -> None:
    assert auto_bleu(text, size) == pytest.approx(share)


def test_the_first_seconds() -> None:
    units, durations = np.arange(6), np.array([10, 30, 60, 10, 10, 10])  # 25 a second: 0.4, 1.6, 4.0 s, ..
    assert first_seconds(units, durations, 25.0).tolist() == [0, 1, 2]
    assert first_seconds(units, durations, 25.0, 0.1).tolist() == [0]
    assert first_seconds(units, durations, 25.0, 60.0).tolist() == units.tolist()


def test_short_recordings_are_no_prompts(unit_corpus: UnitCorpus) -> None:
    longest = float(unit_corpus.seconds.max())
    (one,) = long_prompts(unit_corpus, 5, longest)
    assert len(one) <= len(unit_corpus.units(int(unit_corpus.seconds.argmax())))
    assert len(long_prompts(unit_corpus, 3, 0.1)) == 3
    with pytest.raises(InputError, match="the longest has"):
        long_prompts(unit_corpus, 5, longest + 1)


def test_continuations_of_a_model(model: Any, tokenizer: Any, text_model: Any, tmp_path: Path) -> None:
    heard: list[int] = []

    def speak(units: list[np.ndarray], durations: Any = None, seed: int = 0) -> list[np.ndarray]:
        heard.extend(map(len, units))
        return [np.full(100 * len(one), 0.1, np.float32) for one in units]

    vocoder = SimpleNamespace(sample_rate=16_000, frame_rate=25.0, synthesize_batch=speak)
    judge = SimpleNamespace(name="counts", transcribe_batch=lambda waveforms: ["Anna eats Anna eats"] * len(waveforms))
    prompts = [np.array([1, 2, 3]), np.array([4, 5])]
    space = model.config.id_space
    found = continuations(
        model, prompts, space, vocoder, judge, text_model, tokenizer, most=20, log_path=tmp_path / "log.jsonl"
    )
    (nll,) = set(transcript_nll(text_model, tokenizer, found.transcripts))
    assert nll is not None and found.gen_ppl == pytest.approx(math.exp(nll)) and found.scored == 2
    assert found.auto_bleu == pytest.approx(2 / 3) and 0 <= found.no_end <= 1 and found.units_per_second > 0
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["units"] for row in rows if row["units"]] == heard and len(rows) == 2
    silent = SimpleNamespace(name="silent", transcribe_batch=lambda waveforms: [""] * len(waveforms))
    nothing = continuations(model, prompts, space, vocoder, silent, text_model, tokenizer, most=5)
    assert math.isnan(nothing.gen_ppl) and nothing.scored == 0
    with pytest.raises(InputError, match="a prompt at least"):
        continuations(model, [], space, vocoder, judge, text_model, tokenizer)
