"""``smoltolk evaluate``: from what was asked for to a run directory with its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from smoltolk.common.files import write_json
from smoltolk.common.processes import is_main
from smoltolk.common.progress import Bar
from smoltolk.evaluation.runs.answering import answer
from smoltolk.evaluation.runs.asking import Asking
from smoltolk.evaluation.runs.judging import check_rules
from smoltolk.evaluation.runs.presets import rule_named
from smoltolk.evaluation.runs.records import Record
from smoltolk.evaluation.runs.request import Request, check_names
from smoltolk.evaluation.runs.results import Results, beside, stored_results, submissions
from smoltolk.evaluation.runs.run import CHUNK, Bars, ask_chunk, do_chunks, gather, missing_chunks, open_run
from smoltolk.evaluation.runs.texts import text_results
from smoltolk.evaluation.runs.transcribing import Transcribing, Voice
from smoltolk.evaluation.runs.work import Work, about_run, command_of, load_work
from smoltolk.evaluation.tasks.said_texts import RECOGNITION, SYNTHESIS, SaidTexts
from smoltolk.inference.parts import load_config, load_model

_Item = TypeVar("_Item")


def evaluate(request: Request, bars: Bars) -> Results | None:
    """Measure a model.

    Returns:
        The results, as they lie in ``OUT/results.json``; None in all processes but the first.

    Raises:
        InputError, NotFoundError: what is wrong with tasks, folders, rules or units, before the model is loaded.
    """
    rules = [rule_named(name) for name in request.rules or ("ours",)]
    rules = [*beside(rules[0]), *rules[1:]]
    check_names(request.tasks)
    config = load_config(request.model)
    work = load_work(request, config, rules[0])
    check_rules({one.task.name: one.feeds for one in work.asked}, rules, keep_prompts=request.keep_prompts)
    about = about_run(request, rules[0], work)
    # Parts are loaded before a run begins, so that it is not begun with wrong ones.
    voice = work.voice.load(request.out) if work.voice is not None and _missing(request.out, work.said) else None
    open_run(request.out, command_of(request, rules[0], work, about), about)
    _measure(request, work, voice, bars)
    if not is_main():
        return None
    for one in work.asked:
        submissions(one.task, gather(request.out, one.task.name, len(one.chunks)), rules[0], request.out)
    for name, size in _sizes(work).items():
        gather(request.out, name, size)
    names = [*(one.task.name for one in work.asked), *work.questions]
    results = stored_results(
        request.out, about, names, rules, quality=request.quality, quality_timeout=request.quality_timeout
    )
    if work.texts:
        results["text"] = text_results(request, work)
    write_json(request.out / "results.json", results)
    return results


def _sizes(work: Work) -> dict[str, int]:
    """Chunks of each task."""
    sizes = {one.task.name: len(one.chunks) for one in work.asked}
    sizes |= {name: len(_chunks(members)) for name, members in work.questions.items()}
    return sizes | {one.name: len(_chunks(one.items)) for one in work.said}


def _missing(out: Path, said: Sequence[SaidTexts]) -> bool:
    spoken = [one.items for one in said if one.name == SYNTHESIS]
    return any(missing_chunks(out, SYNTHESIS, len(_chunks(items))) for items in spoken)


def _measure(request: Request, work: Work, voice: Voice | None, bars: Bars) -> None:
    asked, questions, units, sizes = work.asked, work.questions, work.units, _sizes(work)
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
                model, tokenizer, space, units, chunks[number], progress, bf16=request.bf16
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
