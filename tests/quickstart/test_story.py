"""The whole journey, for real: speech, units, models, figures, sound and a page; killed, continued, refused."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel
from typer.testing import CliRunner

from smoltolk.cli.app import app
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.quickstart import evaluation_steps, model_steps, speech_steps
from smoltolk.quickstart.scales import SCALES
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.story import quickstart
from smoltolk.report.results import COMPARED, DIRECTIONS, KINDS, validate_results
from smoltolk.training.backbone import load_tokenizer
from smoltolk.training.recipes.sources import recipe_of_model

pytestmark = pytest.mark.slow


def results_of(run: Path) -> dict:
    return json.loads((run / "results.json").read_text())


def without_clock(results: dict) -> dict:
    """Everything but times: what the same seed must repeat."""
    kept = {key: value for key, value in results.items() if key not in ("seconds", "curves", "seconds_per_step")}
    for figures in kept["models"].values():
        for key in ("train_tokens_per_second", "seconds_per_step"):
            figures.pop(key, None)
    return kept


def test_results_have_every_key_and_every_cell(finished):
    results = results_of(finished)
    validate_results(results)
    assert results["scale"] == "tiny" and results["seed"] == 0
    for system in COMPARED:
        for kind in KINDS:
            for direction in DIRECTIONS:
                cell = results["models"][system][kind][direction]
                assert cell["low"] <= cell["accuracy"] <= cell["high"] and cell["n"] == 24
    # Training on rows of the world makes the text model better at its text, not worse.
    assert results["models"]["late"]["text_nll_after"] < results["models"]["late"]["text_nll_before"] + 0.1


def test_before_and_after_are_measured_alike(finished):
    """In float32, as anybody measures the directories: no autocast of the training lingers."""
    results, settings = results_of(finished), Settings(finished, "tiny", 0)
    tokenizer = load_tokenizer(finished / "backbone")
    documents = speech_steps.text_documents(settings, tokenizer)
    before = held_out_nll(load_text_model(str(finished / "backbone")), documents, None, "text")
    late = SmolTolkForCausalLM.from_pretrained(finished / "models" / "late")
    after = held_out_nll(late, documents, late.config.id_space, "text")
    figures = results["models"]["late"]
    assert figures["text_nll_before"] == pytest.approx(before.nll, rel=1e-6)
    assert figures["text_nll_after"] == pytest.approx(after.nll, rel=1e-6)


def test_models_are_measured_on_the_best_device(finished, monkeypatch):
    asked = []

    class Measured(BaseException):
        pass

    def measure(model, *_, **__):
        asked.append(str(model.device))
        raise Measured

    for place in ("smoltolk.quickstart.model_steps", "smoltolk.inference.parts"):
        monkeypatch.setattr(f"{place}.best_device", lambda: "meta")
    monkeypatch.setattr(model_steps, "held_out_nll", measure)
    monkeypatch.setattr(evaluation_steps, "answers_of", measure)
    monkeypatch.setattr(model_steps, "pretrain", lambda *_, **__: [{"loss": 1.0}])
    settings = Settings(finished, "tiny", 0)
    for step in (model_steps.train_backbone, lambda *given: evaluation_steps.evaluate_one(given[0], "late", given[1])):
        with pytest.raises(Measured):
            step(settings, lambda done, text: None)
    assert asked == ["meta"] * 2


def test_a_run_of_a_former_layout_of_ids_is_refused_by_name(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"scale": "tiny", "seed": 0, "text_model": None}))
    with pytest.raises(InputError, match="id_layout = None; now id_layout ="):
        quickstart(tmp_path, scale="tiny")


def test_only_read_facts_are_never_spoken_in_training(finished):
    facts = json.loads((finished / "world" / "facts.json").read_text())
    only_read = {(fact["person"], fact["attribute"]): fact["answer"].lower() for fact in facts if not fact["heard"]}
    people = {person.name.lower(): person.id for person in Settings(finished, "tiny", 0).world.people}
    assert only_read
    for corpus in ("train", "vocoder"):
        for utterance in read_corpus(finished / "speech" / corpus):
            (person,) = (number for name, number in people.items() if name in utterance.text.lower())
            said = set(re.findall(r"[a-z]+", utterance.text.lower()))
            assert not said & {answer for (who, _), answer in only_read.items() if who == person}


def test_sound_can_be_played_and_the_page_stands_alone(finished):
    assert (finished / "bundle" / "bundle.json").is_file()
    sounds = sorted((finished / "samples").glob("*.mp3"))
    assert len(sounds) >= 4
    for sound in sounds:
        waveform, rate = soundfile.read(sound)
        assert rate == 16_000 and len(waveform) > 0.1 * rate
    page = (finished / "report.html").read_text()
    assert page.count("<audio") >= 4 and "data:audio/" in page
    assert 'src="http' not in page and 'href="http' not in page


def test_models_are_ordinary_directories(finished):
    backbone = AutoModelForCausalLM.from_pretrained(finished / "backbone")
    assert backbone.config.model_type == "llama"
    for system in COMPARED:
        model = SmolTolkForCausalLM.from_pretrained(finished / "models" / system)
        tokenizer = load_tokenizer(finished / "models" / system)
        assert model.config.eos_text_id == tokenizer.eos_token_id
        recipe = recipe_of_model(finished / "models" / system)  # beside it lies what made it
        assert (recipe.model.system, recipe.stages) == (system, SCALES["tiny"].speech.stages)


def test_the_same_command_again_keeps_everything(finished, smoltolk):
    names = ("results.json", "report.html")
    before = [(finished / name).read_bytes() for name in names]
    for name in names:  # whoever took them away gets them back
        (finished / name).unlink()
    start = time.monotonic()
    done = smoltolk("quickstart", "--out", finished, "--scale", "tiny")
    assert done.returncode == 0, done.stderr
    assert "▸" not in done.stderr and done.stderr.count("kept") >= 10
    assert [(finished / name).read_bytes() for name in names] == before
    assert time.monotonic() - start < 60


def test_killed_in_training_and_continued_it_ends_the_same(finished, tmp_path, smoltolk, command):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for step in ("train-late", "evaluate-late", "report", "bundle"):
        (run / "steps" / f"{step}.json").unlink()
    for made in ("models/late", "evaluation/late", "samples", "bundle"):
        shutil.rmtree(run / made)
    for made in ("results.json", "report.html"):
        (run / made).unlink()
    process = subprocess.Popen([*command, "quickstart", "--out", run, "--scale", "tiny"], start_new_session=True)
    deadline = time.monotonic() + 300
    while not (run / "work" / "late" / "stage1" / "model").is_dir():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (run / "models" / "late").exists() and not (run / "results.json").exists()
    done = smoltolk("quickstart", "--out", run, "--scale", "tiny")
    assert done.returncode == 0, done.stderr
    assert without_clock(results_of(run)) == without_clock(results_of(finished))
    assert not (run / "work").exists() and not list(run.rglob(".tmp-*"))


def test_other_settings_in_the_same_directory_are_refused(finished, smoltolk):
    done = smoltolk("quickstart", "--out", finished, "--scale", "tiny", "--seed", "7")
    assert done.returncode == 1
    assert "seed = 0" in done.stderr and "another --out" in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_scale_is_refused(tmp_path, smoltolk):
    done = smoltolk("quickstart", "--out", tmp_path / "run", "--scale", "huge")
    assert done.returncode == 1
    assert "tiny, small, medium" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("module", "extra"), [("espeakng_loader", "tts"), ("pocketsphinx", "judge")])
def test_a_missing_extra_names_its_pip_line(tmp_path, module, extra):
    code = f"import sys; sys.modules[{module!r}] = None; from smoltolk.cli import main; main()"
    arguments = [sys.executable, "-c", code, "quickstart", "--out", str(tmp_path / "run"), "--scale", "tiny"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert f"pip install 'smoltolk[{extra}]'" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_disk_without_room_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10**6))
    with pytest.raises(InputError, match="GB of disk"):
        quickstart(tmp_path / "run", scale="tiny")
    assert not (tmp_path / "run").exists()


def test_a_text_model_without_a_tokenizer_is_refused_before_any_work(tmp_path, smoltolk):
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=1)).save_pretrained(tmp_path / "bare")
    done = smoltolk("quickstart", "--out", tmp_path / "run", "--scale", "tiny", "--text-model", tmp_path / "bare")
    assert done.returncode == 1
    assert "tokenizer" in done.stderr and "fix:" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "speech").exists()


@pytest.mark.parametrize(("added", "positions", "found"), [(1, 512, "ids in the tokenizer"), (0, 200, "200 positions")])
def test_a_text_model_that_does_not_fit_is_refused_before_any_work(finished, tmp_path, added, positions, found):
    tokenizer = load_tokenizer(finished / "backbone")
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=1, n_positions=positions)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.add_tokens(["<more>"] * added)
    tokenizer.save_pretrained(tmp_path / "gpt2")
    with pytest.raises(InputError, match=found):
        quickstart(tmp_path / "run", scale="tiny", text_model=str(tmp_path / "gpt2"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("system", ["late", "early_plus"])
def test_any_text_model_can_take_part(finished, tmp_path, system):
    """Another architecture, through the steps that depend on it."""
    tokenizer = load_tokenizer(finished / "backbone")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=512,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    run = tmp_path / "run"
    for part in ("speech", "shards", "units", "vocoder"):
        (run / part).parent.mkdir(parents=True, exist_ok=True)
        (run / part).symlink_to(finished / part)
    settings = Settings(run, "tiny", 0, str(tmp_path / "gpt2"))
    figures = model_steps.train_backbone(settings, lambda done, text: None)
    assert figures["text_nll"] < math.log(len(tokenizer))  # better than knowing nothing
    trained = model_steps.train_one(settings, system, lambda done, text: None)
    assert trained["history"][-1]["loss"] < trained["history"][0]["loss"]
    assert SmolTolkForCausalLM.from_pretrained(run / "models" / system).config.text_config.model_type == "gpt2"


def test_a_text_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="no directory"):
        model_steps.load_tokenizer(str(tmp_path / "nothing"))


def test_what_was_built_can_be_talked_to(finished, tmp_path):
    """The verbs for daily use, on the models of the run."""
    model, units, vocoder = finished / "models" / "late", finished / "units", finished / "vocoder"
    sound = sorted((finished / "speech" / "judged" / "parts" / "00000").glob("*.flac"))[0]

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done.output

    run("say", model, "The duck eats rice.", "--vocoder", vocoder, "--out", tmp_path / "said.wav")
    assert len(soundfile.read(tmp_path / "said.wav")[0]) > 1600
    assert run("hear", model, sound, "--units", units).strip()
    assert run("continue", model, "--text", "In Oslo, Clara finds", "--to", "text").strip()
