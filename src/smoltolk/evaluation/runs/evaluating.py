"""``smoltolk evaluate``: from what was asked for to a run directory with its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from transformers import AutoModelForCausalLM, AutoTokenizer

from smoltolk.common.errors import InputError, named
from smoltolk.common.files import write_json
from smoltolk.common.processes import is_main
from smoltolk.common.progress import Bar
from smoltolk.data.shards.parquet import common_metadata, shard_paths
from smoltolk.evaluation.quality import TIMEOUT, check_command
from smoltolk.evaluation.runs.answering import answer, answer_results
from smoltolk.evaluation.runs.asking import Asking
from smoltolk.evaluation.runs.presets import NamedRule, rule_named
from smoltolk.evaluation.runs.records import Record
from smoltolk.evaluation.runs.results import Results, beside, head_of, submissions, task_results, transcribed
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
from smoltolk.evaluation.runs.transcribing import Transcribing, Voice
from smoltolk.evaluation.runs.units_of import EncodedUnits, StoredUnits, UnitSource, sounds_in
from smoltolk.evaluation.runs.voices import OFFLINE, VoiceSettings, texts_of
from smoltolk.evaluation.tasks.items import Sound, check_items
from smoltolk.evaluation.tasks.names import TASKS
from smoltolk.evaluation.tasks.said_texts import FOLDERS, RECOGNITION, SAID_TEXTS, SYNTHESIS, SaidTexts, load_said_texts
from smoltolk.evaluation.tasks.spoken_answers import ANSWERS, Question, load_questions
from smoltolk.evaluation.tasks.task import Source
from smoltolk.evaluation.tasks.text_retention import PREFIX, harness_tasks, text_scores
from smoltolk.inference.parts import Part, check_part, load_config, load_model, read_part
from smoltolk.report.results import DIRECTIONS
from smoltolk.speech.units.kinds import load_unit_tokenizer

_Item = TypeVar("_Item")
ALL = (*TASKS, *ANSWERS, *SAID_TEXTS, f"{PREFIX}NAME")


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
        vocoder: speaks in ``synthesis``; None: the codec among the units.
        judge, judge_texts: who listens, and for pocketsphinx a file of what may be said; None: the texts spoken.
        quality, quality_timeout: a command that measures what was spoken, and its seconds; None: none.
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
    vocoder: Path | None = None
    judge: str = OFFLINE
    judge_texts: Path | None = None
    quality: str | None = None
    quality_timeout: float = TIMEOUT


@dataclass(frozen=True, slots=True)
class _Work:
    """All that was read for a run: choices, spoken questions, texts that are heard or said, and their units."""

    asked: Sequence[Asked]
    questions: dict[str, list[Question]]
    said: Sequence[SaidTexts]
    units: UnitSource | None = None
    voice: VoiceSettings | None = None

    def sounds(self) -> list[Sound]:
        """Recordings that must become units."""
        segments = [segment for one in self.asked for item in one.loaded.items for segment in item.segments()]
        heard = [item for one in self.said if one.name == RECOGNITION for item in one.items]
        return [
            *sounds_in(segments),
            *(question.sound for members in self.questions.values() for question in members),
            *(item.sound for item in heard if item.sound is not None and item.units is None),
        ]


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
    said = [
        load_said_texts(name, _source(request, name, FOLDERS[name]), request.limit, request.seed)
        for name in names
        if name in SAID_TEXTS
    ]
    texts = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    known = harness_tasks(texts, request.data.get("text")) if texts else None
    work = _Work(asked, questions, said, voice=_voice(request, said))
    work = replace(work, units=_units(request, config, work))
    about = _about(request, rules[0], work)
    # Parts are loaded before a run begins, so that it is not begun with wrong ones.
    voice = work.voice.load(request.out) if work.voice is not None and _missing(request.out, said) else None
    open_run(request.out, _command(request, rules[0], work, about), about)
    _measure(request, work, voice, bars)
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
    for texts_said in said:
        gather(request.out, texts_said.name, len(_chunks(texts_said.items)))
    if said:
        results["transcription"] = transcribed(
            request.out, about, quality=request.quality, quality_timeout=request.quality_timeout
        )
    if texts:
        results["text"] = _texts(request, texts, known)
    write_json(request.out / "results.json", results)
    return results


# ---------------------------------------------------------------------- before a model is loaded


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name in (*TASKS, *ANSWERS, *SAID_TEXTS) or name.startswith(PREFIX):
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


def _voice(request: Request, said: Sequence[SaidTexts]) -> VoiceSettings | None:
    """What speaks and listens in synthesis; None where that is not asked for."""
    spoken = [item.text for one in said if one.name == SYNTHESIS for item in one.items]
    if request.quality is not None:
        if not spoken:
            raise InputError("--quality measures what is spoken", "synthesis is not among the tasks", "add it")
        check_command(request.quality)
    if not spoken:
        return None
    may_be_said = texts_of(request.judge_texts, spoken)
    return VoiceSettings(request.model, request.units, request.vocoder, request.judge, may_be_said, request.seed)


def _missing(out: Path, said: Sequence[SaidTexts]) -> bool:
    spoken = [one.items for one in said if one.name == SYNTHESIS]
    return any(missing_chunks(out, SYNTHESIS, len(_chunks(items))) for items in spoken)


def _units(request: Request, config: Any, work: _Work) -> UnitSource | None:
    """What recordings become units by; they must be the model's."""
    sounds = work.sounds()
    for stored in (one.metadata for one in work.said if one.metadata is not None):
        part = Part(stored.fingerprint, stored.num_units, stored.num_codebooks)
        check_part(request.model, config, "shards", part)
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


