"""``smoltolk evaluate``: from what was asked for to a run directory with its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from smoltolk.common.errors import InputError, named
from smoltolk.common.files import write_json
from smoltolk.common.processes import is_main
from smoltolk.data.shards.parquet import common_metadata, shard_paths
from smoltolk.evaluation.runs.answering import answer, answer_results
from smoltolk.evaluation.runs.asking import Asking
from smoltolk.evaluation.runs.presets import NamedRule, rule_named
from smoltolk.evaluation.runs.results import Results, beside, head_of, submissions, task_results
from smoltolk.evaluation.runs.run import (
    CHUNK,
    Asked,
    Bars,
    ask_chunk,
    asked_of,
    digest_of_texts,
    do_chunks,
    fingerprint_of_model,
    gather,
    missing_chunks,
    open_run,
)
from smoltolk.evaluation.runs.units_of import EncodedUnits, StoredUnits, UnitSource, sounds_in
from smoltolk.evaluation.tasks.items import check_items
from smoltolk.evaluation.tasks.names import TASKS
from smoltolk.evaluation.tasks.spoken_answers import ANSWERS, Question, load_questions
from smoltolk.evaluation.tasks.task import Source
from smoltolk.evaluation.tasks.text_retention import PREFIX, harness_tasks, text_scores
from smoltolk.inference.parts import Part, check_part, load_config, load_model, read_part
from smoltolk.report.results import DIRECTIONS
from smoltolk.speech.units.kinds import load_unit_tokenizer

ALL = (*TASKS, *ANSWERS, f"{PREFIX}NAME")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured.

    Attributes:
        model: directory or hub id.
        tasks: their names.
        out: the run directory.
        data: folders of tasks, by name; under ``""`` the folder that they all lie in.
        units: of the model, which recordings become; ``shards``: stored ones instead.
        questions: of a world.
        rules: by name, the first one decides what is fed; none: ``ours``.
        limit, seed, directions, split: what is asked of each task.
        synthesizer: speaks texts that have no recording.
        before: the text model, measured beside ours by the tasks ``text/NAME``.
        bf16: compute in bfloat16 where autocast allows it.
        keep_prompts: score prompts too.
        batch_tokens: most ids of a batch.
    """

    model: str
    tasks: Sequence[str]
    out: Path
    data: dict[str, Path]
    units: Path | None = None
    shards: Path | None = None
    questions: Path | None = None
    rules: Sequence[str] = ()
    limit: int | None = None
    seed: int = 0
    directions: tuple[str, ...] = DIRECTIONS
    split: str | None = None
    synthesizer: str | None = None
    before: str | None = None
    bf16: bool = False
    keep_prompts: bool = True
    batch_tokens: int = 4096


def evaluate(request: Request, bars: Bars) -> Results | None:
    """Measure a model.

    Returns:
        The results, as they lie in ``OUT/results.json``; None in all processes but the first.

    Raises:
        InputError, NotFoundError: what is wrong with tasks, folders, rules or units, before the model is loaded.
    """
    rules = [rule_named(name) for name in request.rules or ("ours",)]
    rules = [*beside(rules[0]), *rules[1:]]
    names = list(dict.fromkeys(request.tasks))
    _check_names(names)
    config = load_config(request.model)
    asked = [_load(request, name, rules[0]) for name in names if name in TASKS]
    questions = {name: _questions(request, name) for name in names if name in ANSWERS}
    texts = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    known = harness_tasks(texts, request.data.get("text")) if texts else None
    units = _units(request, config, asked, questions)
    about = _about(request, rules[0], asked, units)
    open_run(request.out, _command(request, rules[0], asked, questions, about), about)
    _measure(request, asked, questions, units, bars)
    if not is_main():
        return None
    results: Results = head_of(about) | {"tasks": {}}
    for one in asked:
        records = gather(request.out, one.task.name, len(one.chunks))
        results["tasks"][one.task.name] = task_results(
            one.task, records, rules, one.feeds, seed=request.seed, run=str(request.out), notes=one.loaded.notes
        )
        submissions(one.task, records, rules[0], request.out)
    for name, members in questions.items():
        records = gather(request.out, name, len(_chunks(members)))
        results["tasks"][name] = answer_results(records, request.seed)
    if texts:
        results["text"] = _texts(request, texts, known)
    write_json(request.out / "results.json", results)
    return results


# ---------------------------------------------------------------------- before a model is loaded


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name in TASKS or name in ANSWERS or name.startswith(PREFIX):
            continue
        if Path(name).exists():  # the form of before: evaluate MODEL QUESTIONS SHARDS
            raise InputError(
                "the questions of a world are asked as `evaluate MODEL world --questions Q --shards S --out RUN`",
                f"{name!r} among the tasks, which is a place",
                "name the task, and the places behind --questions and --shards",
            )
        named("a task", name, dict.fromkeys(ALL), "choose some of them")
    if not names:
        raise InputError("an evaluation has a task at least", "none", f"choose from {', '.join(ALL)}")


def _place(request: Request, name: str, folders: Sequence[str]) -> Path | None:
    if name in request.data:
        return request.data[name]
    root = request.data.get("")
    inside = [root / folder for folder in folders if root is not None and (root / folder).exists()]
    return inside[0] if inside else root


