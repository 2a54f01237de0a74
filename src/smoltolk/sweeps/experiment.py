"""A question as data: which recipe, what of it varies, and what will be looked at, all said before the first run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.report.results import DIRECTIONS
from smoltolk.training.recipes.binding import Further, changed
from smoltolk.training.recipes.overrides import add_change
from smoltolk.training.recipes.tree import RunRecipe

_CLOZE = re.compile(r"cloze:(\w+):([ST]->[ST])")
SEED = "seed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an experiment looks at.

    Attributes:
        name: ``nll:speech`` or ``nll:text``, of the held-out shards, nats per id, lower is better; or
            ``cloze:KIND:DIRECTION`` (``cloze:story:S->T``), the share of right answers to the question sets.

    Raises:
        InputError: another name.
    """

    name: str

    def __post_init__(self) -> None:
        cloze = _CLOZE.fullmatch(self.name)
        if self.name not in ("nll:speech", "nll:text") and (cloze is None or cloze[2] not in DIRECTIONS):
            raise InputError(
                "an outcome is nll:speech, nll:text, or cloze:KIND:DIRECTION",
                repr(self.name),
                "write e.g. cloze:story:S->S",
            )

    @property
    def is_nll(self) -> bool:
        """Whether it is a likelihood of held-out speech or text."""
        return self.name.startswith("nll:")

    @property
    def kind(self) -> str:
        """``speech`` or ``text``; of questions their kind."""
        return self.name.split(":")[1]

    @property
    def direction(self) -> str:
        """Of questions: what is heard or read, and in what the answers are, e.g. ``S->T``."""
        return self.name.split(":")[2]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way that the recipe is trained, with every seed.

    Attributes:
        name: in tables.
        changes: of the recipe: values by dotted name.
    """

    name: str
    changes: Mapping[str, Any]

    def of(self, recipe: RunRecipe, seed: int) -> RunRecipe:
        """The recipe of one trial."""
        further = Further()
        for name, value in self.changes.items():
            add_change(further, name, value)
        return replace(changed(recipe, further), seed=seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A question, and how it will be answered.

    Attributes:
        question: in a sentence; empty on a command line.
        recipe: what all arms share. Its ``logging.held_out`` are the shards of likelihoods, its ``logging.cloze`` the
            question sets (``QUESTIONS=SHARDS``).
        vary: values by dotted name of a setting: every combination is an arm, the first one what others are compared
            with. ``seed`` is not part of an arm: each is trained with every seed.
        arms: more of them, by name, with settings of their own; with these and no ``vary`` the first one is compared
            with.
        outcomes: what is looked at; the first one decides.

    Raises:
        InputError: nothing varies, nothing is looked at, or what is looked at has no data.
    """

    question: str = ""
    recipe: RunRecipe
    vary: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...]

    def __post_init__(self) -> None:
        for name, values in self.vary.items():
            if not values or any(value in values[:place] for place, value in enumerate(values)):
                raise InputError("what varies has values, each once", f"{name}: {list(values)}", "name each once")
        if not self.outcomes or len(set(self.outcomes)) < len(self.outcomes):
            raise InputError(
                "an experiment says what it will look at, each once",
                f"{[outcome.name for outcome in self.outcomes]}",
                "name outcomes, e.g. nll:speech",
            )
        if any(not outcome.is_nll for outcome in self.outcomes) and not self.recipe.logging.cloze:
            raise InputError("questions are asked from sets", "logging.cloze is empty", "name QUESTIONS=SHARDS")
        if any(outcome.is_nll for outcome in self.outcomes) and self.recipe.logging.held_out is None:
            raise InputError(
                "likelihoods are those of held-out shards", "logging.held_out is not set", "add logging.held_out=SHARDS"
            )
        if len(self.all_arms) < 2 and len(self.seeds) < 2:
            raise InputError("something varies", "one arm and one seed", "add --vary SETTING=VALUE,VALUE")
        for arm in self.all_arms:  # a setting that there is not is told before anything is trained
            arm.of(self.recipe, 0)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of every arm."""
        return tuple(self.vary.get(SEED, (self.recipe.seed,)))

    @property
    def all_arms(self) -> tuple[Arm, ...]:
        """In the order of work."""
        varied = {name: values for name, values in self.vary.items() if name != SEED}
        grid = [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
        crossed = [Arm(_told(changes), changes) for changes in grid if changes]
        named = [Arm(name, changes) for name, changes in self.arms.items()]
        return tuple([*crossed, *named]) or (Arm("as it is", {}),)


def _told(changes: Mapping[str, Any]) -> str:
    """``layer_mix=static, patch_size=4``: the ends of names, where these tell them apart."""
    ends = [name.rpartition(".")[2] for name in changes]
    names = ends if len(set(ends)) == len(ends) else list(changes)
    return ", ".join(f"{name}={_value(value)}" for name, value in zip(names, changes.values(), strict=True))


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
