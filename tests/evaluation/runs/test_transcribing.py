"""Recognition and synthesis in whole runs, and with a model whose answers are known."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_jsonl
from smoltolk.data.corpora.speak import speak
from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.data.shards.prepare import prepare
from smoltolk.evaluation.runs import evaluating
from smoltolk.evaluation.runs.evaluating import evaluate
from smoltolk.evaluation.runs.presets import rule_named
from smoltolk.evaluation.runs.request import Request
from smoltolk.evaluation.runs.results import judge_again
from smoltolk.evaluation.runs.transcribing import Transcribing, Voice, quality_results, transcription_results
from smoltolk.evaluation.tasks.items import SoundFile
from smoltolk.evaluation.tasks.said_texts import SaidText
from smoltolk.model.ids import IdSpace
from smoltolk.report.task_table import task_markdown
from smoltolk.speech.audio import SAMPLE_RATE, measure
from smoltolk.speech.recognition.error_rate import normalise
from smoltolk.speech.synthesis.espeak_synthesis import espeak_available, voices
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.griffin_lim import GriffinLimVocoder

TEXTS = ("The old fox lives in the forest.", "Mia has a red kite.", "It rains.")
QUALITY = """
import json, sys, wave
for line in sys.stdin.read().splitlines():
    print(json.dumps({"path": line, "seconds": wave.open(line).getnframes() / 16000}))
