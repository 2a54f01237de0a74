"""Spoken and Topic StoryCloze: which ending belongs to a story, heard or read, spoken or written?

Layouts, told by what lies in the folder:

``{base}_{mutual,correct,incorrect}.{wav,txt}``
    Prompt and endings by themselves: every direction whose files are there.
``{2k}_{id}_correct.wav``, ``{2k+1}_{id}_incorrect.wav``
    Whole stories: S->S as wholes, since nobody says where the ending begins. With ``.txt`` beside them T->T too, cut
    behind the longest beginning of sentences that both share.
``*.csv`` with ``pair_id, text, type, correctness``
    ``type`` is ``prompt`` or ``continuation``, ``correctness`` of these ``correct`` or ``incorrect``. Recordings may
    lie beside it as ``{pair_id}_{mutual,correct,incorrect}.wav``; else a synthesizer speaks.
Parquet with ``correct_text, correct_audio, negative_text, negative_audio``, or ``positive`` and ``negative``
    Whole stories, as above.

Where texts are known and a synthesizer is given, it speaks what no recording has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.tasks.items import Item, Segment, Sound, Spoken
from smoltolk.evaluation.tasks.layouts import (
    parquet_columns,
    parquet_files,
    parquet_rows,
    read_csv,
    read_lines,
    sound_beside,
)
from smoltolk.evaluation.tasks.mirrors import PAIRS
from smoltolk.evaluation.tasks.task import Loaded, Source, Task

_FLAT = re.compile(r"(\d+)_(.+)_(correct|incorrect)")
_PARTS = ("mutual", "correct", "incorrect")
_COLUMNS = ("correct_audio", "negative_audio"), ("correct_text", "negative_text")


@dataclass(frozen=True, slots=True)
class Part:
    """A prompt or an ending: its text, its recording, or both."""

    text: str | None = None
    sound: Sound | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """A prompt with its two endings.

    Attributes:
        id: of the story.
        parts: prompt, right and wrong ending.
        wholes: recordings of the whole story with either ending; None: there are none.
    """

    id: str
    parts: tuple[Part, Part, Part]
    wholes: tuple[Sound, Sound] | None = None


def load_ssc(source: Source) -> Loaded:
    """Spoken StoryCloze."""
    return _load(source, "ssc")


def load_tsc(source: Source) -> Loaded:
    """Topic StoryCloze: the wrong ending is of another topic."""
    return _load(source, "tsc")


def _load(source: Source, task: str) -> Loaded:
    root = source.folder(task)
    stories = _stories(root, task)
    items: list[Item] = []
    notes: list[str] = []
    for way in source.directions:
        made = [_item(story, number, way, source.speaks) for number, story in enumerate(stories)]
        asked = [item for item in made if item is not None]
        if len(asked) < len(stories):
            notes.append(
                f"{way}: {len(stories) - len(asked)} of {len(stories)} stories lack a text or a recording for it"
                + ("" if source.speaks else "; --synthesizer speaks texts")
            )
        if any(not item.prompts for item in asked):
            notes.append(f"{way}: recordings of whole stories, scored as wholes")
        items += asked
    return Loaded(items, notes)


def _item(story: Story, number: int, way: str, speaks: bool) -> Item | None:
    if way == "S->S" and story.wholes is not None:
        options = tuple((Segment(part.text, whole),) for part, whole in zip(story.parts[1:], story.wholes, strict=True))
        return Item(story.id, way, (), options)
    before, right, wrong = (
        _segment(part, modality == "S", number if speaks else None, f"{story.id}-{name}")
        for part, modality, name in zip(story.parts, (way[0], way[-1], way[-1]), _PARTS, strict=True)
    )
    if before is None or right is None or wrong is None:
        return None
    return Item(story.id, way, ((before,),), ((right,), (wrong,)))


def _segment(part: Part, is_speech: bool, voice: int | None, name: str) -> Segment | None:
    if not is_speech:
        return None if part.text is None else Segment(part.text)
    sound = part.sound
    if sound is None and part.text is not None and voice is not None:
        sound = Spoken(part.text, voice, name)
    return None if sound is None else Segment(part.text, sound)


# ---------------------------------------------------------------------- layouts


def _stories(root: Path, task: str) -> list[Story]:
    names = {path.stem for path in root.iterdir() if path.suffix in (".wav", ".txt")} if root.is_dir() else set()
    tables = sorted(root.glob("*.csv")) if root.is_dir() else [root] if root.suffix == ".csv" else []
    if any(name.endswith("_mutual") for name in names) and not tables:
        stories = _in_parts(root, names)
    elif tables:
        stories = _of_table(tables, root if root.is_dir() else root.parent)
    elif any(_FLAT.fullmatch(name) for name in names):
        stories = _flat(root)
    elif parquet_files(root):
        stories = _of_parquet(root)
    else:
        raise NotFoundError(
            f"{task} is a folder of _mutual/_correct/_incorrect, of NUMBER_ID_correct.wav, a csv or Parquet",
            f"none of them in {root}",
            "check --data",
        )
    seen: set[str] = set()
    for story in stories:
        if story.id in seen:
            raise InputError(f"a story of {task} stands once", f"{story.id!r} stands twice", "take one away")
        seen.add(story.id)
    return stories


def _in_parts(root: Path, names: set[str]) -> list[Story]:
    stories = []
    suffixes = {f"_{part}" for part in _PARTS}
    bases = sorted({name[: name.rindex("_")] for name in names if name[name.rfind("_") :] in suffixes})
    for base in bases:
        paths = [(root / f"{base}_{part}.txt", root / f"{base}_{part}.wav") for part in _PARTS]
        kinds = [[path.is_file() for path in pair] for pair in paths]
        missing = [f"{base}_{part}" for part, there in zip(_PARTS, kinds, strict=True) if not any(there)]
        uneven = [column for column in (0, 1) if kinds[1][column] != kinds[2][column]]
        if missing or uneven:
            found = f"{root}: no {', '.join(missing)}" if missing else f"{root}: only one ending of {base}"
            raise InputError("a story has a prompt and both endings in the same form", found, "complete the folder")
        parts = [
            Part(
                read_lines(text) if there[0] else None,
                sound_beside(root, sound.relative_to(root)) if there[1] else None,
            )
            for (text, sound), there in zip(paths, kinds, strict=True)
        ]
        stories.append(Story(base, (parts[0], parts[1], parts[2])))
    return stories


def _flat(root: Path) -> list[Story]:
    pairs: dict[str, dict[str, tuple[int, Path]]] = {}
    for path in sorted(root.glob("*.wav")):
        named = _FLAT.fullmatch(path.stem)
        if named is None:
            rule = "recordings are {2k}_{id}_correct.wav and {2k+1}_{id}_incorrect.wav"
            raise InputError(rule, str(path), "take the file away")
        if named[3] in pairs.setdefault(named[2], {}):
            found = f"{named[2]} has two that are {named[3]}"
            raise InputError("a story of a flat folder has one recording of each ending", found, "take one away")
        pairs[named[2]][named[3]] = int(named[1]), path
    stories = []
    for name, pair in sorted(pairs.items(), key=lambda entry: min(number for number, _ in entry[1].values())):
        if len(pair) != 2:
            raise InputError("a story has both endings", f"{name} has only {', '.join(pair)}", "complete the folder")
        (first, right), (second, wrong) = pair["correct"], pair["incorrect"]
        if first % 2 or second != first + 1:
            raise InputError(
                "recordings are {2k}_{id}_correct.wav and {2k+1}_{id}_incorrect.wav",
                f"{right.name} and {wrong.name}: swapped or of different pairs",
                "check the numbers",
            )
        texts = [path.with_suffix(".txt") for path in (right, wrong)]
        written = [read_lines(path) for path in texts] if all(path.is_file() for path in texts) else [None, None]
        sounds = (sound_beside(root, right.name), sound_beside(root, wrong.name))
        stories.append(Story(name, _cut(written[0], written[1]), sounds))
    return stories


def _of_table(tables: Sequence[Path], root: Path) -> list[Story]:
    stories = []
    for table in tables:
        groups: dict[str, dict[str, str]] = {}
        for row in read_csv(table, ("pair_id", "text", "type", "correctness")):
            kind = "mutual" if row["type"] == "prompt" else row["correctness"]
            if kind not in _PARTS or row["type"] not in ("prompt", "continuation"):
                raise InputError(
                    "type is prompt or continuation, correctness of a continuation correct or incorrect",
                    f"{table.name}, pair {row['pair_id']}: {row['type']!r}, {row['correctness']!r}",
                    "correct the row",
                )
            if kind in groups.setdefault(row["pair_id"], {}):
                found = f"{table.name}, pair {row['pair_id']} has two: {kind}"
                raise InputError("a pair has one prompt and one ending of each kind", found, "take one away")
            groups[row["pair_id"]][kind] = row["text"]
        for name, texts in groups.items():
            if len(texts) != len(_PARTS):
                raise InputError(
                    "a pair has a prompt and two endings: three rows",
                    f"{table.name}, pair {name}: {', '.join(texts)}",
                    "complete the table",
                )
            parts = []
            for part in _PARTS:
                path = root / f"{name}_{part}.wav"
                parts.append(Part(texts[part], sound_beside(root, path.name) if path.is_file() else None))
            stories.append(Story(name if len(tables) == 1 else f"{table.stem}-{name}", (parts[0], parts[1], parts[2])))
    return stories


def _of_parquet(root: Path) -> list[Story]:
    stories = []
    for path in parquet_files(root):
        columns = parquet_columns(path)
        sounds = next((pair for pair in (*PAIRS, _COLUMNS[0]) if set(pair) <= set(columns)), _COLUMNS[0])
        texts = _COLUMNS[1] if sounds == _COLUMNS[0] else ()
        for number, row in enumerate(parquet_rows(path, sounds, texts)):
            parts = _cut(row.get(_COLUMNS[1][0]), row.get(_COLUMNS[1][1]))
            stories.append(Story(f"{path.stem}-{number}", parts, (row[sounds[0]], row[sounds[1]])))
    return stories


def _cut(right: str | None, wrong: str | None) -> tuple[Part, Part, Part]:
    """Two stories cut behind the longest beginning of whole sentences that they share."""
    if right is None or wrong is None:
        return Part(), Part(), Part()
    one, other = (re.split(r"(?<=[.!?])\s+", text.strip()) for text in (right, wrong))
    shared = 0
    while shared < min(len(one), len(other)) - 1 and one[shared] == other[shared]:
        shared += 1
    if not shared:
        return Part(), Part(), Part()
    return Part(" ".join(one[:shared])), Part(" ".join(one[shared:])), Part(" ".join(other[shared:]))


SSC = Task("ssc", "Spoken StoryCloze", load_ssc, folders=("sSC", "ssc", "sStoryCloze", "spoken_storycloze"))
TSC = Task("tsc", "Topic StoryCloze", load_tsc, folders=("tSC", "tsc", "tStoryCloze", "topic_storycloze"))
