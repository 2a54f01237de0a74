"""Whole runs: from folders as people have them to results, on a small model that has learned nothing."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaForCausalLM

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_jsonl, write_json, write_jsonl
from smoltolk.data.corpora.recordings import collect
from smoltolk.data.shards.prepare import prepare
from smoltolk.evaluation.runs import answering
from smoltolk.evaluation.runs import run as runs
from smoltolk.evaluation.runs.evaluating import evaluate
from smoltolk.evaluation.runs.presets import rule_named
from smoltolk.evaluation.runs.request import Request
from smoltolk.evaluation.runs.results import about_stored, judge_again
from smoltolk.evaluation.runs.units_of import EncodedUnits
from smoltolk.evaluation.tasks.items import SoundFile
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.report.task_plot import task_svg
from smoltolk.report.task_table import task_markdown, text_rows
from smoltolk.speech.audio import save
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, espeak_available
from smoltolk.speech.units.kinds import load_unit_tokenizer

STORIES = {
    "one": ("Anna has a dog.", "It sleeps.", "It rains."), "two": ("Frank eats bread.", "He is fine.", "A dog."),
    "three": ("It rains again.", "Anna is wet.", "Bread is good."),
}  # fmt: skip


class NoBar:
    def advance(self, count: float = 1) -> None: ...

    def note(self, text: str) -> None: ...


@contextmanager
def no_bars(title: str, total: float, unit: str) -> Iterator[Any]:
    yield NoBar()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of stories, spoken part by part, and of words in the official tree."""
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    root = tmp_path_factory.mktemp("data")
    synthesizer = EspeakSynthesizer()
    (voice,) = synthesizer.voices(1, 0, "seen")
    for base, texts in STORIES.items():
        for part, text in zip(("mutual", "correct", "incorrect"), texts, strict=True):
            (root / "tSC").mkdir(exist_ok=True)
            save(root / "tSC" / f"{base}_{part}.wav", synthesizer.speak(text, voice).waveform)
            (root / "tSC" / f"{base}_{part}.txt").write_text(text)
    rows = ["filename,id,voice,frequency,correct"]
    for number, words in enumerate((("dog", "dag"), ("bread", "brid"), ("rain", "roon"))):
        for correct, word in zip((1, 0), words, strict=True):
            (root / "sLM21" / "lexical" / "dev").mkdir(parents=True, exist_ok=True)
            save(root / "sLM21" / "lexical" / "dev" / f"{word}.wav", synthesizer.speak(word, voice).waveform)
            rows.append(f"{word},{number},A,{'oov' if number else 'high'},{correct}")
    (root / "sLM21" / "lexical" / "dev" / "gold.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def request_of(
    model_dir: Path, data: Path, phone_units_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Request]:
    """``request_of(tasks=["ssc"])``, with a cache of its own."""
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))

    def make(**changes: Any) -> Request:
        request = Request(str(model_dir), ["tsc", "swuggy"], tmp_path / "run", {"": data}, units=phone_units_dir)
        return replace(request, **changes)

    return make


def measured(request: Request) -> dict[str, Any]:
    found = evaluate(request, no_bars)
    assert found is not None
    return found


def test_a_run_tells_all_of_itself(request_of: Callable, model_dir: Path, phone_units_dir: Path) -> None:
    request = request_of()
    results = measured(request)
    assert json.loads((request.out / "results.json").read_text()) == results
    assert results["units"]["fingerprint"] == load_unit_tokenizer(phone_units_dir).fingerprint
    assert len(results["model"]["fingerprint"]) == 32 and results["version"]
    stories = results["tasks"]["tsc"]
    assert list(stories["rules"]) == ["ours", "ours,normalisation=sum"] and stories["failures"] == {}
    assert list(stories["rules"]["ours"]["cells"]) == ["S->S", "T->T", "S->T", "T->S"]
    assert {cell["n"] for cell in stories["rules"]["ours"]["cells"].values()} == {3}
    words = results["tasks"]["swuggy"]["rules"]["ours"]["cells"]["lexical dev"]
    assert words["n"] == 3 and words["in_vocabulary"]["n"] == 1
    lines = (request.out / "submission" / "lexical" / "dev.txt").read_text().splitlines()
    scores = {stem: float(score) for stem, score in map(str.split, lines)}
    pairs = [(scores[good], scores[bad]) for good, bad in (("dog", "dag"), ("bread", "brid"), ("rain", "roon"))]
    points = [0.5 if right == wrong else right > wrong for right, wrong in pairs]
    assert words["accuracy"] == pytest.approx(sum(points) / 3)
    page = task_markdown(results)
    for text in ("Topic StoryCloze", "LF2AR 2B 87.6 (lf2ar)", "| S->T | 3 |", "in vocabulary", "rule `ours`", "fed:"):
        assert text in page
    assert task_svg(results).startswith("<svg") and "tsc  S → T" in task_svg(results)


