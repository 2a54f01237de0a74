"""SALMon: does a model hear when the speaker, the room or the mood of a recording changes?

::

    ROOT/{speaker_consistency, ..}/sample_{i}_{0|1}.wav     0 is the consistent one
    ROOT/{speaker_consistency, ..}/*.parquet                positive_audio, negative_audio
"""

from __future__ import annotations

import re
from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.tasks.items import Item, Segment
from smoltolk.evaluation.tasks.layouts import sound_beside
from smoltolk.evaluation.tasks.mirrors import mirror_items
from smoltolk.evaluation.tasks.task import Loaded, Source, Task

PARTS = (
    "bg_alignment", "bg_all_consistency", "bg_domain_consistency", "gender_consistency", "rir_consistency",
    "sentiment_alignment", "sentiment_consistency", "speaker_consistency",
)  # fmt: skip
_PAIRS = 200
_NAME = re.compile(r"sample_(\d+)_([01])")


def load_salmon(source: Source) -> Loaded:
    """Every part that is there."""
    root = source.folder("salmon")
    items: list[Item] = []
    notes = []
    for part in PARTS:
        folder = root / part
        if not folder.is_dir():
            continue
        found = mirror_items(folder, part) if any(folder.glob("*.parquet")) else _pairs(root, folder)
        if len(found) != _PAIRS:
            notes.append(f"{part}: {len(found)} pairs, {_PAIRS} were published")
        items += found
    if not items:
        raise NotFoundError(f"SALMon is a folder with {PARTS[0]} and the like in it", f"none in {root}", "check --data")
    missing = [part for part in PARTS if not (root / part).is_dir()]
    return Loaded(items, notes + ([f"without {', '.join(missing)}"] if missing else []))


def _pairs(root: Path, folder: Path) -> list[Item]:
    pairs: dict[int, dict[int, Path]] = {}
    for path in sorted(folder.glob("*.wav")):
        named = _NAME.fullmatch(path.stem)
        if named is None:
            raise InputError("recordings of SALMon are sample_{i}_{0|1}.wav", str(path), "take the file away")
        pair = pairs.setdefault(int(named[1]), {})
        if int(named[2]) in pair:
            found = f"{pair[int(named[2])]} and {path.name}"
            raise InputError("a recording of SALMon stands once", found, "take one away")
        pair[int(named[2])] = path
    alone = [number for number, pair in sorted(pairs.items()) if len(pair) != 2]
    if alone:
        raise InputError(
            "a pair of SALMon is sample_{i}_0.wav and sample_{i}_1.wav",
            f"{folder}: {len(alone)} without its other, e.g. number {alone[0]}",
            "complete the folder",
        )
    return [
        Item(
            f"{folder.name}-{number}",
            folder.name,
            (),
            tuple((Segment(sound=sound_beside(root, pair[which].relative_to(root))),) for which in (0, 1)),
        )
        for number, pair in sorted(pairs.items())
    ]


SALMON = Task("salmon", "consistency of speaker, room, mood (SALMon)", load_salmon, folders=("SALMon", "salmon"))
