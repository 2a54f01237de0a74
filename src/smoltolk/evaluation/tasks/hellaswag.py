"""sHellaSwag: one of four endings. Prompt and endings are spoken separately, so all endings share one prompt.

::

    ROOT/*.jsonl                       ind, ctx, endings (4), label, as HellaSwag has them
    ROOT/{ind}_ctx.wav                 the prompt
    ROOT/{ind}_ending{0..3}.wav        the endings

Recordings may be missing: then a synthesizer speaks, or T->T alone is asked.
"""

from __future__ import annotations

import re
from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_jsonl
from smoltolk.evaluation.tasks.items import Item, Segment, Sound, Spoken
from smoltolk.evaluation.tasks.layouts import sound_beside
from smoltolk.evaluation.tasks.task import Loaded, Source, Task

_ENDINGS = 4


def load_hellaswag(source: Source) -> Loaded:
    """Every row of every file."""
    root = source.folder("shellaswag")
    files = sorted(root.glob("*.jsonl")) if root.is_dir() else [root]
    if not files:
        raise NotFoundError("sHellaSwag is a folder with a .jsonl of HellaSwag", f"none in {root}", "check --data")
    folder = root if root.is_dir() else root.parent
    items: list[Item] = []
    notes = []
    rows = [(path, number, row) for path in files for number, row in enumerate(read_jsonl(path), 1)]
    for way in source.directions:
        missing = 0
        for place, (path, number, row) in enumerate(rows):
            item = _item(folder, way, row, f"{path.name}, line {number}", place if source.speaks else None)
            missing += item is None
            items += [] if item is None else [item]
        if missing:
            notes.append(f"{way}: {missing} of {len(rows)} rows have no recordings; --synthesizer speaks texts")
    return Loaded(items, notes)


def _item(folder: Path, way: str, row: object, where: str, voice: int | None) -> Item | None:
    if not isinstance(row, dict) or not {"ind", "ctx", "endings", "label"} <= row.keys():
        raise InputError("a row of HellaSwag has ind, ctx, endings and label", where, "use the file as published")
    label, texts_given = str(row["label"]), [row["ctx"], *row["endings"]] if isinstance(row["endings"], list) else []
    if not texts_given or not all(isinstance(text, str) for text in texts_given):
        raise InputError("ctx of HellaSwag is a text, endings are a list of texts", where, "use the file as published")
    if len(row["endings"]) != _ENDINGS or label not in map(str, range(_ENDINGS)):
        found = f"{where}: {len(row['endings'])} endings, label {label!r}"
        raise InputError(f"a row of HellaSwag has {_ENDINGS} endings and one of them as label", found, "correct it")
    texts = [_clean(text) for text in texts_given]
    names = [f"{row['ind']}_ctx", *(f"{row['ind']}_ending{k}" for k in range(_ENDINGS))]
    there = [(folder / f"{name}.wav").is_file() for name in names]
    if any(there) and not all(there):
        lacking = names[there.index(False)]
        raise NotFoundError("every recording of a row must be there", f"no file {lacking}.wav", "complete the folder")
    segments = []
    for text, name, modality in zip(texts, names, (way[0], *way[-1] * _ENDINGS), strict=True):
        sound: Sound | None = None
        if modality == "S":
            if all(there):
                sound = sound_beside(folder, f"{name}.wav")
            elif voice is not None:
                sound = Spoken(text, voice, name)
            else:
                return None
        segments.append((Segment(text, sound),))
    return Item(str(row["ind"]), way, (segments[0],), tuple(segments[1:]), right=int(label))


def _clean(text: str) -> str:
    """Without the brackets that are left of WikiHow's pages."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return " ".join(text.split())


SHELLASWAG = Task(
    "shellaswag",
    "one of four endings, spoken separately",
    load_hellaswag,
    chance=0.25,
    folders=("sHellaSwag", "shellaswag"),
)
