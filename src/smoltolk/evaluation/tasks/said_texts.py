"""Texts and what is heard of them: items of ``recognition`` (it is heard, and written) and ``synthesis`` (the reverse).

Places are a corpus directory of this project, shards, or, to be spoken, a file of texts (``.txt``, ``.jsonl``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.seeds import generator
from smoltolk.data.corpora.corpus import INFO, read_corpus
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.unit_corpus import ShardMetadata
from smoltolk.data.texts.reading import read_texts
from smoltolk.evaluation.tasks.items import SoundFile
from smoltolk.evaluation.tasks.task import Source

RECOGNITION, SYNTHESIS = "recognition", "synthesis"
SAID_TEXTS = (RECOGNITION, SYNTHESIS)
# Names under which they may lie in a folder of several tasks.
FOLDERS = {
    RECOGNITION: (RECOGNITION,),
    SYNTHESIS: (SYNTHESIS, f"{SYNTHESIS}.txt", f"{SYNTHESIS}.jsonl"),
}


@dataclass(frozen=True, slots=True)
class SaidText:
    """A text, and how it sounds.

    Attributes:
        id: unique in its place.
        text: what is said.
        sound: a recording; None: there is none.
        units: int [n], of several codebooks [n, Q]: stored ones, in place of a recording; None: there are none.
    """

    id: str
    text: str
    sound: SoundFile | None = None
    units: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class SaidTexts:
    """What was read.

    Attributes:
        name: of the task.
        items: in order.
        metadata: of the shards that their units come from; None: from no shards.
        notes: for readers of the results.
    """

    name: str
    items: list[SaidText]
    metadata: ShardMetadata | None = None
    notes: list[str] = field(default_factory=list)


def load_said_texts(name: str, source: Source, limit: int | None = None, seed: int = 0) -> SaidTexts:
    """Items of a task.

    Args:
        name: ``recognition`` or ``synthesis``.
        source: where: the place of ``--data`` if it is a corpus, shards or a file of texts, else ``--shards``. Of a
            corpus and shards the corpus has the texts, and recordings are looked up among the shards.
        limit: items that are drawn; None: all.
        seed: of the draw.

    Raises:
        NotFoundError, InputError: no such place, no texts, an id that stands twice, or nothing that can be heard.
    """
    place = _place(name, source)
    found = _read(name, place, stored=source.shards is not None)
    seen: set[str] = set()
    for item in found.items:
        if item.id in seen:
            raise InputError(f"ids of {name} stand once", f"{place}: {item.id!r} stands twice", "rename one of them")
        seen.add(item.id)
    if not found.items:
        raise InputError(f"{name} has a text at least", f"none in {place}", "check --data")
    if name == RECOGNITION and all(item.sound is None and item.units is None for item in found.items):
        raise InputError("what is recognised is heard", f"{place} has texts alone", "name a corpus or shards")
    if limit is None or limit >= len(found.items):
        return found
    kept = sorted(generator(seed, "limit", name).permutation(len(found.items))[:limit])
    note = f"{limit} of {len(found.items)} texts, drawn with seed {seed}"
    return replace(found, items=[found.items[place] for place in kept], notes=[*found.notes, note])


def _place(name: str, source: Source) -> Path:
    if source.data is not None and (source.data.exists() or source.shards is None):
        place = source.folder(name)  # it exists
        if place.is_file() or (place / INFO).is_file() or any(place.glob("[!.]*.parquet")):
            return place
    if source.shards is not None:
        return source.shards
    raise InputError(
        f"{name} reads a corpus directory or shards" + ", or a file of texts" * (name == SYNTHESIS),
        f"--data: {source.data}, no --shards",
        f"name one of them: --data {name}=CORPUS",
    )


def _read(name: str, place: Path, stored: bool) -> SaidTexts:
    if (place / INFO).is_file():
        return SaidTexts(name, list(_of_corpus(place, stored)))
    if place.suffix.lower() in (".txt", ".jsonl"):
        return SaidTexts(name, [SaidText(row["id"], row["text"]) for row in read_texts(place)])
    corpus = read_shards(place)
    if name == SYNTHESIS:
        return SaidTexts(name, [SaidText(corpus.id(i), corpus.text(i)) for i in range(len(corpus))])
    items = [SaidText(corpus.id(i), corpus.text(i), units=corpus.units(i).astype(np.int64)) for i in range(len(corpus))]
    return SaidTexts(name, items, corpus.metadata)


def _of_corpus(place: Path, stored: bool) -> Iterable[SaidText]:
    for one in read_corpus(place):
        # Stored units are looked up by the name alone.
        path = one.audio if one.audio is not None or not stored else Path(one.id)
        yield SaidText(one.id, one.text, None if path is None else SoundFile(path, one.id))
