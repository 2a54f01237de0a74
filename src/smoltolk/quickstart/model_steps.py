"""Steps with a language model: the backbone, the three systems, and what each of them learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from smoltolk.common.devices import best_device
from smoltolk.common.progress import ReportBar
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.mixture import TextSource
from smoltolk.data.shards.parquet import UnitCorpus, read_shards
from smoltolk.evaluation.cloze import evaluate_clozes
from smoltolk.evaluation.lens import answer_lens, lens_cells
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.evaluation.parts import load_model
from smoltolk.evaluation.questions import SpokenCloze, option_id, spoken_clozes
from smoltolk.evaluation.samples import make_samples
from smoltolk.evaluation.selector import selector_profile
from smoltolk.evaluation.transcription import recognition, synthesis
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.speech_steps import clozes, judge_texts, test_sentences
from smoltolk.speech.audio import load
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.kinds import load_vocoder
from smoltolk.training.backbone import load_tokenizer, new_backbone, pretrain, train_tokenizer
from smoltolk.training.checks import check_fit
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.run import Run
from smoltolk.training.systems import num_parameters, settings_of
from smoltolk.training.trainer import Report

# Rates of the paper's 150M model: a pretrained model bears less than a small one trained from nothing.
_PRETRAINED_RATES = {"text": 3e-4, "stage1": 3e-3, "stage2": 3e-4}


def recipes(settings: Settings) -> tuple[Recipe, Recipe]:
    """Of the text model and of all systems."""
    both = (settings.scale.text, settings.scale.speech)
    if settings.text_model is None:
        return both
    text, speech = (replace(recipe, stages=tuple(map(_for_pretrained, recipe.stages))) for recipe in both)
    return text, speech


def _for_pretrained(stage: Stage) -> Stage:
    return replace(stage, learning_rate=_PRETRAINED_RATES[stage.name])


def check_own_text_model(settings: Settings) -> None:
    """Tell before the work begins that a text model of one's own cannot be used.

    Raises:
        NotFoundError, InputError: no tokenizer, or see :func:`~smoltolk.training.checks.check_fit`.
    """
    if settings.text_model is not None:
        tokenizer = load_tokenizer(settings.text_model)
        check_fit(load_text_model(settings.text_model), tokenizer, *recipes(settings))


def train_backbone(settings: Settings, report: Report) -> dict[str, Any]:
    """A text model that knows the world: a small one from nothing, or one's own that reads the world's text."""
    recipe, _ = recipes(settings)
    if settings.text_model is None:
        size = settings.scale.backbone
        tokenizer = train_tokenizer((settings.text(i) for i in range(2000)), size.vocab_size)
        model: PreTrainedModel = new_backbone(tokenizer, size, settings.seed)
    else:
        tokenizer = load_tokenizer(settings.text_model)
        model = load_text_model(settings.text_model)
    history = pretrain(
        model, tokenizer, settings.text, recipe, settings.work / "backbone", settings.backbone,
        seed=settings.seed, report=report,
    )  # fmt: skip
    # As it is loaded, as all systems are measured too: what comes before and after is computed alike.
    measured = load_text_model(str(settings.backbone)).to(best_device())
    before = held_out_nll(measured, text_documents(settings, tokenizer), None, "text")
    return {
        "parameters": num_parameters(model),
        "tokens": recipe.num_ids,
        "text_nll": before.nll,
        "last_loss": history[-1]["loss"],
    }


def text_documents(settings: Settings, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Held-out stories about all facts as ids behind an end of sequence."""
    stories = (settings.world.test_story(i, heard_only=False) for i in range(2 * settings.scale.num_test_stories))
    return [[tokenizer.eos_token_id, *tokenizer(s.text, add_special_tokens=False)["input_ids"]] for s in stories]


def train_one(settings: Settings, system: str, report: Report) -> dict[str, Any]:
    """Train one system on the backbone: the same rows in the same order for all of them."""
    scale, tokenizer = settings.scale, load_tokenizer(settings.backbone)
    text_model = load_text_model(str(settings.backbone))
    units = read_shards(settings.shards("train"))
    run = Run(
        text_model=text_model,
        tokenizer=tokenizer,
        system=system,
        settings=settings_of(
            system,
            text_model.config,
            num_input_layers=scale.num_input_layers,
            num_output_layers=scale.num_output_layers,
        ),
        recipe=recipes(settings)[1],
        units=units.metadata,
        speech=AlignedCorpus(units, tokenizer, units.metadata.frame_rate),
        text=TextSource(settings.text, tokenizer),
        seed=settings.seed,
    )
    trained = run.train(settings.work / system, settings.model(system), report)
    return {
        "parameters": trained.num_parameters,
        "train_seconds": trained.seconds,
        "train_tokens": trained.num_ids,
        "history": trained.history,
    }


def evaluate_one(settings: Settings, system: str, report: Report) -> dict[str, Any]:
    """Everything that is measured of one system; its per-item logs lie in ``OUT/evaluation/SYSTEM``."""
    scale, folder = settings.scale, settings.out / "evaluation" / system
    model, tokenizer = load_model(settings.model(system))
    ids = model.config.id_space
    units = load_unit_tokenizer(settings.units)
    vocoder = load_vocoder(settings.vocoder, units.fingerprint)
    items = questions(settings, tokenizer)
    result = evaluate_clozes(
        model, items, ids, seed=settings.seed, progress=ReportBar(report), log_path=folder / "clozes.jsonl"
    )
    test, may_be_said = read_shards(settings.shards("test"), fingerprint=units.fingerprint), judge_texts(settings)
    spoken = [Document(ids).speech(test.units(i)).input_ids for i in range(len(test))]
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
    figures: dict[str, Any] = {
        **result.cells,
        "lens": lens_cells(answer_lens(model, only_read(items), log_path=folder / "lens.jsonl"), seed=settings.seed),
        "speech_nll": held_out_nll(model, spoken, ids, "speech").nll,
        "text_nll_after": held_out_nll(model, text_documents(settings, tokenizer), ids, "text").nll,
        **heard.as_dict("recognition"),
        **said.as_dict("synthesis"),
    }
    if system == "late":
        figures["selector"] = selector_profile(model, spoken)
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