def test_a_stored_run_by_another_rule_is_the_same_as_a_run_by_it(request_of: Callable, tmp_path: Path) -> None:
    request = request_of(rules=["slamkit,joint=kept"])
    measured(request)
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(request.out, tmp_path / "elsewhere" / "run")
    assert about_stored(Path(moved))["rule"] == "slamkit,joint=kept"
    for name in ("ours", "ours,scope=whole,normalisation=sum", "ours,first=3,ties=first", "ours,score_end=yes"):
        again = judge_again(Path(moved), [rule_named(name)])
        direct = measured(request_of(rules=[name], out=tmp_path / name))
        for task in ("tsc", "swuggy"):
            assert again["tasks"][task]["rules"][name] == direct["tasks"][task]["rules"][name]
    with pytest.raises(InputError, match="begin=none"):
        judge_again(Path(moved), [rule_named("smoltolk-release")])
    with pytest.raises(NotFoundError, match=r"run\.json"):
        judge_again(tmp_path, [rule_named("ours")])


def test_a_killed_run_goes_on_and_processes_share_it(request_of: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(runs, "CHUNK", 2)
    expected = measured(request_of(tasks=["tsc"]))
    out = tmp_path / "again"
    request = request_of(tasks=["tsc"], out=out)

    @contextmanager
    def killed(title: str, total: float, unit: str) -> Iterator[Any]:
        class Bar(NoBar):
            def advance(self, count: float = 1) -> None:
                if len(list((out / ".tsc").glob("*.jsonl"))) == 2:
                    raise KeyboardInterrupt

        yield Bar()

    with pytest.raises(KeyboardInterrupt):
        evaluate(request, killed)
    before = {path: path.stat().st_mtime_ns for path in (out / ".tsc").iterdir()}
    assert len(before) == 2 and not (out / "tsc.jsonl").exists()
    for rank in ("1", "0"):  # the last chunks by two processes, the first of which waits for the second
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        found = evaluate(request, no_bars)
    assert found == expected and not (out / ".tsc").exists()
    records = list(read_jsonl(out / "tsc.jsonl"))
    assert records == list(read_jsonl(tmp_path / "run" / "tsc.jsonl")) and len(records) == 12
    stamp = (out / "tsc.jsonl").stat().st_mtime_ns
    monkeypatch.setattr("smoltolk.evaluation.runs.evaluating.load_model", None)  # not needed any more
    monkeypatch.delenv("WORLD_SIZE")
    assert evaluate(request, no_bars) == expected and (out / "tsc.jsonl").stat().st_mtime_ns == stamp
    with pytest.raises(InputError, match="holds another one"):
        evaluate(replace(request, bf16=True), no_bars)


def test_units_are_made_once(request_of: Callable, phone_units_dir: Path, data: Path, tmp_path: Path) -> None:
    made = EncodedUnits(load_unit_tokenizer(phone_units_dir))
    groups = [(SoundFile(path, path.stem),) for path in sorted((data / "tSC").glob("*.wav"))]
    copies = [(SoundFile(Path(shutil.copy(group[0].path, tmp_path)), "other"),) for group in groups]
    start = time.perf_counter()
    first = made.of([*groups, groups[0]])
    middle = time.perf_counter()
    again = EncodedUnits(load_unit_tokenizer(phone_units_dir))
    second_start = time.perf_counter()
    second = again.of(copies)
    assert made.num_made == len(groups) and again.num_made == 0
    assert middle - start > 5 * (time.perf_counter() - second_start)  # benchmarks/evaluation.py has the figure
    for one, other in zip(first, second, strict=False):
        assert not isinstance(one, str) and not isinstance(other, str) and (one.units == other.units).all()
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    told = again.of([(SoundFile(broken, "broken"),), groups[0]])
    assert isinstance(told[0], str) and not isinstance(told[1], str)


def test_stored_units_give_the_same_scores(request_of: Callable, phone_units_dir: Path, data: Path, tmp_path: Path):
    collect(data / "tSC", tmp_path / "corpus", workers=0)
    prepare(tmp_path / "corpus", phone_units_dir, tmp_path / "shards", workers=0)
    expected = measured(request_of(tasks=["tsc"]))["tasks"]["tsc"]
    stored = request_of(tasks=["tsc"], out=tmp_path / "stored", units=None, shards=tmp_path / "shards")
    found = measured(stored)["tasks"]["tsc"]
    assert found["rules"] == expected["rules"]


def test_joined_recordings_are_encoded_as_one(request_of: Callable) -> None:
    results = measured(request_of(tasks=["tsc"], rules=["slamkit"]))
    records = [one for one in read_jsonl(request_of().out / "tsc.jsonl") if one["cell"] == "S->S"]
    kept = request_of(tasks=["tsc"], rules=["slamkit,joint=kept"], out=request_of().out.parent / "kept")
    measured(kept)
    apart = [one for one in read_jsonl(kept.out / "tsc.jsonl") if one["cell"] == "S->S"]
    assert results["tasks"]["tsc"]["failures"] == {}
    for one, other in zip(records, apart, strict=True):
        near = len(other["nll"][0][0]) + len(other["before"][0][0])
        assert abs(len(one["nll"][0][0]) + len(one["before"][0][0]) - near) <= 4  # a few units at the joint differ


def test_texts_are_spoken_where_no_recording_is(request_of: Callable, tmp_path: Path) -> None:
    rows = ["pair_id,text,type,correctness"]
    for name, (prompt, right, wrong) in STORIES.items():
        rows += [f"{name},{prompt},prompt,-", f"{name},{right},continuation,correct"]
        rows.append(f"{name},{wrong},continuation,incorrect")
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "t.csv").write_text("\n".join(rows) + "\n")
    request = request_of(tasks=["ssc"], data={"ssc": tmp_path / "table"}, synthesizer="espeak")
    found = measured(request)["tasks"]["ssc"]
    assert found["failures"] == {} and len(found["rules"]["ours"]["cells"]) == 4


