"""Recipes on the command line: printed, planned, trained, repeated."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.common.devices import multiplies_bfloat16
from smoltolk.common.files import read_json
from smoltolk.training.recipes.sources import recipe_named, recipe_of_model
from smoltolk.training.recipes.yaml_files import to_yaml


@pytest.fixture
def text_model(byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    config = LlamaConfig(
        vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, eos_token_id=0, bos_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "text")
    byte_tokenizer.save_pretrained(tmp_path / "text")
    return tmp_path / "text"


def test_a_dry_run_prints_a_recipe_and_its_plan(smoltolk: Callable, tmp_path: Path) -> None:
    done = smoltolk(
        "train", "smoltolk-150m", "data.shards=nowhere", "model.layer_mix=static", "stages.1.learning_rate=1e-4",
        "data.row_length=256", "--rows-per-step", 4, "--dry-run", "--mfu", 0.5, "--devices", 2,
    )  # fmt: skip
    assert done.code == 0
    (tmp_path / "run.yaml").write_text(done.out, encoding="utf-8")
    tree = recipe_named(str(tmp_path / "run.yaml"))
    assert (tree.name, tree.data.shards, tree.model.layer_mix) == ("smoltolk-150m", "nowhere", "static")
    assert (tree.stages[1].learning_rate, tree.optimisation.rows_per_step) == (1e-4, 4)
    assert "148,966,302 parameters" in done.err and "20,480,000" in done.err  # ids of stage 2
    assert "2 devices" in done.err and "50%" in done.err and "GB" in done.err


def test_a_recipe_trains_and_a_model_repeats_it(
    smoltolk: Callable, text_model: Path, shards_dir: Path, tmp_path: Path
) -> None:
    words = [
        "small", f"model.text_model={text_model}", f"data.shards={shards_dir}", f"out={tmp_path / 'first'}",
        "stages.0.num_steps=1", "stages.0.warmup_steps=0", "stages.0.decay_steps=0", "stages.stage2.num_steps=2",
        "stages.stage2.warmup_steps=0", "stages.stage2.decay_steps=1", "logging.loggers=[none]",
    ]  # fmt: skip
    done = smoltolk("train", *words)
    assert done.code == 0 and "train late (recipe small)" in done.out
    decided = f"hardware.autocast={str(multiplies_bfloat16('cpu')).lower()}"  # by the device, and written down
    assert to_yaml(recipe_of_model(tmp_path / "first")) == smoltolk("train", *words, decided, "--dry-run").out
    assert "already there" in smoltolk("train", *words).out + smoltolk("train", "--from", tmp_path / "first").out
    again = smoltolk("train", "--from", tmp_path / "first", f"out={tmp_path / 'second'}")
    assert again.code == 0
    first, second = (tmp_path / name for name in ("first", "second"))
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    other = smoltolk("train", "--from", first, f"out={tmp_path / 'third'}", "seed=1", "model.layer_mix=last")
    assert other.code == 0 and read_json(tmp_path / "third" / "config.json")["layer_mix"] == "last"


WRONG = """
import sys
from pathlib import Path
from smoltolk.cli import main
from smoltolk.common.errors import SmolTolkError

Path("text").mkdir()
for line in sys.stdin.read().splitlines():
    sys.argv = ["smoltolk", *line.split()]
    try:
        main(last=False)
    except SystemExit as stopped:
        assert stopped.code == 1, line
loaded = {"torch", "transformers"} & set(sys.modules)
assert not loaded, loaded
"""


def test_wrong_words_are_told_before_anything_large_is_loaded(tmp_path: Path) -> None:
    lines = {
        "train smoltolk-400n": "did you mean smoltolk-400m?",
        "train run.yaml": "no file run.yaml",
        "train --from nowhere": "none in nowhere",
        "train smoltolk-400m modl.system=late": "did you mean model?",
        "train smoltolk-400m stages.1.learning_rate=0": "must be above 0",
        "train smoltolk-400m data.shards=shards out=out": "no directory shards",
        "train smoltolk-400m data.text=a.txt hardware.device=mps": "Apple's GPU",
        "train no/such/model shards out": "no directory shards",
        "train text shards out stages.1.learning_rat=1": "did you mean stages.1.learning_rate?",
        "train text shards out --preset 7b": "'7b'",
        "train text shards out --system fusion": "'fusion'",
        "train text shards out --mixture singing=1": "singing",
        "backbone nowhere.txt out": "no file nowhere.txt",
    }
    done = subprocess.run(
        [sys.executable, "-c", WRONG], input="\n".join(lines), capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert [message for message in lines.values() if message not in done.stderr] == []
    assert done.stderr.count("error: ") == len(lines) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("smoltolk-150m", "model.layer_mx=static"), "did you mean model.layer_mix?"),
        (("smoltolk-150m",), "add data.shards=... out=..."),
        (("smoltolk-15m", "data.shards=x"), "did you mean smoltolk-150m?"),
        (("my_runs.py:my_run",), "no file my_runs.py"),
        (("--from", "nowhere"), "none in nowhere"),
        (("small", "--dry-run"), "model.text_model=NAME"),
    ],
)
def test_what_is_said_of_a_recipe_that_cannot_be(smoltolk: Callable, words: tuple[str, ...], message: str) -> None:
    done = smoltolk("train", *words)
    assert done.code == 1 and message in done.err
