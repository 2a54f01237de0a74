"""From where a training starts, and what it changes there, as data."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

from smoltolk.common.errors import InputError, named

# What ``targets`` and ``whole`` of a LoRA name beside modules of the model.
BACKBONE, SPEECH = "backbone", "speech"
# Losses of TRL for preferences that need no settings of their own.
LOSSES = ("sigmoid", "sigmoid_norm", "ipo", "hinge", "apo_zero", "apo_down", "nca_pair")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """Low-rank matrices of PEFT beside the weights of a model, which stay as they are.

    Attributes:
        r: rank.
        alpha: the product of two matrices is scaled by ``alpha / r``; None: 2 r.
        dropout: of what the matrices read.
        targets: where they stand: ``backbone`` (every linear layer of the text model's blocks), ``speech`` (every
            linear layer of the speech adapters and of the selector), or ends of names of modules, as PEFT takes them.
        whole: what is trained whole and saved with them: ``speech`` (all that the text model did not bring) or names of
            modules; None: ``speech`` where it is new, of a trained model nothing.
    """

    r: int = 16
    alpha: float | None = None
    dropout: float = 0.0
    targets: tuple[str, ...] = (BACKBONE, SPEECH)
    whole: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.r < 1 or not 0 <= self.dropout < 1 or (self.alpha is not None and not self.alpha > 0):
            raise InputError(
                "a LoRA has a rank of 1 or more, an alpha above 0, and a dropout below 1",
                f"r = {self.r}, alpha = {self.alpha}, dropout = {self.dropout}",
                "write e.g. r=16,alpha=32",
            )
        if not self.targets:
            raise InputError("a LoRA stands somewhere", "no targets", "leave them out, or name backbone or speech")

    @property
    def scale(self) -> float:
        """What the product of two matrices is multiplied by."""
        return (2 * self.r if self.alpha is None else self.alpha) / self.r


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """From where a training starts, and what it changes there.

    Attributes:
        start: directory or hub id of a SmolTolk model, trained or converted, or of a LoRA of one; None: a text model,
            around which speech is put.
        lora: train low-rank matrices in place of the weights; None: the weights.
    """

    start: str | None = None
    lora: LoraSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What is optimised.

    Attributes:
        beta: how dearly it is paid to leave the model that it began with.
        loss: one of :data:`LOSSES`; ``sigmoid`` is DPO's own.
        answer_weight: of the better answers' own loss beside it, which keeps them likely.
        hold_out: share of the pairs that are asked about before and after and never learned from.
    """

    beta: float = 0.1
    loss: str = "sigmoid"
    answer_weight: float = 0.0
    hold_out: float = 0.1

    def __post_init__(self) -> None:
        named("a loss", self.loss, dict.fromkeys(LOSSES))
        if not self.beta > 0 or self.answer_weight < 0 or not 0 <= self.hold_out < 1:
            raise InputError(
                "beta is above 0, an answer's weight 0 or more, and something is left to learn from",
                f"beta = {self.beta}, answer_weight = {self.answer_weight}, hold_out = {self.hold_out}",
                "give e.g. beta 0.1, hold_out 0.1",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much is tuned, and how fast; None: as suits the model.

    Attributes:
        epochs: times that each row is seen; not with ``steps``.
        steps: optimizer steps.
        learning_rate: peak rate.
        row_length: most ids of a dialogue; of tuning, of a row, into which several are packed.
        rows_per_step: rows, or pairs, of an optimizer step.
        save_steps: optimizer steps between checkpoints.
    """

    epochs: float | None = None
    steps: int | None = None
    learning_rate: float | None = None
    row_length: int | None = None
    rows_per_step: int | None = None
    save_steps: int = 100

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise InputError(
                "epochs or steps say how long a tuning lasts", f"{self.epochs:g} and {self.steps}", "give one of them"
            )
        for name, value in asdict(self).items():
            if value is not None and not value > 0:
                raise InputError(f"{name} must be above 0", f"{value}", "give a positive number")


def parse_lora(text: str) -> LoraSettings:
    """``"r=16,alpha=32,dropout=0.05,targets=backbone+speech,whole=units"`` as settings; every part may be left out.

    Raises:
        InputError: something else.
    """
    given: dict[str, object] = {}
    kinds: dict[str, Callable[[str], object]] = {
        "r": int,
        "alpha": float,
        "dropout": float,
        "targets": _names,
        "whole": _names,
    }
    for part in text.replace(" ", "").split(","):
        name, _, value = part.partition("=")
        try:
            given[name] = kinds[name](value)
        except (KeyError, ValueError) as error:
            raise InputError(
                f"a LoRA is written like r=16,alpha=32, of the parts {', '.join(kinds)}",
                repr(part),
                "correct this part; several names have + between them: targets=backbone+speech",
            ) from error
    return dataclasses.replace(LoraSettings(), **given)  # type: ignore[arg-type]


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split("+"))
    if not all(re.fullmatch(r"[\w.]+", name) for name in names):
        raise ValueError(text)
    return names
