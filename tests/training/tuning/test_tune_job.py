"""Instruction tuning from a file to a model: what it learns, what it keeps, and that a kill changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.inference.bundle import Bundle
from smoltolk.inference.lora import is_lora
from smoltolk.inference.part_files import was_tuned
from smoltolk.inference.parts import load_model
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.overview.writing import write_overview
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.training.loop.log import RunLog
from smoltolk.training.loop.settings import Logging
from smoltolk.training.tuning.places import check_dialogues_there
from smoltolk.training.tuning.settings import Amount, LoraSettings
from smoltolk.training.tuning.tune_job import TuneJob

LORA = LoraSettings(r=4)


class Killed(Exception):
    """By a test."""


@pytest.fixture
def job(talking: Path, dialogues: Path, phone_units_dir: Path) -> Callable[..., TuneJob]:
    def make(out: Path, **changes: Any) -> TuneJob:
        amount = Amount(**({"steps": 6, "rows_per_step": 2, "save_steps": 2} | changes.pop("amount", {})))
        given: dict[str, Any] = {"model": talking, "rows": dialogues, "units": phone_units_dir} | changes
        return TuneJob(given.pop("model"), given.pop("rows"), out, amount=amount, **given)

    return make


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder)[0].state_dict()


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("lora", [None, LORA])
def test_killed_and_gone_on_with(
    lora: LoraSettings | None, job: Callable[..., TuneJob], talking: Path, tmp_path: Path
) -> None:
    whole = job(tmp_path / "whole", lora=lora).run()
    assert whole["steps"] == 6 and whole["dialogues"] == 8 and not whole["rejected"]
    assert (whole["trained"] < whole["parameters"]) == (lora is not None)
    assert is_lora(tmp_path / "whole") == (lora is not None)

    def kill(step: float, text: str) -> None:
        if step == 5:
            raise Killed

    with pytest.raises(Killed):
        job(tmp_path / "parts", lora=lora).run(kill)
    assert list((tmp_path / "parts.work").rglob("checkpoint-4")) and not (tmp_path / "parts").exists()
    seen: list[float] = []
    figures = job(tmp_path / "parts", lora=lora).run(lambda step, text: seen.append(step))
    assert seen == [5, 6] and figures["loss"] == whole["loss"]
    assert same(tmp_path / "whole", tmp_path / "parts") and not same(tmp_path / "whole", talking)
    assert job(tmp_path / "parts", lora=lora).figures == figures
    logs = [list(RunLog(tmp_path / name / "log.jsonl")) for name in ("whole", "parts")]
    assert [line["step"] for line in logs[1]] == [line["step"] for line in logs[0]] == list(range(1, 7))
    assert all({"loss", "ids_per_second", "grad_norm/backbone", "seconds"} <= set(line) for line in logs[1])


def test_a_run_is_drawn_while_it_lasts(job: Callable[..., TuneJob], tmp_path: Path) -> None:
    def kill(step: float, text: str) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        job(tmp_path / "out", logging=Logging(log_steps=1, loggers=("none",))).run(kill)
    write_overview([tmp_path / "out.work"], tmp_path / "page.html")
    assert "out.work" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not (tmp_path / "out.work" / "record" / "tensorboard").exists()


def test_it_learns_answers_alone(job: Callable[..., TuneJob], talking: Path, tmp_path: Path) -> None:
    """The loss of answers falls; that the loss is theirs is the model's own of the labels of rows."""
    tuned = job(tmp_path / "tuned", amount={"steps": 12, "learning_rate": 3e-2})
    rows = tuned.rows()
    batch = torch.utils.data.default_collate([rows[number] for number in range(rows.num_in_epoch)])
    with torch.no_grad():
        before = load_model(talking)[0](**batch).loss
    tuned.run()
    with torch.no_grad():
        after = load_model(tmp_path / "tuned")[0](**batch).loss
    assert after < before - 0.5
    told = json.loads((tmp_path / "tuned" / "training.json").read_text())
    assert told["history"][0]["loss"] == pytest.approx(float(before), abs=0.3)
    assert {"text_loss", "speech_loss"} <= set(told["history"][0])
    assert was_tuned(tmp_path / "tuned") and not was_tuned(talking)