def test_questions_are_drawn_with_all_their_directions(request_of: Callable) -> None:
    results = measured(request_of(tasks=["tsc"], limit=2, seed=5))
    task = results["tasks"]["tsc"]
    assert task["items"] == 8 and "2 of 3 questions" in task["notes"][-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": None}, "neither of the two"),
        ({"tasks": ["salmon"]}, "SALMon"),
        ({"tasks": ["tsc"], "data": {}}, "no --data"),
        ({"tasks": ["world"]}, "--questions"),
        ({"tasks": ["text/no_such_task"], "data": {"text": Path()}}, "no_such_task"),
        ({"rules": ["theirs"]}, "theirs"),
        ({"tasks": []}, "a task at least"),
        ({"rules": ["ours", "lf2ar"]}, "prefix=10"),
        ({"rules": ["ours,scope=whole"], "keep_prompts": False}, "no-prompts"),
        ({"before": "nowhere/at/all"}, "none among the tasks"),
        ({"tasks": ["text/tiny"], "before": "nowhere/at/all"}, "no directory nowhere/at/all"),
        ({"synthesizer": "nobody/there/at/all", "tasks": ["ssc"]}, "nobody"),
        ({"tasks": ["llama-questions"]}, "no folder"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    changes: dict[str, Any], message: str, request_of: Callable, model_dir: Path, tmp_path: Path
) -> None:
    hollow = tmp_path / "hollow"
    shutil.copytree(model_dir, hollow, ignore=shutil.ignore_patterns("*.safetensors"))
    if any(name.startswith("text/") for name in changes.get("tasks", ())):
        pytest.importorskip("lm_eval")
        (tmp_path / "tiny.yaml").write_text("task: tiny\ndataset_path: json\n")
        changes = changes | {"data": {"text": tmp_path}}
    if changes.get("tasks") == ["ssc"]:
        (tmp_path / "t.csv").write_text(
            "pair_id,text,type,correctness\n"
            + "".join(
                f"1,A dog.,{kind},{which}\n"
                for kind, which in (("prompt", ""), ("continuation", "correct"), ("continuation", "incorrect"))
            )
        )
        changes = changes | {"data": {"ssc": tmp_path / "t.csv"}}
    with pytest.raises((InputError, NotFoundError), match=message):
        evaluate(request_of(model=str(hollow), **changes), no_bars)
    assert not (tmp_path / "run").exists()


def test_what_is_asked_belongs_to_the_run(request_of: Callable, tmp_path: Path) -> None:
    """A file of choices that was corrected is not answered by what stood in it before."""
    choice = {"id": "a", "options": [[{"text": "a"}], [{"text": "b"}]]}
    write_jsonl(tmp_path / "mine.jsonl", [choice, choice | {"id": "b"}])
    request = request_of(tasks=["choices"], data={"choices": tmp_path / "mine.jsonl"}, units=None)
    measured(request)
    for change in ({"right": 1}, {"options": [[{"text": "a"}], [{"text": "c"}]]}):
        write_jsonl(tmp_path / "mine.jsonl", [choice | change, choice | {"id": "b"}])
        with pytest.raises(InputError, match=r"items\.choices"):
            evaluate(request, no_bars)


def test_units_that_no_model_has_are_refused(request_of: Callable, tmp_path: Path) -> None:
    for units, message in (([1, 9999], "1 to 9999"), ([-1], "-1 to -1"), ([[1, 2]], r"shape \[1, 2\]")):
        write_jsonl(tmp_path / "m.jsonl", [{"id": "a", "options": [[{"units": units}], [{"units": [1]}]]}])
        with pytest.raises(InputError, match=message):
            evaluate(request_of(tasks=["choices"], data={"choices": tmp_path / "m.jsonl"}, units=None), no_bars)


def test_a_task_without_a_score_leaves_the_others_theirs(request_of: Callable, tmp_path: Path) -> None:
    (tmp_path / "salmon" / "rir_consistency").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "salmon" / "rir_consistency" / f"sample_{number // 2}_{number % 2}.wav").write_bytes(b"no sound")
    request = request_of(tasks=["salmon", "tsc"])
    request.data["salmon"] = tmp_path / "salmon"
    results = measured(request)
    assert list(results["tasks"]) == ["tsc"] and list(results["failed"]) == ["salmon"]
    assert judge_again(request.out, [rule_named("ours")])["failed"] == results["failed"]
    alone = request_of(tasks=["salmon"], out=tmp_path / "alone", data={"salmon": tmp_path / "salmon"})
    with pytest.raises(InputError, match="an item of salmon must be scored"):
        evaluate(alone, no_bars)


