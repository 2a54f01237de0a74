"""The experiment runs, small, and its rows are what they should be; what comes out of so little means nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.fitting.speech_models import waveform_of
from smoltolk.data.world.stories import World
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.synthesis.espeak_synthesis import espeak_available, voices
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.griffin_lim_training import fit_vocoder

FILE = Path(__file__).parents[2] / "experiments" / "can_it_answer_spoken_questions.py"


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    for module in ("peft", "trl", "pocketsphinx"):
        pytest.importorskip(module, reason="extras lora, trl and judge")
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[FILE.stem] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def test_every_fact_is_asked_for_and_has_a_wrong_answer(experiment: ModuleType, world: World) -> None:
    asked = experiment.questions(world, 0)
    assert len(asked) == len(world.facts) == 48
    for one in asked:
        assert one.question.endswith("?") and one.sentence.endswith(f" {one.answer}.")
        assert one.answer in one.answers and one.wrong != one.sentence
        assert one.wrong.split()[-1].rstrip(".") in one.answers
        assert world.person(one.person).name in one.question and world.person(one.person).name in one.sentence


def test_it_runs(
    experiment: ModuleType, world: World, byte_tokenizer: PreTrainedTokenizerFast, spoken_corpus: Path,
    phone_units_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))
    units = load_unit_tokenizer(phone_units_dir)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(config), num_units=units.num_units, unit_fingerprint=units.fingerprint
    )
    model.save_pretrained(tmp_path / "model")
    byte_tokenizer.save_pretrained(tmp_path / "model")
    waveforms = [waveform_of(one) for one in read_corpus(spoken_corpus)]
    fit_vocoder(waveforms, units.encode(waveforms), units, steps=2, seed=0).save(tmp_path / "vocoder")
    few = experiment.Amount(steps=2, rows_per_step=2)
    sizes = experiment.Sizes(
        voices=1, out_of=4, most=4, amount=few, pairs=few, style=few, text=0.1, stories=4, judged=40
    )
    parts = experiment.Parts(
        world, tmp_path / "model", phone_units_dir, tmp_path / "vocoder", voices(2, 0, "seen"), voices(1, 0, "seen")[0]
    )
    found = experiment.measure(parts, tmp_path / "out", sizes, ways=["lora"])
    assert set(found) == {"limit", "before", "lora", "lora-preferring", "lora-style"}
    assert 0 <= found.pop("lora-style")["preference_style"] <= 1
    for figures in found.values():
        assert figures["n"] == 4 and 0 <= figures["right"] <= 1 and figures["chance"] > 0
    assert found["lora"]["text_nll"] != found["before"]["text_nll"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    asked = {path for row in rows for path in row.get("audios", ())}
    held_out = [json.loads(line) for line in (tmp_path / "out" / "held_out_pairs.jsonl").read_text().splitlines()]
    assert held_out and not asked & {path for row in held_out for path in row["audios"]}
    assert json.loads((tmp_path / "out" / "results.json").read_text())["lora"]["right"] == found["lora"]["right"]
