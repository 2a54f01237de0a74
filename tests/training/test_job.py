"""Training runs by themselves: from files to a model directory, through kills and mistakes."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from smoltolk.common.devices import multiplies_bfloat16
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json, write_json
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.shards.parquet import read_shards
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.changes import Changes
from smoltolk.training.job import TrainingJob, shorter_runs
from smoltolk.training.presets import preset_named, text_recipe
from smoltolk.training.recipe import BackboneSize
from smoltolk.training.recipes.positional import positional_recipe
from smoltolk.training.recipes.tree import RunRecipe
from smoltolk.training.stages import rows_that_fit
from smoltolk.training.text_job import TextJob

FEW = Changes(steps=3, row_length=96, rows_per_step=2)


def job(backbone: Path, shards_dir: Path, out: Path, **options: Any) -> TrainingJob:
    return TrainingJob(positional_recipe(str(backbone), shards_dir, out, **{"changes": FEW, **options}))


def test_a_text_model_is_an_ordinary_directory(text: Path, backbone: Path, text_job: Callable) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(backbone), AutoTokenizer.from_pretrained(backbone)
    assert model.config.hidden_size == 32 and model.config.vocab_size == len(tokenizer)
    assert not backbone.with_name("model.work").exists()
    figures = text_job(text, backbone).figures
    assert figures is not None and figures["parameters"] > 0 and figures["ids"] == 2 * 2 * 64
    with pytest.raises(InputError, match="num_steps was 2, is 3"):
        text_job(text, backbone, steps=3)


def test_a_text_model_from_an_index_is_the_same_model(
    text: Path, backbone: Path, text_job: Callable, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def kill(step: float, note: str) -> None:
        raise Killed

    out, index = tmp_path / "model", tmp_path / "index"
    with pytest.raises(Killed):
        text_job(text, out, index=index).run(kill)
    assert any(index.glob("*/tokens.bin")) and (tmp_path / "model.work" / "tokenizer.json").is_file()
    text_job(text, out, index=index).run()
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (out / name).read_bytes() == (backbone / name).read_bytes(), name


def test_a_text_models_recipe_is_that_of_its_preset(text: Path, tmp_path: Path) -> None:
    assert TextJob(text, tmp_path / "model", size=BackboneSize(32, 2, 2, 300), steps=20).recipe == replace(
        text_recipe(20), bf16=multiplies_bfloat16("cpu")
    )


@pytest.mark.parametrize(
    "changes",
    [{"size": BackboneSize(30, 2, 2, 300)}, {"size": BackboneSize(32, 0, 2, 300)}, {"steps": 0}, {"learning_rate": 0.0},
     {"size": BackboneSize(32, 2, 2, 100)}, {"row_length": 0}],
)  # fmt: skip
def test_a_text_model_that_cannot_be(text: Path, text_job: Callable, tmp_path: Path, changes: dict) -> None:
    with pytest.raises(InputError):
        text_job(text, tmp_path / "out", **changes)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def trained(backbone: Path, shards_dir: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "model"
    steps: list[float] = []
    job(backbone, shards_dir, out, text=text).run(lambda step, note: steps.append(step))
    assert steps == [1, 2, 3]
    return out


def test_the_model_knows_its_units_and_its_text(trained: Path, shards_dir: Path, backbone: Path) -> None:
    units = read_shards(shards_dir).metadata
    model = SmolTolkForCausalLM.from_pretrained(trained)
    assert model.config.num_units == units.num_units
    assert read_json(trained / "training.json")["units"]["fingerprint"] == units.fingerprint
    assert AutoTokenizer.from_pretrained(trained).get_vocab() == AutoTokenizer.from_pretrained(backbone).get_vocab()
    assert sorted(path.name for path in trained.parent.iterdir()) == ["model"]


def test_the_same_command_is_done_already_another_is_refused(
    trained: Path, backbone: Path, shards_dir: Path, text: Path
) -> None:
    figures = job(backbone, shards_dir, trained, text=text).figures
    last = read_json(trained / "training.json")["history"][-1]
    assert figures is not None and {name: figures[name] for name in figures if name.endswith("loss")} == {
        name: last[name] for name in ("loss", "text_loss", "speech_loss")
    }
    with pytest.raises(InputError, match="seed was 0, is 1"):
        job(backbone, shards_dir, trained, text=text, seed=1)
    with pytest.raises(InputError, match=r"--text \(text was"):
        job(backbone, shards_dir, trained)
    with pytest.raises(InputError, match=r"another one: --steps \(recipe\.stage\d\.num_steps was \d, is \d\)\n"):
        job(backbone, shards_dir, trained, text=text, changes=Changes(steps=4, row_length=96, rows_per_step=2))


def test_a_killed_run_goes_on_after_its_finished_stage(
    backbone: Path, shards_dir: Path, text: Path, trained: Path, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def kill(step: float, note: str) -> None:
        if step == 2:
            raise Killed

    out = tmp_path / "model"
    with pytest.raises(Killed):
        job(backbone, shards_dir, out, text=text).run(kill)
    assert not out.exists() and (tmp_path / "model.work").is_dir()
    with pytest.raises(InputError, match="left by another"):
        job(backbone, shards_dir, out, text=text, seed=1).run()
    steps: list[float] = []
    job(backbone, shards_dir, out, text=text).run(lambda step, note: steps.append(step))
    assert steps == [2, 3]  # stage 1, one step, was whole
    whole, resumed = (SmolTolkForCausalLM.from_pretrained(path).state_dict() for path in (trained, out))
    assert all(whole[name].equal(resumed[name]) for name in whole)


@pytest.fixture
def stopped(backbone: Path, shards_dir: Path, tmp_path: Path) -> RunRecipe:
    """The recipe of a run that has begun, on shards and a text model of its own."""
    shutil.copytree(backbone, tmp_path / "text")
    shutil.copytree(shards_dir, tmp_path / "shards")
    tree = positional_recipe(str(tmp_path / "text"), tmp_path / "shards", tmp_path / "model", changes=FEW)
    TrainingJob(tree).open()
    (tmp_path / "model.work" / "stage1").mkdir()
    return tree


@pytest.mark.parametrize(
    ("hardware", "told"),
    [
        (
            {"fsdp": True, "rows_per_device": 1, "device": "cpu", "gradient_checkpointing": True, "attention": "eager"},
            "",
        ),
        ({"compile": True, "rows_per_device": "auto"}, ""),
        ({"autocast": None}, ""),
        ({"autocast": multiplies_bfloat16("cpu")}, ""),
        ({"autocast": not multiplies_bfloat16("cpu")}, "hardware.autocast, .*was (True|False), is (True|False)"),
        ({"dtype": "bfloat16"}, "dtype was None, is 'bfloat16'"),
    ],
)
def test_a_run_resumes_on_other_hardware_but_not_in_another_precision(
    stopped: RunRecipe, hardware: dict, told: str
) -> None:
    again = TrainingJob(replace(stopped, hardware=replace(stopped.hardware, **hardware)))
    if not told:
        again.open()
        return
    with pytest.raises(InputError, match=told):
        again.open()


def test_a_run_does_not_resume_on_what_has_changed_since(stopped: RunRecipe, tmp_path: Path) -> None:
    TrainingJob(stopped).open()
    path = next((tmp_path / "shards").glob("*.parquet"))
    table, held = pq.read_table(path), path.read_bytes()
    said = pa.array([text.as_py().swapcase() for text in table["text"]], table.schema.field("text").type)
    place = table.schema.get_field_index("text")
    pq.write_table(table.set_column(place, table.schema.field(place), said), path)
    with pytest.raises(InputError, match="the shards, which have changed since"):
        TrainingJob(stopped).open()
    path.write_bytes(held)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "text")
    model.model.norm.weight.data[0] += 1e-3
    model.save_pretrained(tmp_path / "text")
    with pytest.raises(InputError, match="the text model, which has changed since"):
        TrainingJob(stopped).open()


def test_a_run_of_an_earlier_version_resumes(stopped: RunRecipe, tmp_path: Path) -> None:
    record = read_json(tmp_path / "model.work" / "command.json")
    older = {name: value for name, value in record.items() if name not in ("shards", "text_model_content")}
    write_json(tmp_path / "model.work" / "command.json", older)
    TrainingJob(stopped).open()
    assert read_json(tmp_path / "model.work" / "command.json") == record


def test_what_a_kill_left_beside_the_model_is_cleared_away(backbone: Path, shards_dir: Path, tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (f".tmp-{dead.pid}-model", f".tmp-{dead.pid}-other"):
        (tmp_path / name).mkdir()
    job(backbone, shards_dir, tmp_path / "model").run()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".tmp-{dead.pid}-other", "model"]


def test_a_run_from_an_index_on_disk_is_the_same_run(
    backbone: Path, shards_dir: Path, text: Path, trained: Path, tmp_path: Path
) -> None:
    job(backbone, shards_dir, tmp_path / "model", text=text, index=tmp_path / "index").run()
    assert any((tmp_path / "index").glob("*/tokens.bin"))
    memory, disk = (SmolTolkForCausalLM.from_pretrained(path).state_dict() for path in (trained, tmp_path / "model"))
    assert all(memory[name].equal(disk[name]) for name in memory)
    assert job(backbone, shards_dir, tmp_path / "model", text=text).figures is not None  # nor is it another command


def test_a_run_that_never_began_blocks_nothing(backbone: Path, shards_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 8 ids"):
        job(backbone, shards_dir, tmp_path / "model", changes=Changes(steps=2, row_length=4)).run()
    with pytest.raises(InputError, match="multiple of those of a forward pass"):
        job(backbone, shards_dir, tmp_path / "model", changes=Changes(steps=2, rows_per_step=5), device_rows=2).run()


def test_what_does_not_fit_is_told_before_anything_is_written(
    backbone: Path, shards_dir: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = SimpleNamespace(fingerprint="0" * 64)
    monkeypatch.setattr("smoltolk.training.job.load_unit_tokenizer", {str(tmp_path / "others"): others}.__getitem__)
    for error, message, options in (
        (InputError, "late, early, early_plus", {"system": "fusion"}),
        (InputError, "150m", {"preset": "7b"}),
        (InputError, "one tokenizer", {"units": tmp_path / "others"}),
        (NotFoundError, "no file", {"text": tmp_path / "nothing.txt"}),
        (InputError, "1 or more", {"device_rows": 0}),
    ):
        with pytest.raises(error, match=message):
            job(backbone, shards_dir, tmp_path / "out", **options)
    shutil.copytree(backbone, tmp_path / "dumb")
    (tmp_path / "dumb" / "tokenizer.json").unlink()
    (tmp_path / "dumb" / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match="tokenizer"):
        job(tmp_path / "dumb", shards_dir, tmp_path / "out")
    with pytest.raises(NotFoundError, match="parquet"):
        job(backbone, tmp_path, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dumb"]


def test_little_speech_and_short_recordings_with_long_runs_are_noticed(
    backbone: Path, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Changes(spans=SpanLengths(text=(30, 40), speech=(10, 20)))
    little, spans = job(backbone, shards_dir, tmp_path / "out", changes=long).advice
    assert "1 minutes of speech are little" in little and "--spans 2-6,2-6" in spans
    wide = Changes(row_length=4096)
    assert "made for 2,048 positions" in job(backbone, shards_dir, tmp_path / "out", changes=wide).advice[1]
    monkeypatch.setattr("smoltolk.training.job._LITTLE_SPEECH", 10.0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert ["--nproc-per-node 4" in note for note in job(backbone, shards_dir, tmp_path / "out").advice] == [True]
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert job(backbone, shards_dir, tmp_path / "out").advice == []


@pytest.mark.parametrize("words", range(1, 12))
def test_runs_that_are_advised_fit_and_are_shorter_than_those_that_do_not(words: int) -> None:
    """Whatever is advised would not be advised again, so it is never what is set already."""
    fewest = [int(number) for number in re.findall(r"(\d+)-\d+", shorter_runs(words))]
    assert (sum(fewest) <= words and len(fewest) == 2) if words > 1 else not fewest


def test_what_an_earlier_version_left_is_refused_by_name(
    trained: Path, backbone: Path, shards_dir: Path, text: Path, tmp_path: Path
) -> None:
    """Ids have moved: neither a model nor checkpoints of the former layout are what the same command makes now."""
    shutil.copytree(trained, tmp_path / "model")
    record = read_json(trained / "made.json")
    older = {key: value for key, value in record["command"].items() if key != "id_layout"}
    write_json(tmp_path / "model" / "made.json", {**record, "command": older})
    write_json(tmp_path / "other.work" / "command.json", older)
    (tmp_path / "other.work" / "stage1").mkdir()
    layout = r"another one: the layout of ids in this version of smoltolk \(id_layout was None, is \d\)\n"
    with pytest.raises(InputError, match=layout):
        job(backbone, shards_dir, tmp_path / "model", text=text)
    with pytest.raises(InputError, match=layout):
        job(backbone, shards_dir, tmp_path / "other", text=text).run()


def test_a_text_model_must_fit_its_tokenizer_and_the_rows(backbone: Path, shards_dir: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    tokenizer.add_tokens(["<one>", "<two>"])
    shutil.copytree(backbone, tmp_path / "longer")
    tokenizer.save_pretrained(tmp_path / "longer")
    with pytest.raises(InputError, match="302 ids in the tokenizer, 300 in the text model") as error:
        job(tmp_path / "longer", shards_dir, tmp_path / "out")
    assert "resize_token_embeddings" in error.value.fix
    config = GPT2Config(vocab_size=300, n_embd=32, n_layer=1, n_head=2, n_positions=80, eos_token_id=0, bos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "short")
    AutoTokenizer.from_pretrained(backbone).save_pretrained(tmp_path / "short")
    with pytest.raises(InputError, match="rows of 96 ids, 80 positions") as error:
        job(tmp_path / "short", shards_dir, tmp_path / "out")
    assert "--row-length 80" in error.value.fix
    job(tmp_path / "short", shards_dir, tmp_path / "out", changes=Changes(steps=2, row_length=80, rows_per_step=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["longer", "short"]


def test_rows_of_a_pass_share_out_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = preset_named("150m").recipe
    assert rows_that_fit(recipe) == 8
    assert rows_that_fit(preset_named("small").recipe) == 5
    assert rows_that_fit(Changes(rows_per_step=6, row_length=4096).apply(recipe)) == 3
    assert rows_that_fit(Changes(rows_per_step=6, row_length=100_000).apply(recipe)) == 1
    monkeypatch.setenv("WORLD_SIZE", "128")
    assert rows_that_fit(recipe) == 4