def test_a_recording_without_a_frame_fails_by_itself(phone_units_dir: Path, data: Path, tmp_path: Path) -> None:
    save(tmp_path / "short.wav", np.full(8, 0.1, np.float32))
    groups = [(SoundFile(path, path.stem),) for path in (tmp_path / "short.wav", data / "tSC" / "one_mutual.wav")]
    short, whole = EncodedUnits(load_unit_tokenizer(phone_units_dir), cache=tmp_path / "cache").of(groups)
    assert isinstance(short, str) and not isinstance(whole, str) and len(whole.units)


def test_units_of_another_model_are_refused(request_of: Callable, phone_units_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "units"
    shutil.copytree(phone_units_dir, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"fingerprint": "f" * 64}))
    with pytest.raises(InputError, match="trained with"):
        evaluate(request_of(units=other), no_bars)


def test_spoken_questions_are_answered(request_of: Callable, data: Path, tmp_path: Path) -> None:
    sounds = [path.read_bytes() for path in sorted((data / "tSC").glob("*_mutual.wav"))] + [b"no sound"]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array([{"bytes": sound, "path": "x.wav"} for sound in sounds], kind)
    (tmp_path / "qa").mkdir()
    pq.write_table(pa.table({"audio": cells, "Answer": ["Paris"] * len(sounds)}), tmp_path / "qa" / "test.parquet")
    request = request_of(tasks=["llama-questions"], data={"llama-questions": tmp_path / "qa"})
    found = measured(request)["tasks"]["llama-questions"]
    assert found["items"] == 4 and found["scored"] == 3 and sum(found["failures"].values()) == 1
    assert found["rules"]["has_answer"]["cells"]["S->T"]["accuracy"] == 0.0 and 0 <= found["no_end"] <= 1
    assert "came to no end" in task_markdown(measured(request))
    # Judged again, by what stands in the answers.
    records = list(read_jsonl(request.out / "llama-questions.jsonl"))
    answers = [record | ({} if record["error"] else {"answer": "It is Paris.", "points": 0.0}) for record in records]
    write_jsonl(request.out / "llama-questions.jsonl", answers)
    again = judge_again(request.out, [rule_named("ours")])["tasks"]["llama-questions"]
    assert again["rules"]["has_answer"]["cells"]["S->T"]["accuracy"] == 0.75
    assert again["failures"] == found["failures"]


def test_a_letter_that_cannot_be_read_is_wrong_and_told() -> None:
    answers = ["The answer is B.", "c", "rain", ""]
    records = [{"id": str(n), "references": ["B"], "answer": one, "ended": True, "error": None}
               for n, one in enumerate(answers)]  # fmt: skip
    records.append({"id": "x", "references": ["B"], "error": "no sound"})
    found = answering.answer_results("openbookqa", records, 0)
    cell = found["rules"]["letter"]["cells"]["S->T"]
    assert (cell["accuracy"], cell["n"], found["chance"]) == (0.2, 5, 0.25)
    assert found["notes"] == ["2 answers name no letter, or several: wrong"] and found["failures"] == {"no sound": 1}


