"""What the model holds at each place of a time line: weights of the selector, and the text head on every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smoltolk.analysis.layer_logits import layer_logits
from smoltolk.analysis.selector import layer_names
from smoltolk.analysis.states import read_documents
from smoltolk.data.rows.documents import Document
from smoltolk.demo.segments import Column
from smoltolk.demo.words import Word
from smoltolk.inference.speech_text import SpeechText

_TOP = 5
_GROUP_SECONDS = 0.4  # of units between words, and where no words are known


@dataclass(frozen=True, slots=True)
class Place:
    """Where the text head is put: the last id of a word, or of a stretch of units.

    Attributes:
        position: in the document.
        start, stop: seconds on the time line.
    """

    position: int
    start: float
    stop: float


@dataclass(frozen=True, slots=True)
class Guess:
    """The likeliest tokens at one place in one layer.

    Attributes:
        tokens: as text, the likeliest first.
        shares: their probabilities among all text ids.
    """

    tokens: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """Which layers speech is read from.

    Attributes:
        layers: their names.
        weights: float64 [columns, layers]; rows sum to 1.
    """

    layers: tuple[str, ...]
    weights: np.ndarray


def selector_weights(talker: SpeechText, document: Document, columns: Sequence[Column]) -> Selector | None:
    """The selector's weights at every column; None where a model has none (early fusion, one layer for all)."""
    config = talker.model.config
    if config.layer_mix != "dynamic":
        return None
    ((_, output),) = read_documents(talker.model, [document], output_selector_weights=True)
    weights = output.selector_weights[0].double().cpu().numpy()
    return Selector(tuple(layer_names(config)), weights[[column.position for column in columns]])


def places_of(columns: Sequence[Column], words: Sequence[Word]) -> list[Place]:
    """Where the head is put: at every token, at the last unit of every word, and now and then between words.

    Args:
        columns: the time line.
        words: on it, in order.
    """
    words = [word for word in words if word.confidence > 0]
    places: list[Place] = []
    group: list[Column] = []

    def close() -> None:
        if group:
            places.append(Place(group[-1].position, group[0].start, group[-1].stop))
            group.clear()

    owner: int | None = None
    for column in columns:
        middle = (column.start + column.stop) / 2
        own = next((k for k, word in enumerate(words) if word.start <= middle < word.stop), None)
        full = own is None and group and column.stop - group[0].start > _GROUP_SECONDS
        if not column.speech or own != owner or full:
            close()
        group.append(column)
        owner = own
        if not column.speech:
            close()
            owner = None
    close()
    return places


def lens(talker: SpeechText, document: Document, places: Sequence[Place]) -> list[list[Guess]]:
    """What the text head makes of the states of each layer.

    Args:
        talker: whose model.
        document: prompt and answer.
        places: of :func:`places_of`.

    Returns:
        A list for each layer, from 0, what the backbone reads, to L: a guess for each place.
    """
    found: dict[int, dict[int, Guess]] = {}
    asked = [(0, (place.position, place.position + 1)) for place in places]
    for numbers, layer, logits in layer_logits(talker.model, [document], asked):
        shares, ids = logits[:, : len(talker.tokenizer)].softmax(-1).topk(_TOP, dim=-1)
        for number, row, share in zip(numbers.tolist(), ids.tolist(), shares.tolist(), strict=True):
            tokens = tuple(talker.tokenizer.decode([token]) for token in row)
            found.setdefault(layer, {})[number] = Guess(tokens, tuple(share))
    return [[found[layer][number] for number in range(len(places))] for layer in sorted(found)]
