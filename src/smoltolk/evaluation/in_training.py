"""Questions that a model in training is asked now and then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import derive
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.world.world_files import read_clozes
from smoltolk.evaluation.questions import SpokenCloze, find_mirrors, spoken_clozes
from smoltolk.evaluation.runs.world_answers import answers_of, world_cells


def cloze_measure(
    sets: Sequence[str], most: int, tokenizer: Any, *, seed: int = 0
) -> Callable[[PreTrainedModel, int], dict[str, float]]:
    """A measure for :class:`smoltolk.training.loop.run_loop.RunLoop`: accuracies on small question sets.

    Args:
        sets: ``QUESTIONS=SHARDS`` each: a directory of ``smoltolk world``, and the shards of its spoken questions.
        most: questions of each kind in each set; mirror images stay together.
        tokenizer: of the text.
        seed: of the bootstrap.

    Returns:
        Called with a model and a step it gives ``KIND/S->T`` and so on, in [0, 1]: the share of pairs where a set
        has mirror images, else of questions. Of several sets the kinds are ``NUMBER-KIND``, numbers from 1.

    Raises:
        NotFoundError, InputError: no such questions or shards.
    """
    places = [_places(one) for one in sets]

    @cache
    def asked() -> list[list[SpokenCloze]]:
        return [_some(questions, shards, most, tokenizer) for questions, shards in places]

    asked()  # what is not there is told before the training begins

    def measure(model: PreTrainedModel, step: int) -> dict[str, float]:
        found: dict[str, float] = {}
        for number, items in enumerate(asked(), 1):
            before = f"{number}-" if len(places) > 1 else ""
            cells = world_cells(answers_of(model, items), derive(seed, "cloze") % 2**32)
            for kind, ways in cells.items():
                for way, cell in ways.items():
                    found[f"{before}{kind}/{way}"] = cell.get("pair", cell)["accuracy"]
        return found

    return measure


def _places(text: str) -> tuple[Path, Path]:
    questions, equals, shards = text.partition("=")
    if not equals:
        raise InputError(
            "a question set is QUESTIONS=SHARDS: a directory of `smoltolk world`, and the shards of what is asked",
            repr(text),
            "name both",
        )
    return Path(questions), Path(shards)


def _some(questions: Path, shards: Path, most: int, tokenizer: Any) -> list[SpokenCloze]:
    """The first questions of each kind; one whose mirror image is the next one stays with it."""
    clozes = read_clozes(questions)
    chosen, counts = [], dict.fromkeys((cloze.kind for cloze in clozes), 0)
    mirrors = find_mirrors(clozes)
    for place, cloze in enumerate(clozes):
        mirror = mirrors[place]
        if counts[cloze.kind] < most or (mirror is not None and mirror < place and clozes[mirror] in chosen):
            chosen.append(cloze)
            counts[cloze.kind] += 1
    return spoken_clozes(chosen, read_shards(shards), tokenizer)
