"""A tiny model of real units, and dialogues in recordings of espeak-ng."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.kinds import load_unit_tokenizer


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def make_talking(byte_tokenizer: PreTrainedTokenizerFast, phone_units_dir: Path) -> Callable[..., Path]:
    """``make_talking(folder, predict_switch=True)``: a directory of a tiny model of the phone units."""
    units = load_unit_tokenizer(phone_units_dir)

    def make(folder: Path, **settings: Any) -> Path:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, bos_token_id=0, eos_token_id=0, max_position_embeddings=1024,
        )  # fmt: skip
        own = {"num_units": units.num_units, "unit_fingerprint": units.fingerprint}
        more = {"num_input_layers": 1, "num_output_layers": 1}
        model = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), **(own | more | settings))
        model.save_pretrained(folder)
        byte_tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def talking(make_talking: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return make_talking(tmp_path_factory.mktemp("talking") / "model")


@pytest.fixture(scope="session")
def recordings(spoken_corpus: Path) -> list[Path]:
    return [utterance.audio for utterance in read_corpus(spoken_corpus) if utterance.audio]


@pytest.fixture(scope="session")
def dialogues(recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight rows: half of them heard, a quarter of them answered in speech."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows: list[dict[str, Any]] = []
    for number in range(8):
        question = "<audio>" if number % 2 else f"Question {number}?"
        answer = "<audio>" if number % 4 == 3 else f"Answer {number}."
        sounds = [str(recordings[(number + k) % 8]) for k in range((question + answer).count("<audio>"))]
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        rows.append({"messages": messages, "audios": sounds})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def preferences(recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rows: spoken, written and interleaved answers."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = []
    for number in range(6):
        question = {"role": "user", "content": "<audio>" if number % 2 else "Which?"}
        better, worse = [("<audio>", "<audio>"), ("This.", "That."), ("So: <audio>", "No.")][number % 3]
        sounds = [str(recordings[number])] * (number % 2) + [str(recordings[0])] * better.count("<audio>")
        row = {"messages": [question, {"role": "assistant", "content": better}], "audios": sounds}
        worse_sounds = [str(recordings[7])] * worse.count("<audio>")
        rows.append(row | {"rejected_response": worse, "rejected_audios": worse_sounds})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
