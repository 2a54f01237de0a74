"""A training run by itself: from a text model and shards to a model directory."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_text
from smoltolk.common.lock import hold
from smoltolk.common.made import digest_of_model
from smoltolk.common.object_stores import local_copy
from smoltolk.common.processes import is_main, num_processes
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.index import aligned_shards
from smoltolk.data.shards.shard_set import SHARD_ENDINGS, look_over
from smoltolk.data.texts.text_index import WrittenText
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.model.text_models.positions import trained_positions
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.training.attending import check_attention
from smoltolk.training.backbone import load_tokenizer
from smoltolk.training.changes import OPTIONS
from smoltolk.training.checks import check_build, check_fit
from smoltolk.training.hardware import Hardware
from smoltolk.training.loop.log import RECORD
from smoltolk.training.loop.opening import Asker, open_loop
from smoltolk.training.recipes.places import named_places
from smoltolk.training.recipes.tree import RunRecipe
from smoltolk.training.recipes.yaml_files import RECIPE_FILE, to_yaml
from smoltolk.training.run import Run
from smoltolk.training.systems import Settings, system_named
from smoltolk.training.trainer import Report
from smoltolk.training.tuning.starting import Start, check_going_on, going_on, is_smoltolk, known_name, open_start
from smoltolk.training.workplace import ID_LAYOUT, Workplace, plain

_LITTLE_SPEECH = 3600.0  # seconds
_NEWER = ("shards", "text_model_content")  # of what a run notes of itself; records of earlier versions lack them


class TrainingJob:
    """Checks everything that can be checked, then trains; a killed run goes on where its last checkpoint is.

    Args:
        tree: all that decides it, its places too.
        ask: makes a measure of the question sets that ``tree.logging`` names; None: there must be none.

    Attributes:
        tree: as it was given.
        recipe: its stages, and what they share.
        tokenizer: of the text model.
        shards: what they are and hold in all.
        figures: of an earlier run of the same job that is whole, else None.

    Raises:
        NotFoundError, InputError: something is missing or does not fit.
    """

    def __init__(self, tree: RunRecipe, ask: Asker | None = None):
        text_model, shards, self.out = named_places(tree)
        tree = replace(tree, hardware=tree.hardware.decided())
        self.tree, self.recipe, self.seed, self._ask = tree, tree.recipe(), tree.seed, ask
        system_named(tree.model.system)
        self._text = None if tree.data.text is None else WrittenText(local_copy(tree.data.text), index=tree.data.index)
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(text_model)
        units = None if tree.data.units is None else load_unit_tokenizer(tree.data.units).fingerprint
        self.shards = look_over(local_copy(shards, SHARD_ENDINGS), fingerprint=units)
        self._start: Start | None = None
        self._text_model, (self._text_config, self._settings) = text_model, self._begin(text_model)
        self._place = Workplace(
            self.out, self._command(text_model), OPTIONS, newer=_NEWER, on_cpu=tree.hardware.kind == "cpu"
        )
        self.figures = self._place.figures
        self._speech: AlignedCorpus | None = None
        self._written: AlignedCorpus | None = None

    def _begin(self, name: str) -> tuple[PreTrainedConfig, Settings]:
        """The text model's configuration, and the settings of what is put around it; none where training goes on."""
        tuning = self.tree.tuning
        if tuning.lora is not None and self.tree.hardware.fsdp:
            raise InputError(
                "a LoRA trains in copies of the model: what it adds is small, and its weights stand still",
                "hardware.fsdp=true",
                "leave one of them out",
            )
        if tuning.start is None and not is_smoltolk(name):
            text_model = load_text_model(name)  # for checks alone: it is let go before the training
            check_fit(text_model, self.tokenizer, self.recipe)
            check_attention(text_model, self.tree.hardware)
            return text_model.config, self.tree.model.settings(text_model.config)
        self._start = open_start(
            name,
            units=self.shards.metadata,
            predict_switch=self.recipe.predict_switch,
            lora=tuning.lora,
            dtype=self.tree.hardware.torch_dtype,
            seed=self.seed,
        )
        check_build(self.tree.model, self._start.config, self._start.system)
        check_attention(self._start.inner, self.tree.hardware)
        self.recipe = going_on(self.recipe, self._start)
        check_going_on(self._start, self.tokenizer, self.recipe)
        return self._start.config.text_config, {}

    def _command(self, text_model: str) -> dict[str, Any]:
        """All that decides what comes out; what came later is left out where it changes nothing."""
        tree, here = self.tree, Path(text_model)
        command = {
            "verb": "train",
            "id_layout": ID_LAYOUT,
            "text_model": known_name(text_model),
            "text_model_content": digest_of_model(here) if here.is_dir() else None,
            "text": None if self._text is None else self._text.digest,
            "units": asdict(self.shards.metadata),
            "shards": self.shards.digest(),
            "utterances": self.shards.num_utterances,
            "seconds": self.shards.seconds,
            "system": tree.model.system,
            "settings": self._settings,
            "recipe": plain(self.recipe),
            "seed": tree.seed,
        } | tree.logging.decides
        if tree.hardware.dtype != Hardware().dtype:
            command["dtype"] = tree.hardware.dtype
        if tree.tuning.lora is not None:
            command["lora"] = json.loads(json.dumps(asdict(tree.tuning.lora)))
        return command

    @property
    def advice(self) -> list[str]:
        """What should be changed although it works."""
        told = [] if self._start is None else list(self._start.notes)
        told += [] if self.shards.warning is None else [self.shards.warning]
        if self.shards.seconds < _LITTLE_SPEECH:
            told.append(
                f"{self.shards.seconds / 60:.0f} minutes of speech are little to learn from: the quick start's small"
                " models hear nine hours"
            )
        if torch.cuda.device_count() > num_processes():
            told.append(
                f"{torch.cuda.device_count()} GPUs are there and {num_processes()} will be used: torchrun"
                f" --nproc-per-node {torch.cuda.device_count()} --no-python smoltolk train ... uses all"
            )
        length, known = self.recipe.row_length, trained_positions(self._text_config)
        if known is not None and length > known:
            told.append(
                f"the text model was made for {known:,} positions and has not seen the distances in rows of {length:,}"
                f" ids: --row-length {known} stays within them"
            )
        median, spans = float(np.median(self.shards.words_of_some())), self.recipe.spans
        if "interleaved" in self.recipe.stages[0].mixture and 0 < median < spans.text[0] + spans.speech[0]:
            told.append(
                f"half of the recordings have {median:.0f} words or fewer, too few for runs of {spans.text[0]} and"
                f" {spans.speech[0]} words to take turns: {shorter_runs(median)}"
            )
        return told

    @property
    def num_steps(self) -> int:
        """Optimizer steps of all stages."""
        return self.recipe.num_steps

    def open(self) -> AlignedCorpus:
        """The speech, ready for rows, and with it the text; of large ones an index is made the first time, behind a bar
        of its own."""
        if self._speech is None:
            _ = self._place.work  # what another command left is told before the long work
            self._speech = aligned_shards(self.shards, self.tokenizer, index=self.tree.data.index)
            self._written = None if self._text is None else self._text.open(self.tokenizer)
        return self._speech

    def plan(self) -> Run:
        """All that decides the training."""
        speech = self.open()
        opened = open_loop(
            self.tree.logging, speech=speech, text=self._written, units=self.shards.metadata,
            row_length=self.recipe.row_length, tokenizer=self.tokenizer, folder=self._place.work / RECORD,
            name=self.out.name, command=self._place.command, ask=self._ask,
        )  # fmt: skip
        return Run(
            text_model=self._text_model,
            tokenizer=self.tokenizer,
            system=self.tree.model.system if self._start is None else self._start.system or self.tree.model.system,
            settings=self._settings,
            recipe=self.recipe,
            units=self.shards.metadata,
            speech=opened.speech,
            text=opened.text,
            seed=self.seed,
            hardware=self.tree.hardware,
            loop=opened.loop,
            start=self._start,
            lora=self.tree.tuning.lora,
        )

    def run(self, report: Report | None = None) -> dict[str, Any]:
        """Train, write the model directory, and return its figures.

        Args:
            report: called with the steps done.
        """
        with hold(self.out):
            work = self._place.work
            trained = self.plan().train(work, work / "model", report)
            if is_main():
                write_text(work / "model" / RECIPE_FILE, to_yaml(self.tree))
            last = trained.history[-1]
            figures: dict[str, Any] = {
                "parameters": trained.num_parameters,
                "seconds": round(trained.seconds, 1),
                "ids_per_second": round(trained.num_ids / trained.seconds, 1),
                **{name: last[name] for name in ("loss", "text_loss", "speech_loss") if name in last},
            }
            self._place.put_in_place(figures)
        return figures


def shorter_runs(words: float) -> str:
    """What to do where half of the recordings have so many words, or fewer, and runs of text and speech are longer."""
    for fewest, most in ((2, 6), (1, 4)):
        if 2 * fewest <= words:
            return f"try --spans {fewest}-{most},{fewest}-{most}"
    return "no spans are short enough, recordings of several words are needed"