def test_spoken_questions_are_drawn_by_the_seed(request_of: Callable, data: Path, tmp_path: Path) -> None:
    sound = next((data / "tSC").glob("*_mutual.wav")).read_bytes()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array([{"bytes": sound, "path": "x.wav"}] * 12, kind)
    (tmp_path / "qa").mkdir()
    pq.write_table(pa.table({"audio": cells, "Answer": ["Paris"] * 12}), tmp_path / "qa" / "test.parquet")
    asked = {"tasks": ["llama-questions"], "data": {"llama-questions": tmp_path / "qa"}, "limit": 3}
    drawn = []
    for seed in (0, 1, 1):
        out = tmp_path / f"run {len(drawn)}"
        found = measured(request_of(**asked, seed=seed, out=out))["tasks"]["llama-questions"]
        assert found["items"] == 3 and found["notes"] == [f"3 questions, drawn with seed {seed}"]
        drawn.append([record["id"] for record in read_jsonl(out / "llama-questions.jsonl")])
    assert drawn[0] != drawn[1] == drawn[2] != [f"test-{n}" for n in range(3)]


def test_answers_are_written_in_the_precision_that_was_asked_for(
    request_of: Callable, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = next((data / "tSC").glob("*_mutual.wav")).read_bytes()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    (tmp_path / "qa").mkdir()
    cells = pa.array([{"bytes": sound, "path": "x.wav"}], kind)
    pq.write_table(pa.table({"audio": cells, "Answer": ["Paris"]}), tmp_path / "qa" / "test.parquet")
    seen = []

    def generate(*given: Any, **settings: Any) -> Any:
        seen.append(torch.is_autocast_enabled("cpu"))
        return real(*given, **settings)

    real = answering.generate
    monkeypatch.setattr(answering, "generate", generate)
    for bf16 in (False, True):
        place = {"llama-questions": tmp_path / "qa"}
        measured(request_of(tasks=["llama-questions"], data=place, bf16=bf16, out=tmp_path / str(bf16)))
    assert seen == [False, True]


def test_text_is_measured_before_and_after(request_of: Callable, model_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    questions = [{"question": f"a{n}", "choices": ["b", "c"], "answer": n % 2} for n in range(6)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions))
    (tmp_path / "tiny.yaml").write_text(
        f"task: tiny\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path / 'q.jsonl'}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{question}} '\n"
        "doc_to_choice: '{{choices}}'\ndoc_to_target: answer\nmetric_list:\n  - metric: acc\n"
    )
    model = SmolTolkForCausalLM.from_pretrained(model_dir)
    before = tmp_path / "before"
    text_model = LlamaForCausalLM(model.config.text_config)
    state = {name.removeprefix("backbone."): value for name, value in model.state_dict().items()}
    text_model.load_state_dict({k: v for k, v in state.items() if k in text_model.state_dict()}, strict=False)
    text_model.save_pretrained(before)
    shutil.copy(model_dir / "tokenizer.json", before)
    shutil.copy(model_dir / "tokenizer_config.json", before)
    request = request_of(tasks=["text/tiny"], data={"text": tmp_path}, units=None, before=str(before))
    found = measured(request)["text"]["tiny"]
    assert 0 <= found["after"]["acc"] <= 1 and "acc" in found["before"]
    assert "text model before" in task_markdown(measured(request))
    assert f"before: {found['before']['acc']:.4f}" in text_rows(found)["acc"]
    # What is done is kept: of a run that was stopped between the two models the second one alone is asked.
    kept = json.loads((request.out / "text.json").read_text())
    kept["tiny"]["after"]["acc"] = 0.125
    write_json(request.out / "text.json", {"tiny": {"after": kept["tiny"]["after"]}})
    again = measured(request)["text"]["tiny"]
    assert again["after"]["acc"] == 0.125 and again["before"] == found["before"]
    assert judge_again(request.out, [rule_named("ours")])["text"] == {"tiny": again}
    with pytest.raises(InputError, match="holds another one"):
        evaluate(replace(request, limit=2), no_bars)
    alone = request_of(tasks=["text/tiny"], data={"text": tmp_path}, units=None, out=tmp_path / "alone")
    assert "| task | metric | this model |" in task_markdown(measured(alone))
