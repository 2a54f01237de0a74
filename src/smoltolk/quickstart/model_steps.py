"""Steps with a language model: the backbone, the three systems, and what each of them learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from smoltolk.common.progress import ReportBar
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.mixture import TextSource
from smoltolk.data.shards.parquet import UnitCorpus, read_shards
from smoltolk.evaluation.cloze import evaluate_clozes, option_id, spoken_clozes
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.evaluation.samples import make_samples
from smoltolk.evaluation.selector import selector_profile
from smoltolk.evaluation.transcription import recognition, synthesis
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.speech_steps import clozes, judge_texts, test_sentences
from smoltolk.speech.audio import load
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.kinds import load_vocoder
from smoltolk.training.attention import use_cpu_attention
from smoltolk.training.backbone import load_tokenizer, new_backbone, pretrain, train_tokenizer
from smoltolk.training.recipe import Recipe
from smoltolk.training.run import train_system
from smoltolk.training.systems import System, build_system, num_parameters
from smoltolk.training.trainer import Report

# Rates of the paper's 150M model: a pretrained model bears less than a small one trained from nothing.
_PRETRAINED_RATES = {"text": 3e-4, "stage1": 3e-3, "stage2": 3e-4}


def _for_pretrained(recipe: Recipe) -> Recipe:
    stages = tuple(replace(stage, learning_rate=_PRETRAINED_RATES[stage.name]) for stage in recipe.stages)
    return replace(recipe, stages=stages)


def train_backbone(settings: Settings, report: Report) -> dict[str, Any]:
    """A text model that knows the world: a small one from nothing, or one's own that reads the world's text."""
    scale = settings.scale
    if settings.text_model is None:
        tokenizer = train_tokenizer((settings.text(i) for i in range(2000)), scale.backbone.vocab_size)
        model: PreTrainedModel = new_backbone(tokenizer, scale.backbone, settings.seed)
        recipe = scale.text
        if not torch.cuda.is_available():
            use_cpu_attention(model)
    else:
        tokenizer = load_tokenizer(settings.text_model)
        model = load_text_model(settings.text_model)
        recipe = _for_pretrained(scale.text)
    history = pretrain(
        model, tokenizer, settings.text, recipe, settings.work / "backbone", settings.backbone,
        seed=settings.seed, report=report,
    )  # fmt: skip
    documents = text_documents(settings, tokenizer)
    before = held_out_nll(model, documents, None, "text")
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


def train_one(settings: Settings, system: System, report: Report) -> dict[str, Any]:
    """Train one system on the backbone: the same rows in the same order for all three."""
    scale = settings.scale
    tokenizer = load_tokenizer(settings.backbone)
    backbone = load_text_model(str(settings.backbone))
    units = read_shards(settings.shards("train"))
    model, stage1_names = build_system(
        system,
        backbone,
        num_units=units.metadata.num_units,
        eos_text_id=tokenizer.eos_token_id,
        num_input_layers=scale.num_input_layers,
        num_output_layers=scale.num_output_layers,
        unit_fingerprint=units.metadata.fingerprint,
        seed=settings.seed,
    )
    if settings.text_model is None and not torch.cuda.is_available():
        use_cpu_attention(model)
    recipe = scale.speech if settings.text_model is None else _for_pretrained(scale.speech)
    trained = train_system(
        model,
        stage1_names,
        recipe,
        AlignedCorpus(units, tokenizer, units.metadata.frame_rate),
        TextSource(settings.text, tokenizer),
        tokenizer,
        settings.work / system,
        settings.model(system),
        seed=settings.seed,
        report=report,
        extra={"units": asdict(units.metadata), "system": system},
    )
    return {
        "parameters": num_parameters(model),
        "train_seconds": trained["train_seconds"],
        "train_tokens": trained["num_ids"],
        "history": trained["history"],
    }


def evaluate_one(settings: Settings, system: System, report: Report) -> dict[str, Any]:
    """Everything that is measured of one system; its per-item logs lie in ``OUT/evaluation/SYSTEM``."""
    scale, folder = settings.scale, settings.out / "evaluation" / system
    tokenizer = load_tokenizer(settings.model(system))
    model = SmolTolkForCausalLM.from_pretrained(settings.model(system)).eval()
    ids = model.config.id_space
    units = load_unit_tokenizer(settings.units)
    vocoder = load_vocoder(settings.vocoder, units.fingerprint)
    items = spoken_clozes(
        clozes(settings), read_shards(settings.shards("cloze"), fingerprint=units.fingerprint), tokenizer
    )
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
