"""A training run by itself: from a text model and shards to a model directory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from smoltolk.common.errors import InputError
from smoltolk.common.lock import hold
from smoltolk.common.processes import num_processes
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.index import aligned_shards
from smoltolk.data.shards.shard_set import look_over
from smoltolk.data.texts.text_index import WrittenText
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.model.text_models.positions import trained_positions
from smoltolk.training.backbone import load_tokenizer
from smoltolk.training.changes import OPTIONS, Changes
from smoltolk.training.checks import check_fit
from smoltolk.training.hardware import Hardware
from smoltolk.training.presets import Preset, preset_for, preset_named
from smoltolk.training.recipe import Recipe
from smoltolk.training.run import Run
from smoltolk.training.systems import num_parameters, settings_of, system_named
from smoltolk.training.trainer import Report
from smoltolk.training.workplace import ID_LAYOUT, Workplace, plain

_LITTLE_SPEECH = 3600.0  # seconds


class TrainingJob:
    """Checks everything that can be checked, then trains; a killed run goes on where its last checkpoint is.

    Args:
        text_model: hub id or directory; its tokenizer lies with it.
        shards: directory of shards.
        out: the model directory; checkpoints lie in ``OUT.work`` until it is whole.
        text: running text, a document a line; None: the text of the shards.
        unit_fingerprint: of the units that the shards must be of; None accepts any.
        system: one of :data:`smoltolk.training.systems.SETTINGS`.
        preset: name; None: the one for a text model of this size.
        changes: of the preset.
        device_rows: rows of one forward pass on each device; None: as many as have 16,384 ids.
        seed: of new parameters and rows.
        index: where to keep an index of the shards; None: as :func:`smoltolk.data.rows.index.aligned_shards` has it.

    Attributes:
        preset: the one chosen.
        recipe: with the changes.
        shards: what they are and hold in all.
        figures: of an earlier run of the same job that is whole, else None.

    Raises:
        NotFoundError, InputError: something is missing or does not fit.
    """

    def __init__(
        self,
        text_model: str,
        shards: Path,
        out: Path,
        *,
        text: Path | None = None,
        unit_fingerprint: str | None = None,
        system: str = "late",
        preset: str | None = None,
        changes: Changes | None = None,
        device_rows: int | None = None,
        seed: int = 0,
        index: Path | None = None,
    ):
        self.out, self.system, self.seed, self._index = out, system_named(system), seed, index
        named = None if preset is None else preset_named(preset)
        self._text = None if text is None else WrittenText(text, index=index)
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(text_model)
        self.shards = look_over(shards, fingerprint=unit_fingerprint)
        loaded = load_text_model(text_model)  # for checks alone: it is let go before the training
        if isinstance(loaded, SmolTolkForCausalLM):
            raise InputError(
                "training starts from a model of text alone",
                f"{text_model!r} is a SmolTolk model",
                "name the text model that it was made from",
            )
        self.preset: Preset = named or preset_for(num_parameters(loaded))
        self.recipe: Recipe = (changes or Changes()).apply(self.preset.recipe)
        check_fit(loaded, self.tokenizer, self.recipe)
        self._text_model, self._text_config = text_model, loaded.config
        self._settings = settings_of(
            system,
            self._text_config,
            num_input_layers=self.preset.num_input_layers,
            num_output_layers=self.preset.num_output_layers,
        )
        self.hardware = Hardware(autocast=self.recipe.bf16, rows_per_device=device_rows)
        command = {
            "verb": "train",
            "id_layout": ID_LAYOUT,
            "text_model": str(Path(text_model).resolve()) if Path(text_model).exists() else text_model,
            "text": None if self._text is None else self._text.digest,
            "units": asdict(self.shards.metadata),
            "utterances": self.shards.num_utterances,
            "seconds": self.shards.seconds,
            "system": system,
            "settings": self._settings,
            "recipe": plain(self.recipe),
            "seed": seed,
        }
        self._place = Workplace(out, command, OPTIONS)
        self.figures = self._place.figures
        self._speech: AlignedCorpus | None = None

    @property
    def advice(self) -> list[str]:
        """What should be changed although it works."""
        told = [] if self.shards.warning is None else [self.shards.warning]
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
        """The speech, ready for rows; of large shards an index is made the first time, behind a bar of its own."""
        if self._speech is None:
            _ = self._place.work  # what another command left is told before the long work
            self._speech = aligned_shards(self.shards, self.tokenizer, index=self._index)
        return self._speech

    def plan(self) -> Run:
        """All that decides the training."""
        text = None if self._text is None else self._text.open(self.tokenizer)
        return Run(
            text_model=self._text_model,
            tokenizer=self.tokenizer,
            system=self.system,
            settings=self._settings,
            recipe=self.recipe,
            units=self.shards.metadata,
            speech=self.open(),
            text=text,
            seed=self.seed,
            hardware=self.hardware,
        )

    def run(self, report: Report | None = None) -> dict[str, Any]:
        """Train, write the model directory, and return its figures.

        Args:
            report: called with the steps done.
        """
        with hold(self.out):
            work = self._place.work
            trained = self.plan().train(work, work / "model", report)
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