"""


@contextmanager
def no_bars(title: str, total: float, unit: str) -> Iterator[Any]:
    class Bar:
        def advance(self, count: float = 1) -> None: ...

    yield Bar()


class Parrot:
    """Answers prompts that it knows with fixed ids, one of them without an end."""

    def __init__(self, answers: dict[tuple[int, ...], list[int]], endless: int):
        self.answers, self.endless, self.training = answers, endless, False

    def parameters(self) -> Iterator[torch.Tensor]:
        yield torch.zeros(1)

    def train(self, mode: bool = True) -> Parrot:
        return self

    eval = train

    def generate(self, input_ids: Any, attention_mask: Any, eos_token_id: int, **_: Any) -> torch.Tensor:
        rows = []
        for ids, mask in zip(input_ids.tolist(), attention_mask.tolist(), strict=True):
            prompt = tuple(i for i, m in zip(ids, mask, strict=True) if m)
            answer = self.answers[prompt]
            last = answer[-1] if list(self.answers).index(prompt) == self.endless else eos_token_id
            rows.append([*answer, last])
        longest = max(map(len, rows))
        padded = [row + [row[-1]] * (longest - len(row)) for row in rows]
        return torch.cat([input_ids, torch.tensor(padded)], 1)


class Tones:
    """Says as many hundredths of a second as there are units."""

    sample_rate, frame_rate = SAMPLE_RATE, 25.0

    def synthesize_batch(self, units: Any, durations: Any = None, seed: int = 0) -> list[np.ndarray]:
        return [np.full(160 * len(one), 0.1, np.float32) for one in units]


class Counts:
    """Hears how many hundredths of a second there are."""

    name = "counts"

    def transcribe_batch(self, waveforms: Any, sample_rate: int = SAMPLE_RATE) -> list[str]:
        return [{3: TEXTS[0], 2: "Mia has a kite kite"}.get(len(one) // 160, "") for one in waveforms]


def test_recognition_item_by_item(space: IdSpace, tokenizer: PreTrainedTokenizerFast) -> None:
    heard = {0: np.array([1, 2]), 1: np.array([3]), 2: np.array([4, 5, 6])}
    written = (TEXTS[0], "Mia has red kites.", "It rains.")
    answers = {
        tuple(recognition_prompt(space, heard[k]).input_ids.tolist()): tokenizer(written[k])["input_ids"] for k in heard
    }
    items = [SaidText(str(k), TEXTS[k], units=heard[k]) for k in heard]
    items += [
        SaidText("empty", "A dog.", units=np.zeros(0, np.int64)),
        SaidText("silent", "..!", units=heard[0]),
        SaidText("unheard", "A dog."),
    ]
    records = Transcribing(Parrot(answers, endless=2), tokenizer, space).recognise(items, 40)
    assert [record["error"] for record in records] == [
        None, None, None, "a recording without a unit", "a text without a word", "a text without a recording",
    ]  # fmt: skip
    first, second, third = records[:3]
    assert first["hypothesis"] == TEXTS[0] and first["units"] == [1, 2] and first["most"] == 40
    assert (second["words"], second["word_errors"]) == (5, 2)
    assert [record["ended"] for record in records[:3]] == [True, True, False]
    found = transcription_results("recognition", records, seed=0)
    assert (found["items"], found["scored"], sum(found["failures"].values())) == (6, 3, 3)
    assert found["wer"]["errors"] == 2 + third["word_errors"] and found["wer"]["of"] == 14
    assert found["no_end"] == pytest.approx(1 / 3)
    timed = [{**record, "seconds": 0.5} for record in records[:3]]
    assert transcription_results("recognition", timed, seed=0)["units_per_second"] == pytest.approx(6 / 1.5)
    with pytest.raises(InputError, match="without a unit"):
        transcription_results("recognition", records[3:4], seed=0)
    alone = transcription_results("recognition", records[:1], seed=0)["wer"]
    assert alone["value"] == 0 and alone["low"] is None


def test_synthesis_item_by_item(space: IdSpace, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    spoken = ([1, 2, 3], [4, 5], [])
    answers = {
        tuple(synthesis_prompt(space, tokenizer(text)["input_ids"]).input_ids.tolist()): [
            *(space.speech_offset + unit for unit in units)
        ]
        for text, units in zip(TEXTS, spoken, strict=True)
    }
    items = [SaidText("mute", "?"), *(SaidText(str(k), text) for k, text in enumerate(TEXTS))]
    items[1] = replace(items[1], sound=SoundFile(Path("known.wav"), "0"))
    voice = Voice(Tones(), Counts(), tmp_path)
    records = Transcribing(Parrot(answers, endless=1), tokenizer, space, voice=voice).speak(items, 7, 40)
    assert records[0]["error"] == "a text without a word" and "sound" not in records[0]
    assert [record["units"] for record in records[1:]] == [*map(list, spoken)]
    assert [record["ended"] for record in records[1:]] == [True, False, True]
    assert [record["hypothesis"] for record in records[1:]] == [TEXTS[0], "Mia has a kite kite", ""]
    assert [record["word_errors"] for record in records[1:]] == [0, 1, 2]
    assert [record["sound"] for record in records[1:]] == [f"said/{number:06d}.wav" for number in (8, 9, 10)]
    assert [measure(tmp_path / record["sound"]).seconds for record in records[1:]] == pytest.approx([0.03, 0.02, 0.2])
    assert records[1]["recording"] == str(Path("known.wav").absolute()) and records[2]["recording"] is None
    script = tmp_path / "q.py"
    script.write_text(QUALITY)
    command = shlex.join([sys.executable, str(script)])
    measured = quality_results(tmp_path, records, 0, command)
    assert measured is not None and measured["means"]["seconds"]["value"] == pytest.approx(0.25 / 3)
    script.unlink()
    assert quality_results(tmp_path, records, 0, command) == measured == quality_results(tmp_path, records, 0)
    with pytest.raises(InputError, match="1 recordings, 3 wav files"):
        quality_results(tmp_path, records, 0, f"{sys.executable} -c '' {{references}}")


@pytest.fixture(scope="module")
def short_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three texts, spoken."""
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    place = tmp_path_factory.mktemp("short") / "corpus"
    (voice,) = voices(1, seed=0, split="seen")
    speak([(str(k), text, voice) for k, text in enumerate(TEXTS)], place, source="texts", workers=0)
    return place


