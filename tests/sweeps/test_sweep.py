"""A sweep by the command line: two arms and two seeds of a tiny recipe, killed once, widened once."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.cli import main
from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, write_jsonl
from smoltolk.common.run_directory import Job
from smoltolk.sweeps.experiment import Experiment, Outcome
from smoltolk.sweeps.sweep import experiment_of_words, sweep
from smoltolk.training.recipes.presets import quick

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def words(
    byte_tokenizer: PreTrainedTokenizerFast, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """A recipe of two steps on real shards, which are held out too: what is measured is all the same."""
    text = tmp_path_factory.mktemp("sweep") / "text"
    config = LlamaConfig(
        vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, eos_token_id=0, bos_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(text)
    byte_tokenizer.save_pretrained(text)
    stages = [f"stages.{stage}.{name}={value}" for stage in (0, 1)
              for name, value in (("num_steps", 1), ("warmup_steps", 0), ("decay_steps", 0))]  # fmt: skip
    return ["small", f"model.text_model={text}", f"data.shards={shards_dir}", f"logging.held_out={shards_dir}",
            "logging.loggers=[none]", *stages]  # fmt: skip


def trained(arm: str, seed: int, fails: bool, out: Path, report: object) -> dict[str, Any]:
    """A training that takes no time, as a worker does it."""
    if fails:
        raise InputError("a rule", f"what {arm} found", "the fix")
    (out / "models" / f"{arm}-seed-{seed}").mkdir(parents=True)
    rows = [{"id": f"u{number}", "nll": 20.0 + seed, "count": 10} for number in range(3)]
    write_jsonl(out / "answers" / f"{arm}-seed-{seed}" / "speech.jsonl", rows)
    return {"parameters": 1, "seconds": 1.0, "changes": {}}


def test_an_arm_that_fails_loses_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = quick(10, 10, 1e-3)
    recipe = replace(recipe, logging=replace(recipe.logging, held_out="held"))
    arms = {"a": {}, "b": {"model.layer_mix": "last"}, "c": {"model.layer_mix": "static"}}
    asked = Experiment(recipe=recipe, arms=arms, outcomes=(Outcome("nll:speech"),))
    fails = {"a": False, "b": True, "c": False}

    def jobs(experiment: Experiment, out: Path) -> list[Job]:
        return [Job(f"{arm}-seed-0", arm, 1, trained, (arm, 0, fails[arm], out)) for arm in arms]

    monkeypatch.setattr("smoltolk.sweeps.sweep.jobs_of", jobs)
    monkeypatch.setattr("smoltolk.common.run_directory.num_cpus", lambda: 1)
    monkeypatch.setattr("smoltolk.sweeps.sweep.check_settings", lambda *_: None)
    results = sweep(asked, tmp_path / "out")
    assert results["failed"] == [{"arm": "b", "seed": 0, "reason": "a rule found: what b found fix: the fix"}]
    assert results["missing"] == [{"arm": "b", "seed": 0}]
    assert results["arms"]["c"]["outcomes"]["nll:speech"]["difference"]["difference"] == 0
    table = (tmp_path / "out" / "results.md").read_text()
    assert "- b, seed 0: a rule" in table and "| b | not run |" in table and "1 of 3 trainings" in table
    fails["b"] = False
    results = sweep(asked, tmp_path / "out")  # it is tried again
    assert results["failed"] == results["missing"] == []
    assert "Failed" not in (tmp_path / "out" / "results.md").read_text()
    assert not (tmp_path / "out" / "models").exists()
    monkeypatch.undo()
    with pytest.raises(InputError, match="'b' was trained with"):
        sweep(asked, tmp_path / "out")


def test_arms_and_seeds_are_trained_asked_and_compared(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "sweep"
    argv = ["smoltolk", "ablate", *words, "--vary", "model.layer_mix=dynamic,last", "--out", str(out)]

    def run(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", [*argv, *more])
        with pytest.raises(SystemExit) as stopped:
            main(last=False)
        assert not stopped.value.code
        return capsys.readouterr().err

    run("--vary", "seed=0", "--keep-models")
    assert len(list((out / "models").glob("*/model.safetensors"))) == 2
    first = read_json(out / "results.json")
    run("--vary", "seed=0,1")  # wider: what is done is kept
    results = read_json(out / "results.json")
    assert sorted(path.name for path in out.iterdir()) == [
        "answers", "models", "results.json", "results.md", "run.json", "steps"
    ]  # fmt: skip
    assert all("seed-0" in path.name for path in (out / "models").iterdir())  # those that were to be kept are
    assert results["seeds"] == [0, 1] and results["missing"] == [] and results["reference"] == "layer_mix=dynamic"
    for arm, entry in results["arms"].items():
        for name in ("nll:speech", "nll:text"):
            found = entry["outcomes"][name]
            assert found["values"]["0"] == first["arms"][arm]["outcomes"][name]["values"]["0"]
            assert set(found["values"]) == {"0", "1"} and (found["difference"] is None) == (arm == "layer_mix=dynamic")
    last = results["arms"]["layer_mix=last"]["outcomes"]["nll:speech"]
    values = [last["values"][seed]["value"] - results["arms"]["layer_mix=dynamic"]["outcomes"]["nll:speech"]["values"]
              [seed]["value"] for seed in ("0", "1")]  # fmt: skip
    assert last["difference"]["seeds"] == pytest.approx(values)
    assert last["difference"]["difference"] == pytest.approx(sum(values) / 2)
    table = (out / "results.md").read_text()
    assert "All are run." in table and "| layer_mix=last |" in table and " to " in table
    before = {path.name: path.stat().st_mtime_ns for path in (out / "steps").iterdir()}
    run("--vary", "seed=0,1")
    assert {path.name: path.stat().st_mtime_ns for path in (out / "steps").iterdir()} == before
    with pytest.raises(InputError, match=r"recipe\.data\.row_length = 192"):
        sweep(experiment_of_words([*words, "data.row_length=96"], ["seed=0,1"]), out)
    with pytest.raises(InputError, match="outcomes"):
        sweep(experiment_of_words(words, ["seed=0,1"], ["nll:text"]), out)