def test_frames_of_a_codec(
    job: Callable[..., TuneJob], make_codec_model: Callable[..., SmolTolkForCausalLM], codec: CodecUnitTokenizer,
    byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    make_codec_model().save_pretrained(tmp_path / "model")
    byte_tokenizer.save_pretrained(tmp_path / "model")
    monkeypatch.setattr("smoltolk.training.tuning.jobs.load_unit_tokenizer", lambda place: codec)
    amount = {"steps": 1, "row_length": 400}
    tuned = job(tmp_path / "out", model=tmp_path / "model", amount=amount, lora=LORA)
    row = next(row for row in map(tuned.rows().__getitem__, range(2)) if (row["codes"] >= 0).any())
    assert row["codes"].shape == (400, codec.num_codebooks - 1)
    assert tuned.run()["loss"] > 0


def test_recordings_are_encoded_once(
    job: Callable[..., TuneJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = job(tmp_path / "one").open()
    monkeypatch.setattr(
        "smoltolk.speech.units.encoder_units.EncoderUnitTokenizer.encode", lambda *_: pytest.fail("encoded again")
    )
    again = job(tmp_path / "two").open()
    assert all((one.chosen.input_ids == two.chosen.input_ids).all() for one, two in zip(first, again, strict=True))


def test_what_cannot_be_used_is_listed(
    job: Callable[..., TuneJob], dialogues: Path, recordings: list[Path], tmp_path: Path
) -> None:
    lines = dialogues.read_text(encoding="utf-8").splitlines()
    (tmp_path / "bad.wav").write_text("no sound")
    bad = [
        {"messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x" * 600}, {"role": "assistant", "content": "y"}]},
        {"messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "y"}],
         "audios": [str(tmp_path / "bad.wav")]},
    ]  # fmt: skip
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join([*lines, *map(json.dumps, bad)]), encoding="utf-8")
    figures = job(tmp_path / "out", rows=rows, amount={"steps": 1}).run()
    assert figures["dialogues"] == 8
    listed = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert [one["id"].rpartition("/")[2] for one in listed] == [
        "rows.jsonl:9",
        "bad.wav",
        "rows.jsonl:10",
        "rows.jsonl:11",
    ]


def test_from_a_lora(job: Callable[..., TuneJob], talking: Path, tmp_path: Path) -> None:
    job(tmp_path / "lora", lora=LORA, amount={"steps": 2}).run()
    # It is trained on, and stays a LoRA of the same model.
    job(tmp_path / "more", model=tmp_path / "lora", lora=LORA, amount={"steps": 2}).run()
    assert is_lora(tmp_path / "more") and not same(tmp_path / "more", tmp_path / "lora")
    assert json.loads((tmp_path / "more" / "start.json").read_text())["name"] == str(talking)
    # Or it goes into the weights, which then train.
    job(tmp_path / "full", model=tmp_path / "lora", amount={"steps": 1, "learning_rate": 1e-9}).run()
    assert not is_lora(tmp_path / "full")
    for name, value in weights(tmp_path / "full").items():
        torch.testing.assert_close(value, weights(tmp_path / "lora")[name], rtol=0, atol=1e-5)
    with pytest.raises(InputError, match="r=4,alpha=8"):
        job(tmp_path / "other", model=tmp_path / "lora", lora=LoraSettings(r=8)).run()


def test_a_model_that_learns_to_choose(job: Callable[..., TuneJob], tmp_path: Path) -> None:
    """Only answers' switches are predicted, and all that the model knew it still knows."""
    tuned = job(tmp_path / "out", predict_switch=True, amount={"steps": 1, "learning_rate": 1e-9})
    switch = tuned.config.id_space.switch
    labels = torch.cat([tuned.rows()[number]["labels"] for number in range(tuned.rows().num_in_epoch)])
    assert (labels == switch).sum() == 2  # spoken answers
    tuned.run()
    model, _ = load_model(tmp_path / "out")
    before = SmolTolkForCausalLM.from_pretrained(tuned.model_name).state_dict()
    assert model.config.predict_switch
    assert set(model.state_dict()) - set(before) == {"heads.switch.weight", "units.switch.weight"}
    for name, value in before.items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=1e-5)


def test_a_bundle_brings_its_units(bundle: Bundle, dialogues: Path, tmp_path: Path) -> None:
    check_dialogues_there(bundle.path, dialogues, None)
    tuning = TuneJob(bundle.path, dialogues, tmp_path / "out")
    named = TuneJob(bundle.path, dialogues, tmp_path / "out", units=bundle.units)
    heard = [[one.chosen.input_ids.tolist() for one in job.open()] for job in (tuning, named)]
    assert heard[0] == heard[1] and not tuning.rejected


def test_refused(
    job: Callable[..., TuneJob], make_talking: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="--units"):
        job(tmp_path / "out", units=None)
    other = make_talking(tmp_path / "other", unit_fingerprint="ab" * 32)
    with pytest.raises(InputError, match="trained with"):
        job(tmp_path / "out", model=other)
    with pytest.raises(InputError, match="one of them"):
        job(tmp_path / "out", amount={"epochs": 2})
    with pytest.raises(InputError, match="above 0"):
        job(tmp_path / "out", amount={"learning_rate": -1})
    with monkeypatch.context() as patch, pytest.raises(InputError, match="64 positions"):
        patch.setattr("smoltolk.training.tuning.jobs.longest_row", lambda config: 64)
        job(tmp_path / "out")
    job(tmp_path / "out", amount={"steps": 1}).run()
    with pytest.raises(InputError, match="another"):
        job(tmp_path / "out", amount={"steps": 2})
