"""What each system learned: questions, likelihoods, recognition and synthesis, and samples to listen to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from smoltolk.analysis.answer_lens import answer_lens, lens_cells
from smoltolk.analysis.selector import selector_profile
from smoltolk.common.files import write_jsonl
from smoltolk.common.progress import ReportBar
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document
from smoltolk.data.shards.parquet import UnitCorpus, read_shards
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.evaluation.questions import SpokenCloze, option_id, spoken_clozes
from smoltolk.evaluation.runs.world_answers import answers_of, world_cells
from smoltolk.evaluation.transcription import recognition, synthesis
from smoltolk.inference.parts import load_model
from smoltolk.inference.samples import make_samples
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.speech_steps import clozes, judge_texts, test_sentences, text_documents
from smoltolk.speech.audio import load
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.kinds import load_vocoder
from smoltolk.training.trainer import Report

ANSWERS = "world.jsonl"  # records of all questions, as `evaluate` leaves them


def evaluate_one(settings: Settings, system: str, report: Report) -> dict[str, Any]:
    """Everything that is measured of one system; its per-item logs lie in ``OUT/evaluation/SYSTEM``."""
    scale, folder = settings.scale, settings.out / "evaluation" / system
    model, tokenizer = load_model(settings.model(system))
    ids = model.config.id_space
    items = questions(settings, tokenizer)
    units = load_unit_tokenizer(settings.units)
    test = read_shards(settings.shards("test"), fingerprint=units.fingerprint)
    figures = ask(settings, model, tokenizer, items, test, folder, report)
    vocoder = load_vocoder(settings.vocoder, units.fingerprint)
    may_be_said = judge_texts(settings)
    heard = recognition(model, spoken_sentences(test, tokenizer), tokenizer, ids, log_path=folder / "recognition.jsonl")
    said = synthesis(
        model,
        test_sentences(settings),
        tokenizer,
        ids,
        vocoder,
        judge_texts=may_be_said,
        seed=settings.seed,
        workers=0,
        log_path=folder / "synthesis.jsonl",
    )
    figures |= {**heard.as_dict("recognition"), **said.as_dict("synthesis")}
    if system == "late":
        figures["selector"] = selector_profile(model, spoken_stories(test, ids))
        chosen = [item for item in items if item.kind == "story"][: scale.num_samples]
        figures["samples"] = make_samples(
            model,
            chosen,
            tokenizer,
            ids,
            vocoder,
            out_dir=settings.out / "samples",
            seed=settings.seed,
            recordings=_recordings(settings, [item.id for item in chosen]),
            judge_texts=may_be_said,
        )
    return figures


def ask(
    settings: Settings,
    model: SmolTolkForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    items: Sequence[SpokenCloze],
    test: UnitCorpus,
    folder: Path,
    report: Report,
) -> dict[str, Any]:
    """What a model knows: every question, the lens, and the likelihood of held-out speech and text.

    Args:
        settings: of the run.
        model, tokenizer: asked.
        items: of :func:`questions`.
        test: held-out stories.
        folder: for the logs of single items.
        report: called with the questions asked.
    """
    ids = model.config.id_space
    answers = answers_of(model, items, progress=ReportBar(report))
    write_jsonl(folder / ANSWERS, answers)
    lens = answer_lens(model, only_read(items), log_path=folder / "lens.jsonl")
    return {
        **world_cells(answers, settings.seed),
        "lens": lens_cells(lens, seed=settings.seed),
        "speech_nll": held_out_nll(model, spoken_stories(test, ids), ids, "speech").nll,
        "text_nll_after": held_out_nll(model, text_documents(settings, tokenizer), ids, "text").nll,
    }


def spoken_stories(test: UnitCorpus, ids: IdSpace) -> list[np.ndarray]:
    """Held-out stories as ids."""
    return [Document(ids).speech(test.units(i)).input_ids for i in range(len(test))]


def questions(settings: Settings, tokenizer: PreTrainedTokenizerBase) -> list[SpokenCloze]:
    """All questions with the units of their options, those about facts by the answer alone too."""
    fingerprint = load_unit_tokenizer(settings.units).fingerprint
    return spoken_clozes(clozes(settings), read_shards(settings.shards("cloze"), fingerprint=fingerprint), tokenizer)


def only_read(items: Sequence[SpokenCloze]) -> list[SpokenCloze]:
    """Those that ask by the answer alone for a fact that was never heard: what the lens looks at."""
    return [item for item in items if item.kind == "fact_read_answer"]


def spoken_sentences(test: UnitCorpus, tokenizer: PreTrainedTokenizerBase) -> list[tuple[np.ndarray, str]]:
    """Units and text of one sentence of each spoken story; which one takes turns."""
    corpus = AlignedCorpus(test, tokenizer, test.metadata.frame_rate)
    pairs = []
    for i in range(len(corpus)):
        first = corpus.word_offsets[i]
        ends = np.flatnonzero(corpus.closes_sentence[first : first + corpus.num_words(i)]) + 1
        which = i % len(ends)
        start, stop = int(ends[which - 1]) if which else 0, int(ends[which])
        pairs.append((corpus.units(i, start, stop), corpus.text(i, start, stop)))
    return pairs


def _recordings(settings: Settings, cloze_ids: Sequence[str]) -> dict[str, np.ndarray]:
    wanted = {option_id(name, "right"): name for name in cloze_ids}
    return {
        wanted[utterance.id]: load(utterance.audio)
        for utterance in read_corpus(settings.corpus("cloze"))
        if utterance.id in wanted and utterance.audio is not None
    }