def _source(request: Request, name: str, folders: Sequence[str]) -> Source:
    return Source(
        _place(request, name, folders),
        request.questions,
        request.shards,
        request.synthesizer is not None,
        request.directions,
        request.split,
    )


def _load(request: Request, name: str, rule: NamedRule) -> Asked:
    task = TASKS[name]
    source = _source(request, name, task.folders)
    if name == "world":
        source = replace(source, tokenizer=AutoTokenizer.from_pretrained(request.model))
    loaded = task.load(source)
    check_items(loaded.items, name)
    return asked_of(task, loaded, rule, request.limit, request.seed)


def _questions(request: Request, name: str) -> list[Question]:
    return load_questions(name, _source(request, name, ANSWERS[name][1]))[: request.limit]


def _units(
    request: Request, config: Any, asked: Sequence[Asked], questions: dict[str, list[Question]]
) -> UnitSource | None:
    """What recordings become units by; they must be the model's."""
    segments = [segment for one in asked for item in one.loaded.items for segment in item.segments()]
    sounds = [*sounds_in(segments), *(question.sound for members in questions.values() for question in members)]
    if request.shards is not None:
        metadata = common_metadata(shard_paths(request.shards))
        part = Part(metadata.fingerprint, metadata.num_units, metadata.num_codebooks)
        check_part(request.model, config, "shards", part)
    if not sounds:
        return None
    if request.units is not None:
        described = read_part(request.units)
        if described is not None:
            check_part(request.model, config, "units", described)
        return EncodedUnits(load_unit_tokenizer(request.units), request.synthesizer)
    if request.shards is not None:
        return StoredUnits(request.shards, {sound.name for sound in sounds})
    raise InputError(
        "recordings become units: --units names the model's, --shards such that are stored",
        f"{len(sounds):,} recordings, neither of the two",
        "give one of them",
    )


def _about(request: Request, rule: NamedRule, asked: Sequence[Asked], units: UnitSource | None) -> dict[str, Any]:
    """What a run says of itself."""
    return {
        "version": version("smoltolk"),
        "model": {"name": request.model, "fingerprint": fingerprint_of_model(Path(request.model))},
        "units": None if units is None else units.describe(),
        "seed": request.seed,
        "limit": request.limit,
        "precision": "bfloat16" if request.bf16 else "float32",
        "rule": rule.name,
        "feeds": {one.task.name: {shape: feed.as_dict() for shape, feed in one.feeds.items()} for one in asked},
        "notes": {one.task.name: one.loaded.notes for one in asked},
    }


def _command(
    request: Request,
    rule: NamedRule,
    asked: Sequence[Asked],
    questions: dict[str, list[Question]],
    about: dict[str, Any],
) -> dict[str, Any]:
    """What decides the records of a run."""
    items = {one.task.name: [f"{item.cell} {item.id}" for item in one.loaded.items] for one in asked}
    items |= {name: [question.id for question in members] for name, members in questions.items()}
    return {
        "verb": "evaluate",
        "model": about["model"]["fingerprint"],
        "tasks": list(request.tasks),
        "items": {name: digest_of_texts(ids) for name, ids in items.items()},
        "units": about["units"],
        "feeds": about["feeds"],
        "precision": about["precision"],
        "keep_prompts": request.keep_prompts,
    }


# ---------------------------------------------------------------------- with the model


def _measure(
    request: Request,
    asked: Sequence[Asked],
    questions: dict[str, list[Question]],
    units: UnitSource | None,
    bars: Bars,
) -> None:
    sizes = {one.task.name: len(one.chunks) for one in asked}
    sizes |= {name: len(_chunks(members)) for name, members in questions.items()}
    if not any(missing_chunks(request.out, name, size) for name, size in sizes.items()):
        return
    model, tokenizer = load_model(request.model)
    space = model.config.id_space
    asking = Asking(
        model,
        tokenizer,
        space,
        units,
        keep_prompts=request.keep_prompts,
        batch_tokens=request.batch_tokens,
        autocast=request.bf16,
    )
    for one in asked:
        do_chunks(
            request.out,
            one.task.name,
            one.chunks,
            lambda number, progress, one=one: ask_chunk(one, asking, number, progress),  # type: ignore[misc]
            bars,
        )
    for name, members in questions.items():
        chunks = _chunks(members)
        if units is None:
            continue
        do_chunks(
            request.out,
            name,
            chunks,
            lambda number, progress, chunks=chunks: answer(  # type: ignore[misc]
                model, tokenizer, space, units, chunks[number], progress
            ),
            bars,
        )


def _chunks(members: Sequence[Question]) -> list[Sequence[Question]]:
    return [members[start : start + CHUNK] for start in range(0, len(members), CHUNK)]


def _texts(request: Request, names: Sequence[str], known: Any) -> dict[str, Any]:
    """Scores of text tasks, of the model and of the text model of before."""
    models = {"after": load_model(request.model)}
    if request.before is not None:
        text_model = AutoModelForCausalLM.from_pretrained(request.before)
        models["before"] = text_model, AutoTokenizer.from_pretrained(request.before)
    scores = {
        when: text_scores(model, tokenizer, names, known, limit=request.limit)
        for when, (model, tokenizer) in models.items()
    }
    return {name: {when: found.get(name, {}) for when, found in scores.items()} for name in scores["after"]}
