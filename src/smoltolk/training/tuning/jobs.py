"""What tuning on dialogues and on preferences have in common: from a model and a file of rows to encoded dialogues."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import TrainerCallback

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, write_jsonl
from smoltolk.common.lock import hold
from smoltolk.common.made import digest_of_file
from smoltolk.common.processes import is_main
from smoltolk.common.progress import Bar
from smoltolk.common.rejection import Rejected
from smoltolk.inference.bundle import own_units
from smoltolk.inference.parts import load_config
from smoltolk.model.text_models.positions import longest_row, trained_positions
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.training.backbone import load_tokenizer
from smoltolk.training.hardware import Hardware
from smoltolk.training.loop.run_loop import RunLoop, distinct_name
from smoltolk.training.loop.settings import Logging
from smoltolk.training.loop.stage_loop import StageLoop
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.stages import StageLog, save_model
from smoltolk.training.systems import num_parameters
from smoltolk.training.trainer import Report
from smoltolk.training.tuning.dialogues import read_dialogues
from smoltolk.training.tuning.encoding import Encoded, Recordings, encode_dialogues
from smoltolk.training.tuning.places import check_units_named, num_recordings
from smoltolk.training.tuning.settings import Amount, LoraSettings
from smoltolk.training.tuning.starting import Start, known_name, open_start
from smoltolk.training.workplace import ID_LAYOUT, RECORD, Workplace

_LONGEST = 2048  # ids of a dialogue, where a model names no length of its own
_SMALL = 20e6  # parameters


class DialogueJob(ABC):
    """Reads and checks; then, when it is run, trains. A killed run goes on where its last checkpoint is.

    Args:
        model: directory or hub id of a SmolTolk model, or directory of a LoRA, which is then trained on or, where
            weights train, goes into them.
        rows: file of dialogues, see :mod:`smoltolk.training.tuning.dialogues`.
        out: the model directory, or with ``lora`` that of a LoRA; checkpoints lie in ``OUT.work`` until it is whole.
        units: directory of the model's units, where there are recordings; None: a bundle's own.
        amount: how much, and how fast.
        lora: train a LoRA; None: the weights.
        predict_switch: learn in which modality to answer, too.
        logging: how often a line of ``log.jsonl`` is written, and who else is told; nothing is validated.
        seed: of the order of rows and of what is new.

    Attributes:
        dialogues: those that can be read.
        rejected: what cannot be used, more of it once the job is opened.
        figures: of an earlier run of the same job that is whole, else None.

    Raises:
        NotFoundError, InputError: something is missing or does not fit.
    """

    VERB: ClassVar[str]
    PREFERENCES: ClassVar[bool] = False

    def __init__(
        self,
        model: Path | str,
        rows: Path,
        out: Path,
        *,
        units: Path | None = None,
        amount: Amount | None = None,
        lora: LoraSettings | None = None,
        predict_switch: bool = False,
        logging: Logging | None = None,
        seed: int = 0,
    ):
        self.model_name, self.out, self.amount = model, out, amount or Amount()
        self.lora, self.seed, self.logging = lora, seed, logging or Logging()
        self.bf16 = Hardware().computes_bfloat16
        self.config = load_config(model)
        self.tokenizer = load_tokenizer(model)
        self.config.id_space.check_tokenizer(self.tokenizer)
        self.predict_switch = predict_switch or self.config.predict_switch
        self.rejected: list[Rejected] = []
        self.dialogues = read_dialogues(rows, self.rejected, preferences=self.PREFERENCES)
        _check_length(self)
        self._units = _checked_units(self, units)
        command = {
            "verb": self.VERB,
            "id_layout": ID_LAYOUT,
            "model": known_name(model),
            "rows": digest_of_file(rows),
            "units": None if self._units is None else self._units.fingerprint,
            "amount": asdict(self.amount),
            "lora": None if lora is None else json.loads(json.dumps(asdict(lora))),
            "predict_switch": self.predict_switch,
            "seed": seed,
            **self.more_of_command(),
        } | ({} if self.bf16 else {"bf16": False})
        self._place = Workplace(out, command)
        self.figures = self._place.figures
        self._encoded: list[Encoded] | None = None

    def more_of_command(self) -> dict[str, Any]:
        """What else decides the result, as JSON takes it."""
        return {}

    # ------------------------------------------------------------------ what is read

    @property
    def num_recordings(self) -> int:
        """Recordings of all dialogues, each once."""
        return num_recordings(self.dialogues)

    @property
    def row_length(self) -> int:
        """Most ids of a dialogue."""
        return self.amount.row_length or min(_LONGEST, trained_positions(self.config.text_config) or _LONGEST)

    def open(self, progress: Bar | None = None) -> list[Encoded]:
        """The dialogues as ids; recordings become units, those that were heard before from the cache.

        Args:
            progress: advanced by recordings.

        Raises:
            InputError: not one of them can be used.
        """
        if self._encoded is None:
            _ = self._place.work  # what another command left is told before the long work
            units = {}
            if self._units is not None:
                paths = [path for dialogue in self.dialogues for path in dialogue.recordings]
                units = Recordings(self._units).units_of(paths, self.rejected, progress)
            self._encoded = encode_dialogues(
                self.dialogues, self.config.id_space, self.tokenizer, units, self.rejected,
                longest=self.row_length, predict_switch=self.predict_switch,
            )  # fmt: skip
        if not self._encoded:
            raise InputError("there is a dialogue to learn from", f"{self.rejected[0].line()}", "correct the rows")
        return self._encoded

    @property
    def notes(self) -> list[str]:
        """What should be known although it works."""
        if self._units is not None and self.config.unit_fingerprint is None:
            return [f"{self.model_name} does not say of which units it is: those given are taken for its own"]
        return []

    # ------------------------------------------------------------------ what is done

    @property
    @abstractmethod
    def rows_per_step(self) -> int:
        """Rows or pairs of an optimizer step."""

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """Optimizer steps."""

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """Peak rate: small models learn at higher ones, and so do the matrices of a LoRA."""

    @property
    def is_small(self) -> bool:
        """Whether the model is of the size of the quick start's."""
        text: Any = self.config.text_config
        return text.num_hidden_layers * text.hidden_size**2 * 12 < _SMALL

    @property
    @abstractmethod
    def ids_per_step(self) -> int:
        """Ids of an optimizer step."""

    def recipe(self) -> Recipe:
        """Of one stage."""
        steps = self.num_steps
        stage = Stage(
            name=self.VERB,
            num_steps=steps,
            trainable="all",
            learning_rate=self.learning_rate,
            warmup_steps=steps // 20,
            decay_steps=steps // 2,
            mixture={},
        )
        return Recipe(
            stages=(stage,),
            row_length=self.row_length,
            rows_per_step=self.rows_per_step,
            bf16=self.bf16,
            predict_switch=self.predict_switch,
            save_steps=self.amount.save_steps,
        )

    def start(self) -> Start:
        """The model before its first step: weights that train in float32, those beside a LoRA as they lie."""
        return open_start(
            self.model_name,
            predict_switch=self.predict_switch,
            lora=self.lora,
            dtype=torch.float32 if self.lora is None else None,
            seed=self.seed,
        )

    @abstractmethod
    def train(
        self, start: Start, work: Path, report: Report | None, callbacks: Sequence[TrainerCallback]
    ) -> tuple[StageLog, dict[str, Any]]:
        """Train, and return the log and what is special in the figures."""

    @contextmanager
    def _logged(self, folder: Path) -> Iterator[StageLoop]:
        """Lines of ``log.jsonl`` while the block trains."""
        command = self._place.command
        name = distinct_name(self.out.name, folder, command)
        loop = RunLoop(settings=self.logging, folder=folder, name=name, command=command)
        with loop.stage(self.VERB, 0, self.ids_per_step, None, {}) as callback:
            yield callback

    def run(self, report: Callable[[float, str], None] | None = None) -> dict[str, Any]:
        """Train, write the model directory or that of the LoRA, and return its figures.

        Args:
            report: called with the steps done.
        """
        with hold(self.out):
            work = self._place.work
            encoded, start = self.open(), self.start()
            with self._logged(work / RECORD) as callback:
                log, more = self.train(start, work / self.VERB, report, [callback])
            history = [{**entry, "stage": self.VERB} for entry in log.history]
            known = self._known_before() | {"start": known_name(self.model_name), "history": history}
            save_model(start.model, work / "model", known, self.tokenizer)
            if is_main():
                write_jsonl(work / "model" / "rejected.jsonl", (one.row() for one in self.rejected))
            figures = {
                "parameters": num_parameters(start.inner),
                "trained": sum(one.numel() for one in start.model.parameters() if one.requires_grad),
                "dialogues": len(encoded),
                "rejected": len(self.rejected),
                "steps": self.num_steps,
                "seconds": round(log.seconds, 1),
                "loss": history[-1]["loss"],
                **more,
            }
            self._place.put_in_place(figures)
        return figures

    def _known_before(self) -> dict[str, Any]:
        """What is known of the model that is tuned: its units and its system stay what they were."""
        path = Path(self.model_name) / "training.json"
        before = read_json(path) if path.is_file() else {}
        return {name: value for name, value in before.items() if name not in ("history", "start")} | {"seed": self.seed}


def _checked_units(job: DialogueJob, units: Path | None) -> Any:
    """The unit tokenizer, where there is something to hear."""
    units = units or own_units(job.model_name)
    check_units_named(job.dialogues, units)
    if units is None or not job.num_recordings:
        return None
    tokenizer, config = load_unit_tokenizer(units), job.config
    if (
        (tokenizer.num_units, tokenizer.num_codebooks) != (config.num_units, config.num_codebooks)
        or config.unit_fingerprint not in (None, tokenizer.fingerprint)
    ):  # fmt: skip
        raise InputError(
            "a model is tuned with the units that it was trained with",
            f"{units}: {tokenizer.num_units} units ({tokenizer.fingerprint[:16]}), model: {config.num_units}",
            "name its own units; other units are learned by `smoltolk train MODEL SHARDS OUT`",
        )
    return tokenizer


def _check_length(job: DialogueJob) -> None:
    longest = longest_row(job.config.text_config)
    if longest is not None and job.row_length > longest:
        raise InputError(
            "a row is no longer than the model has positions",
            f"rows of {job.row_length:,} ids, {longest:,} positions",
            f"give --row-length {longest}",
        )
