"""Tuning on the command line: a LoRA trained on dialogues, put into the weights, taken out, asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.inference.parts import load_model
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.kinds import load_unit_tokenizer


@pytest.fixture
def model(byte_tokenizer: PreTrainedTokenizerFast, phone_units_dir: Path, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, bos_token_id=0, eos_token_id=0, max_position_embeddings=1024,
    )  # fmt: skip
    units = load_unit_tokenizer(phone_units_dir)
    made = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(config), num_units=units.num_units, unit_fingerprint=units.fingerprint
    )
    made.save_pretrained(tmp_path / "model")
    byte_tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_lora_and_back(
    smoltolk: Callable, model: Path, spoken_corpus: Path, phone_units_dir: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pytest.importorskip("peft", reason="the extra 'lora'")
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))
    sound = next(str(utterance.audio) for utterance in read_corpus(spoken_corpus))
    row = {"messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "Yes."}],
           "audios": [sound]}  # fmt: skip
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"messages": []}) + "\n")
    given = (model, tmp_path / "rows.jsonl", tmp_path / "lora", "--units", phone_units_dir, "--steps", 2)
    done = smoltolk("tune", *given, "--lora", "r=2", "--learning-rate", "0.05")
    assert done.code == 0, done.err
    assert "rows.jsonl:2" in done.err and "1, reasons in" in done.out and "a LoRA" in done.out
    again = smoltolk("tune", *given, "--lora", "r=2", "--learning-rate", "0.05")
    assert again.code == 0 and "already there" in again.out
    other = smoltolk("tune", *given, "--lora", "r=3", "--learning-rate", "0.05")
    assert other.code == 1 and "another" in other.err
    assert smoltolk("lora", "merge", tmp_path / "lora", tmp_path / "whole").code == 0
    assert smoltolk("lora", "unmerge", tmp_path / "whole", tmp_path / "lora", tmp_path / "plain").code == 0
    first, whole, plain = (
        load_model(folder)[0].state_dict() for folder in (model, tmp_path / "whole", tmp_path / "plain")
    )
    assert any(not torch.allclose(value, whole[name], atol=1e-4) for name, value in first.items())
    for name, value in first.items():
        np.testing.assert_allclose(plain[name], value, atol=1e-6, err_msg=name)
    # Asked as a LoRA and as a model of its own.
    answers = {
        smoltolk("ask", tmp_path / name, sound, "--units", phone_units_dir, "--to", "text", "--most", 5).out
        for name in ("lora", "whole")
    }
    assert len(answers) == 1 and answers != {""}


def test_refused(smoltolk: Callable, model: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"messages": []}\n')
    for arguments, told in (
        (("tune", model, tmp_path / "none.jsonl", tmp_path / "out"), "none.jsonl"),
        (("tune", model, tmp_path / "rows.jsonl", tmp_path / "out"), "rows.jsonl:1"),
        (("tune", model, tmp_path / "rows.jsonl", tmp_path / "out", "--lora", "q=1"), "like r=16"),
        (("tune", tmp_path / "no", tmp_path / "rows.jsonl", tmp_path / "out"), "no directory"),
        (("ask", model), "--text"),
        (("ask", model, "--text", "x"), "--vocoder"),
        (("lora", "merge", model, tmp_path / "out"), "LoRA"),
    ):
        done = smoltolk(*arguments)
        assert done.code == 1 and told in done.err, done.err
