"""The training of a small text model by itself: from a file of text to a directory of transformers."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_file
from smoltolk.common.lock import hold
from smoltolk.common.processes import is_main
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.texts.reading import endless, fitting_pieces
from smoltolk.data.texts.text_index import WrittenText
from smoltolk.training.backbone import as_text_model_has_it, new_backbone, pretrain, train_tokenizer
from smoltolk.training.hardware import Hardware
from smoltolk.training.presets import text_recipe
from smoltolk.training.processes import wait_for_all
from smoltolk.training.recipe import BackboneSize
from smoltolk.training.systems import num_parameters
from smoltolk.training.trainer import Report
from smoltolk.training.workplace import Workplace, plain

_LOWEST_VOCABULARY = 257  # every byte and the end of sequence


class TextJob:
    """Checks everything that can be checked, then trains; a killed run goes on where its last checkpoint is.

    Args:
        text: a document a line.
        out: the model directory; checkpoints lie in ``OUT.work`` until it is whole.
        size: of the model.
        steps, row_length, rows_per_step, learning_rate: of the training.
        device_rows: rows of one forward pass on each device; None: as many as have 16,384 ids.
        seed: of weights and order.
        index: where to keep an index of the text; None: beside a large one.

    Attributes:
        figures: of an earlier run of the same job that is whole, else None.

    Raises:
        NotFoundError, InputError: something is missing or does not fit.
    """

    def __init__(
        self,
        text: Path,
        out: Path,
        *,
        size: BackboneSize,
        steps: int,
        row_length: int = 256,
        rows_per_step: int = 16,
        learning_rate: float = 3e-3,
        device_rows: int | None = None,
        seed: int = 0,
        index: Path | None = None,
    ):
        _check(size, row_length=row_length, rows_per_step=rows_per_step, learning_rate=learning_rate)
        self.hardware = Hardware(rows_per_device=device_rows).decided()
        recipe = text_recipe(steps, learning_rate, row_length=row_length, rows_per_step=rows_per_step)
        self.recipe = replace(recipe, bf16=self.hardware.autocast)
        self.out, self.size, self.seed = out, size, seed
        self._text = WrittenText(text, index=index)
        command = {
            "verb": "backbone",
            "text": self._text.digest,
            "size": asdict(size),
            "recipe": plain(self.recipe),
            "seed": seed,
        }
        self._place = Workplace(out, command)
        self.figures = self._place.figures

    @property
    def num_steps(self) -> int:
        """Optimizer steps."""
        return self.recipe.num_steps

    @cached_property
    def tokenizer(self) -> Any:
        """Of the model, trained on the text; an interrupted run finds it in its work."""
        path = self._place.work / "tokenizer.json"
        if is_main() and not path.is_file():
            trained = train_tokenizer(self._text.texts(), self.size.vocab_size)
            with atomic_file(path) as temporary:
                trained.backend_tokenizer.save(str(temporary))
        wait_for_all()
        return as_text_model_has_it(Tokenizer.from_file(str(path)))

    @cached_property
    def corpus(self) -> AlignedCorpus:
        """The text, ready for rows; of a large one an index is made the first time, behind a bar of its own."""
        return self._text.open(self.tokenizer)

    def run(self, report: Report | None = None) -> dict[str, Any]:
        """Train, write the model directory, and return its figures.

        Args:
            report: called with the steps done.
        """
        with hold(self._place.out):
            work = self._place.work
            model = new_backbone(self.tokenizer, self.size, self.seed, self.recipe.row_length)
            pieces, pieces_per_row = fitting_pieces(self.corpus, self.recipe.row_length, self.seed)
            history = pretrain(
                model,
                self.tokenizer,
                endless(pieces, self.seed),
                self.recipe,
                work / "text",
                work / "model",
                stories_per_row=pieces_per_row,
                seed=self.seed,
                report=report,
                hardware=self.hardware,
            )
            figures = {"parameters": num_parameters(model), "ids": self.recipe.num_ids, "loss": history[-1]["loss"]}
            self._place.put_in_place(figures)
        return figures


def _check(size: BackboneSize, **numbers: float) -> None:
    for name, value in numbers.items():
        if not value > 0:
            raise InputError(f"{name} must be above 0", f"{value}", "give a positive number")
    if size.num_layers < 1 or size.num_heads < 1 or size.hidden_size < 32 or size.hidden_size % (2 * size.num_heads):
        raise InputError(
            "a model has a layer and a head at least, and a width (32 or more) that is an even multiple of its heads",
            f"{size.num_layers} layers, {size.num_heads} heads, width {size.hidden_size}",
            "choose e.g. 4 layers, 4 heads and a width of 128",
        )
    if size.vocab_size < _LOWEST_VOCABULARY:
        raise InputError(
            f"a vocabulary holds every byte: {_LOWEST_VOCABULARY} ids at least", f"{size.vocab_size}", "give more"
        )
