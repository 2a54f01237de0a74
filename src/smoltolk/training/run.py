"""A training run: what decides it, as data, and how it goes from a text model to a model directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.data.rows.mixture import TextSource
from smoltolk.data.rows.row_source import RowSource
from smoltolk.data.shards.parquet import ShardMetadata
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.training.hardware import Hardware
from smoltolk.training.loop.run_loop import RunLoop, epochs_of
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.rows import row_source
from smoltolk.training.sharding import is_sharded, load_weights
from smoltolk.training.stages import load_log, run_stage, save_model
from smoltolk.training.systems import Settings, num_parameters
from smoltolk.training.trainer import Report
from smoltolk.training.tuning.lora import has_lora, load_lora_weights
from smoltolk.training.tuning.settings import LoraSettings
from smoltolk.training.tuning.starting import Start, lora_around


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run has done.

    Attributes:
        history: a dict per logged step, counted over all stages.
        seconds: of training, all stages together.
        num_ids: that were seen, padding included.
        num_parameters: of the model.
    """

    history: list[dict[str, Any]]
    seconds: float
    num_ids: int
    num_parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that decides a training.

    Attributes:
        text_model: what speech is put around, by hub id or directory: then no second copy of it is held while the model
            trains; or a loaded one, which is left as it is.
        tokenizer: of its text.
        system: name of what is built, for the record.
        settings: of ``from_text_model``: what makes the system.
        recipe: the stages.
        units: what the shards of the speech are.
        speech: aligned utterances.
        text: running text for the text task; None: the utterances' own.
        seed: of new parameters and rows.
        hardware: how it computes; None: in the recipe's precision, on what is there.
        loop: what is measured and written down meanwhile; None: nothing.
        start: a SmolTolk model to go on with, in place of what the settings make of the text model.
        lora: train a LoRA around what they make.
    """

    text_model: PreTrainedModel | str
    tokenizer: PreTrainedTokenizerBase
    system: str
    settings: Settings
    recipe: Recipe
    units: ShardMetadata
    speech: AlignedCorpus
    text: TextSource | AlignedCorpus | None = None
    seed: int = 0
    hardware: Hardware | None = None
    loop: RunLoop | None = None
    start: Start | None = None
    lora: LoraSettings | None = None

    def build(self) -> SmolTolkForCausalLM:
        """The model before its first step; where a LoRA trains, PEFT's around it."""
        if self.start is not None:
            return self.start.model
        settings: Settings = {
            "num_units": self.units.num_units,
            "num_codebooks": self.units.num_codebooks,
            "unit_fingerprint": self.units.fingerprint,
            "eos_text_id": self.tokenizer.eos_token_id,
            "predict_switch": self.recipe.predict_switch,
            **self.settings,
        }
        dtype = None if self.hardware is None else self.hardware.torch_dtype
        model = SmolTolkForCausalLM.from_text_model(self.text_model, dtype=dtype, seed=self.seed, **settings)
        if self.lora is None:
            return model
        name = self.text_model if isinstance(self.text_model, str) else self.text_model.config.name_or_path
        return lora_around(model, name, settings, self.lora, self.seed)

    def rows(self, stage: Stage, model: SmolTolkForCausalLM) -> RowSource:
        """The rows of one stage."""
        return row_source(stage, self.recipe, model.config.id_space, self.speech, self.text, self.seed)

    def train(self, work: Path, out: Path, report: Report | None = None) -> Trained:
        """Train all stages and save the model with its tokenizer.

        A stage that was finished is loaded, one that was interrupted goes on from its last whole checkpoint. Under
        ``torchrun`` or ``accelerate launch`` every process calls this; the first one writes the directories.

        Args:
            work: for checkpoints and finished stages.
            out: the model directory.
            report: called with the steps done over all stages.
        """
        model = self.build()
        model.config.id_space.check_tokenizer(self.tokenizer)
        history: list[dict[str, Any]] = []
        steps_before, seconds = 0, 0.0
        for stage in self.recipe.stages:
            folder = work / stage.name
            if (folder / "model").is_dir():
                model = _loaded(model, folder / "model")
            else:
                self._train_stage(stage, model, folder, steps_before, report)
                if is_sharded(model) and stage is not self.recipe.stages[-1]:  # what trains was settled when it was
                    model = SmolTolkForCausalLM.from_pretrained(folder / "model", dtype=model.dtype)
            log = load_log(folder)
            seconds += log.seconds
            for entry in log.history:
                history.append({**entry, "step": entry["step"] + steps_before, "stage": stage.name})
            steps_before += stage.num_steps
        known = {"units": asdict(self.units), "system": self.system, "seed": self.seed, "history": history}
        save_model(model, out, known, self.tokenizer)
        return Trained(
            history=history, seconds=seconds, num_ids=self.recipe.num_ids, num_parameters=num_parameters(model)
        )

    def _train_stage(
        self, stage: Stage, model: SmolTolkForCausalLM, folder: Path, before: int, report: Report | None
    ) -> None:
        num_rows = stage.num_steps * self.recipe.rows_per_step
        rows = RowDataset(self.rows(stage, model), num_rows, tell_tasks=True)
        collate = RowCollator(model.config.id_space)
        with self._around(stage, model, before, epochs_of(rows.source, num_rows)) as callbacks:
            run_stage(
                model, self.recipe, stage, rows, collate, folder,
                hardware=self.hardware, seed=self.seed, report=_shifted(report, before), callbacks=callbacks,
            )  # fmt: skip
        save_model(model, folder / "model")

    @contextmanager
    def _around(
        self, stage: Stage, model: SmolTolkForCausalLM, before: int, epochs: dict[str, float]
    ) -> Iterator[list[TrainerCallback]]:
        """What is measured while a stage trains."""
        if self.loop is None:
            yield []
            return
        rows = self.loop.rows(self.recipe, model.config.id_space, self.seed)
        ids = self.recipe.rows_per_step * self.recipe.row_length
        with self.loop.stage(stage.name, before, ids, rows, epochs) as callback:
            yield [callback]


def _loaded(model: SmolTolkForCausalLM, folder: Path) -> SmolTolkForCausalLM:
    """A model with the weights of a directory, in the memory of its own."""
    if has_lora(model):
        load_lora_weights(model, folder)
        return model
    if load_weights(model, folder):
        return model
    dtype = model.dtype
    del model
    return SmolTolkForCausalLM.from_pretrained(folder, dtype=dtype)


def _shifted(report: Report | None, before: int) -> Report | None:
    return None if report is None else lambda step, text: report(before + step, text)