def _about(request: Request, rule: NamedRule, work: _Work) -> dict[str, Any]:
    """What a run says of itself."""
    asked, units, voice = work.asked, work.units, work.voice
    notes = {one.name: one.notes for one in work.said}
    synthesis = {} if voice is None else {"synthesis": voice.as_dict()}
    return {
        "version": version("smoltolk"),
        "model": {"name": request.model, "fingerprint": fingerprint_of_model(Path(request.model))},
        "units": None if units is None else units.describe(),
        "seed": request.seed,
        "limit": request.limit,
        "precision": "bfloat16" if request.bf16 else "float32",
        "rule": rule.name,
        "feeds": {one.task.name: {shape: feed.as_dict() for shape, feed in one.feeds.items()} for one in asked},
        "notes": {one.task.name: one.loaded.notes for one in asked} | notes,
        **synthesis,
    }


def _command(request: Request, rule: NamedRule, work: _Work, about: dict[str, Any]) -> dict[str, Any]:
    """What decides the records of a run."""
    items = {one.task.name: [f"{item.cell} {item.id}" for item in one.loaded.items] for one in work.asked}
    items |= {name: [question.id for question in members] for name, members in work.questions.items()}
    items |= {one.name: [f"{item.id} {item.text}" for item in one.items] for one in work.said}
    return {
        "verb": "evaluate",
        "model": about["model"]["fingerprint"],
        "tasks": list(request.tasks),
        "items": {name: digest_of_texts(ids) for name, ids in items.items()},
        "units": about["units"],
        "feeds": about["feeds"],
        "precision": about["precision"],
        "keep_prompts": request.keep_prompts,
        **({"synthesis": about["synthesis"]} if "synthesis" in about else {}),
    }


# ---------------------------------------------------------------------- with the model


def _measure(request: Request, work: _Work, voice: Voice | None, bars: Bars) -> None:
    asked, questions, units = work.asked, work.questions, work.units
    sizes = {one.task.name: len(one.chunks) for one in asked}
    sizes |= {name: len(_chunks(members)) for name, members in questions.items()}
    sizes |= {one.name: len(_chunks(one.items)) for one in work.said}
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

    transcribing = Transcribing(model, tokenizer, space, units, voice, request.bf16)
    for texts in work.said:
        if missing_chunks(request.out, texts.name, sizes[texts.name]):
            _transcribe(request.out, transcribing, texts, bars)


def _transcribe(out: Path, transcribing: Transcribing, texts: SaidTexts, bars: Bars) -> None:
    chunks, most = _chunks(texts.items), transcribing.limit(texts.name, texts.items)

    def do(number: int, progress: Bar) -> list[Record]:
        if texts.name == RECOGNITION:
            return transcribing.recognise(chunks[number], most, progress)
        return transcribing.speak(chunks[number], sum(map(len, chunks[:number])), most, progress)

    do_chunks(out, texts.name, chunks, do, bars)


def _chunks(members: Sequence[_Item]) -> list[Sequence[_Item]]:
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
