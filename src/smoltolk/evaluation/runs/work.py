"""What a run is about, read and checked before a model is loaded: items, units, voices; and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.shards.parquet import common_metadata, shard_paths
from smoltolk.evaluation.quality import check_command
from smoltolk.evaluation.runs.presets import NamedRule
from smoltolk.evaluation.runs.request import Request, source_of
from smoltolk.evaluation.runs.run import Asked, asked_of
from smoltolk.evaluation.runs.run_place import digest_of_texts, fingerprint_of_model
from smoltolk.evaluation.runs.units_of import EncodedUnits, StoredUnits, UnitSource, sounds_in
from smoltolk.evaluation.runs.voices import VoiceSettings, texts_of
from smoltolk.evaluation.tasks.items import Item, Sound, Spoken, check_items, check_units
from smoltolk.evaluation.tasks.names import TASKS
from smoltolk.evaluation.tasks.said_texts import FOLDERS, RECOGNITION, SAID_TEXTS, SYNTHESIS, SaidTexts, load_said_texts
from smoltolk.evaluation.tasks.spoken_answers import ANSWERS, Question, load_questions
from smoltolk.evaluation.tasks.text_retention import PREFIX, harness_tasks
from smoltolk.evaluation.text_model import check_text_model
from smoltolk.inference.part_files import Part, check_part, read_part
from smoltolk.speech.units.kinds import load_unit_tokenizer


@dataclass(frozen=True, slots=True)
class Work:
    """All that was read for a run.

    Attributes:
        asked: tasks of choices.
        questions: spoken ones, by task.
        said: texts that are heard or said.
        texts, harness: names of text tasks, and the tasks of lm-evaluation-harness.
        units: what recordings become units by.
        voice: what speaks and listens in synthesis.
    """

    asked: Sequence[Asked]
    questions: dict[str, list[Question]]
    said: Sequence[SaidTexts]
    texts: Sequence[str] = ()
    harness: Any = None
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


def load_work(request: Request, config: Any, rule: NamedRule) -> Work:
    """Read and check the layouts of all tasks.

    Args:
        request: what is asked for.
        config: of the model, whose units must be the ones at hand.
        rule: decides what is fed.

    Raises:
        InputError, NotFoundError: what is wrong with tasks, folders or units.
    """
    names = list(dict.fromkeys(request.tasks))
    asked = [_load(request, name, rule) for name in names if name in TASKS]
    questions = {name: _questions(request, name) for name in names if name in ANSWERS}
    said = [
        load_said_texts(name, source_of(request, name, FOLDERS[name]), request.limit, request.seed)
        for name in names
        if name in SAID_TEXTS
    ]
    texts = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    harness = harness_tasks(texts, request.data.get("text")) if texts else None
    _check_before(request, texts)
    for one in asked:
        check_units(one.loaded.items, one.task.name, config.num_units, config.num_codebooks)
    work = Work(asked, questions, said, texts, harness, voice=_voice(request, said))
    return replace(work, units=_units(request, config, work))


def _load(request: Request, name: str, rule: NamedRule) -> Asked:
    task = TASKS[name]
    source = source_of(request, name, task.folders)
    if name == "world":
        source = replace(source, tokenizer=AutoTokenizer.from_pretrained(request.model))
    loaded = task.load(source)
    check_items(loaded.items, name)
    return asked_of(task, loaded, rule, request.limit, request.seed)


def _questions(request: Request, name: str) -> list[Question]:
    found = load_questions(name, source_of(request, name, ANSWERS[name].folders))
    if request.limit is None or request.limit >= len(found):
        return found
    kept = sorted(generator(request.seed, "limit", name).permutation(len(found))[: request.limit])
    return [found[place] for place in kept]


def _check_before(request: Request, texts: Sequence[str]) -> None:
    """Whether the text model that is measured beside ours can be."""
    if request.before is None:
        return
    if not texts:
        fix = f"name some: {PREFIX}NAME"
        raise InputError("--before is measured by text tasks", "none among the tasks", fix)
    check_text_model(request.before)


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
    return VoiceSettings(
        request.model, request.units, request.vocoder, request.judge, may_be_said, request.seed, request.temperature
    )


def _units(request: Request, config: Any, work: Work) -> UnitSource | None:
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
        source = EncodedUnits(load_unit_tokenizer(request.units), request.synthesizer)
        if any(isinstance(sound, Spoken) for sound in sounds):
            source.check_synthesizer()
        return source
    if request.shards is not None:
        return StoredUnits(request.shards, {sound.name for sound in sounds})
    raise InputError(
        "recordings become units: --units names the model's, --shards such that are stored",
        f"{len(sounds):,} recordings, neither of the two",
        "give one of them",
    )


def about_run(request: Request, rule: NamedRule, work: Work) -> dict[str, Any]:
    """What a run says of itself."""
    asked, units, voice = work.asked, work.units, work.voice
    notes = {one.name: one.notes for one in work.said}
    for name, members in work.questions.items():
        drawn = request.limit is not None and len(members) == request.limit
        notes[name] = [f"{len(members)} questions, drawn with seed {request.seed}"] if drawn else []
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


def command_of(request: Request, rule: NamedRule, work: Work, about: dict[str, Any]) -> dict[str, Any]:
    """What decides the records of a run."""
    items = {one.task.name: [_content(item) for item in one.loaded.items] for one in work.asked}
    items |= {
        name: [" ".join((question.id, *question.references)) for question in members]
        for name, members in work.questions.items()
    }
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
        **({"text": {"before": _before(request), "limit": request.limit}} if work.texts else {}),
    }


def _content(item: Item) -> str:
    """What is asked; of recordings their names."""
    told = [segment.shown() for segment in item.segments()]
    units = [segment.units.tolist() for segment in item.segments() if segment.units is not None]
    return json.dumps([item.cell, item.id, item.right, item.mirror, item.cluster, told, units])


def _before(request: Request) -> str | None:
    return None if request.before is None else fingerprint_of_model(Path(request.before))