@pytest.fixture
def request_of(
    model_dir: Path,
    short_corpus: Path,
    phone_units_dir: Path,
    ctc_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Request]:
    """``request_of(tasks=["synthesis"])``: a random model, a vocoder and a judge that have learned nothing."""
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))
    units = load_unit_tokenizer(phone_units_dir)
    GriffinLimVocoder(units.num_units, units.frame_rate, units.fingerprint, width=8).save(tmp_path / "vocoder")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))

    def make(**changes: Any) -> Request:
        data = {"recognition": short_corpus, "synthesis": tmp_path / "texts.txt"}
        request = Request(str(model_dir), ["recognition", "synthesis"], tmp_path / "run", data, units=phone_units_dir)
        return replace(request, **{"vocoder": tmp_path / "vocoder", "judge": str(ctc_dir), **changes})

    return make


def measured(request: Request) -> dict[str, Any]:
    found = evaluate(request, no_bars)
    assert found is not None and json.loads((request.out / "results.json").read_text()) == found
    return found


def test_a_run_is_what_jiwer_counts_and_is_judged_again(request_of: Callable, tmp_path: Path, ctc_dir: Path) -> None:
    script = tmp_path / "q.py"
    script.write_text(QUALITY)
    quality = shlex.join([sys.executable, str(script)])
    results = measured(request_of(quality=quality))
    for name, count in (("recognition", 3), ("synthesis", 3)):
        found = results["transcription"][name]
        records = list(read_jsonl(tmp_path / "run" / f"{name}.jsonl"))
        assert found["items"] == found["scored"] == len(records) == count
        said, heard = ([normalise(record[key]) for record in records] for key in ("reference", "hypothesis"))
        assert found["wer"]["value"] == pytest.approx(jiwer.wer(said, heard))
        assert found["cer"]["value"] == pytest.approx(jiwer.cer(said, heard))
        for rate in (found["wer"], found["cer"]):
            assert rate["low"] <= rate["value"] <= rate["high"]
        assert found["wer"]["errors"] == sum(record["word_errors"] for record in records)
        assert found["no_end"] == sum(not record["ended"] for record in records) / count
        assert found["units_per_second"] > 0
        assert all(len(record["units"]) for record in records) or name == "synthesis"
    seconds = [measure(path).seconds for path in (tmp_path / "run" / "said").iterdir()]
    mean = results["transcription"]["synthesis"]["quality"]["means"]["seconds"]
    assert len(seconds) == 3 and mean["value"] == pytest.approx(np.mean(seconds)) and mean["n"] == 3
    page = task_markdown(results)
    for text in ("## recognition:", "| WER, % | ", "| seconds | ", f"judge: {ctc_dir}", "3 utterances", "no end"):
        assert text in page
    moved = Path(shutil.move(tmp_path / "run", tmp_path / "elsewhere"))
    assert judge_again(moved, [rule_named("ours")]) == results
    again = judge_again(moved, [rule_named("ours")], judge=str(ctc_dir))["transcription"]["synthesis"]
    assert again == results["transcription"]["synthesis"]  # the same ears
    for record in (rows := list(read_jsonl(moved / "synthesis.jsonl"))):
        record["hypothesis"] = record["reference"]
    (moved / "synthesis.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert judge_again(moved, [rule_named("ours")])["transcription"]["synthesis"]["wer"]["value"] == 0
    heard = judge_again(moved, [rule_named("ours")], judge=str(ctc_dir))["transcription"]["synthesis"]
    assert heard == again


def test_stored_units_are_written_down_alike(
    request_of: Callable, short_corpus: Path, phone_units_dir: Path, tmp_path: Path
) -> None:
    prepare(short_corpus, phone_units_dir, tmp_path / "shards", workers=0)
    stored = {"units": None, "tasks": ["recognition"]}
    runs = {
        "encoded": request_of(tasks=["recognition"]),
        "looked up": request_of(**stored, shards=tmp_path / "shards"),
        "shards alone": request_of(**stored, data={}, shards=tmp_path / "shards"),
        "shards as data": request_of(**stored, data={"recognition": tmp_path / "shards"}),
    }
    found = {}
    for name, request in runs.items():
        measured(replace(request, out=tmp_path / name))
        rows = list(read_jsonl(tmp_path / name / "recognition.jsonl"))
        found[name] = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
    assert all(one == found["encoded"] for one in found.values())


def test_a_killed_run_goes_on(request_of: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(evaluating, "CHUNK", 2)
    request = request_of(tasks=["synthesis"])

    @contextmanager
    def killed(title: str, total: float, unit: str) -> Iterator[Any]:
        class Bar:
            def advance(self, count: float = 1) -> None:
                if count == 1:  # the second chunk
                    raise KeyboardInterrupt

        yield Bar()

    with pytest.raises(KeyboardInterrupt):
        evaluate(request, killed)
    (part,) = (request.out / ".synthesis").iterdir()
    before = [json.loads(line) for line in part.read_text().splitlines()]
    found = measured(request)["transcription"]["synthesis"]
    rows = list(read_jsonl(request.out / "synthesis.jsonl"))
    assert rows[:2] == before and [row["sound"] for row in rows] == [f"said/{k:06d}.wav" for k in range(3)]
    monkeypatch.setattr(evaluating, "load_model", None)  # neither model nor voice are needed any more
    monkeypatch.setattr("smoltolk.evaluation.runs.voices.load_sound_parts", None)
    assert measured(request)["transcription"]["synthesis"] == found
    with pytest.raises(InputError, match="holds another one"):
        evaluate(replace(request, judge="pocketsphinx"), no_bars)


def test_units_are_drawn_at_a_temperature(request_of: Callable, tmp_path: Path) -> None:
    """With a seed: the same again, and other units than the likeliest ones."""
    said = []
    for number, temperature in enumerate((0.0, 2.0, 2.0)):
        request = request_of(tasks=["synthesis"], out=tmp_path / f"t{number}", temperature=temperature)
        measured(request)
        about = json.loads((request.out / "run.json").read_text())["synthesis"]
        assert about.get("temperature", 0.0) == temperature
        said.append([record["units"] for record in read_jsonl(request.out / "synthesis.jsonl")])
    assert said[0] != said[1] == said[2]


def test_pocketsphinx_hears_what_may_be_said(request_of: Callable, tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    (tmp_path / "may.txt").write_text("yes\n")
    request = request_of(tasks=["synthesis"], judge="pocketsphinx", judge_texts=tmp_path / "may.txt")
    results = measured(request)
    heard = {word for row in read_jsonl(request.out / "synthesis.jsonl") for word in row["hypothesis"].split()}
    assert heard <= {"yes"} and results["transcription"]["synthesis"]["judge"] == "pocketsphinx"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocoder": None}, "--vocoder"),
        ({"vocoder": Path("nowhere")}, "nowhere"),
        ({"judge": "nobody/there/at/all"}, "nobody"),
        ({"judge_texts": Path("nowhere.txt")}, "nowhere"),
        ({"quality": "no-such-program"}, "no-such-program"),
        ({"tasks": ["recognition"], "quality": "cat"}, "synthesis is not among"),
        ({"tasks": ["recognition"], "units": None}, "neither of the two"),
        ({"data": {}}, "corpus directory or shards"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    changes: dict[str, Any], message: str, request_of: Callable, model_dir: Path, tmp_path: Path
) -> None:
    hollow = tmp_path / "hollow"
    shutil.copytree(model_dir, hollow, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises((InputError, NotFoundError), match=message):
        evaluate(request_of(model=str(hollow), **changes), no_bars)
    assert not (tmp_path / "run").exists()


def test_a_vocoder_of_other_units_is_refused(request_of: Callable, tmp_path: Path) -> None:
    GriffinLimVocoder(10, 25.0, "f" * 64, width=8).save(tmp_path / "other")
    with pytest.raises(InputError, match="trained with"):
        evaluate(request_of(vocoder=tmp_path / "other"), no_bars)
    assert not (tmp_path / "run").exists()


def test_only_what_was_spoken_is_heard_again(request_of: Callable, ctc_dir: Path) -> None:
    request = request_of(tasks=["recognition"], limit=2)
    assert measured(request)["transcription"]["recognition"]["items"] == 2
    for changes in ({"judge": str(ctc_dir)}, {"quality": "cat"}):
        with pytest.raises(InputError, match="no synthesis in"):
            judge_again(request.out, [rule_named("ours")], **changes)
