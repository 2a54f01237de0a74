"""A folder of recordings, each with its text beside it -> a corpus with the times of words.

::

    FOLDER/**/NAME.flac|wav|mp3|m4a|...    a recording
    FOLDER/**/NAME.txt|TextGrid|json       what is said in it (see smoltolk.data.corpora.word_files)

Suffixes may be in capitals. A text without a recording is told among what was rejected.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError, require
from smoltolk.data.corpora.collecting import make_corpus
from smoltolk.data.corpora.corpus import Counts
from smoltolk.data.corpora.making import RECORDINGS_PER_PART, Item, Making
from smoltolk.data.corpora.timing import OFFLINE
from smoltolk.data.corpora.word_files import SUFFIXES as TEXT_SUFFIXES
from smoltolk.data.corpora.word_files import Said, files_beside, said_beside
from smoltolk.speech.audio import load
from smoltolk.speech.decoding.kinds import MEDIA_SUFFIXES, SUFFIXES


@dataclass(frozen=True)
class _Found:
    """A file of a folder, and what it will be called."""

    path: Path
    id: str
    speaker: str

    @property
    def names(self) -> dict[str, str]:
        """The speaker."""
        return {"speaker": self.speaker}

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)


@dataclass(frozen=True)
class Recording(_Found):
    """A recording, with what is said beside it.

    Attributes:
        path: of the sound.
        id: made of its path under the folder.
        speaker: name of the first folder under the folder, or of the folder itself.
        tier: of its TextGrid, the one with the words; None: find it.
        double: name of another recording that the same text belongs to, and that is used in its place.
    """

    tier: str | None = None
    double: str | None = None

    @property
    def original(self) -> Path | None:
        """Its file."""
        return self.path

    def identity(self) -> tuple[str | int | float, ...]:
        """Name, size of the sound, and all that is written beside it."""
        size = self.path.stat().st_size if self.path.is_file() else 0
        written = [_content(path) for path in files_beside(self.path)]
        return self.id, size, self.tier or "", *written

    def said(self) -> Said:
        """What the files beside it say.

        Raises:
            NotFoundError, InputError: nothing that can be read, or they belong to another recording.
        """
        if self.double is not None:
            raise InputError(
                "a text belongs to one recording",
                f"{self.double} is called like {self.path.name}, and is used",
                "take one away, or rename it and give it a text of its own",
            )
        return said_beside(self.path, self.tier)

    def sound(self) -> np.ndarray:
        """float32 [samples], 16 kHz, the mean of its channels."""
        return load(self.path)


@dataclass(frozen=True)
class TextAlone(_Found):
    """A text without a recording, of which a corpus can only say that it was left out.

    Attributes:
        path: of the text.
        id, speaker: as those of a :class:`Recording`.
        beside: names of the other files that are called like it.
    """

    beside: tuple[str, ...]

    @property
    def original(self) -> Path | None:
        """None."""
        return None

    def identity(self) -> tuple[str | int | float, ...]:
        """Name, and what lies beside it."""
        return self.id, *self.beside

    def said(self) -> Said:
        """Not asked for: there is no sound that says it.

        Raises:
            NotFoundError: always, with what lies there instead.
        """
        raise self._missing()

    def sound(self) -> np.ndarray:
        """See :meth:`said`."""
        raise self._missing()

    def _missing(self) -> NotFoundError:
        found = f": found {', '.join(self.beside)}" if self.beside else ""
        return NotFoundError(
            f"a text must have its recording beside it ({', '.join(SUFFIXES)})",
            f"no recording beside {self.path.name} that can be read{found}",
            "convert or add the recording, or take the text away",
        )


def _content(path: Path) -> str:
    try:
        return path.read_bytes().hex()
    except OSError:  # told when it is read
        return ""


def find_recordings(folder: Path | str, tier: str | None = None) -> list[Recording]:
    """All recordings in a folder and the folders in it, in order of path; hidden ones are left out.

    Of several that are called alike (a film and its sound, say) the first in the order of the suffixes is used; the
    others come last.

    Raises:
        NotFoundError: no folder, or no recordings in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotFoundError("recordings lie in a folder", f"no folder {folder}", "check the path")
    paths = [path for path in _files_in(folder) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise NotFoundError(
            f"a folder of recordings holds files that end in {', '.join(SUFFIXES)}",
            f"none in {folder}",
            "name the right folder, or convert the files",
        )
    recordings: dict[str, Recording] = {}
    used: dict[Path, Path] = {}
    for path in sorted(paths, key=lambda path: SUFFIXES.index(path.suffix.lower())):
        used.setdefault(path.with_suffix(""), path)
    for path in sorted(paths, key=lambda path: path != used[path.with_suffix("")]):
        name = _free_name(path, recordings)
        other = used[path.with_suffix("")]
        double = None if other == path else other.name
        recordings[name] = Recording(folder / path, name, _speaker(path, folder), tier, double)
    return list(recordings.values())


def find_texts_alone(folder: Path | str, recordings: Iterable[Recording]) -> list[TextAlone]:
    """The texts in a folder that belong to none of its recordings, one of each name, in order of path.

    Args:
        folder: as for :func:`find_recordings`.
        recordings: all that it found there.
    """
    folder = Path(folder)
    taken, heard = set(), set()
    for recording in recordings:
        taken.add(recording.id)
        heard.add(recording.path.with_suffix(""))
    files: dict[Path, list[Path]] = {}
    for path in _files_in(folder):
        if (folder / path).with_suffix("") not in heard:
            files.setdefault(path.with_suffix(""), []).append(path)
    alone = []
    kinds = {suffix.lower() for suffix in TEXT_SUFFIXES}
    for group in files.values():
        texts = [path for path in group if path.suffix.lower() in kinds and (folder / path).is_file()]
        if texts:
            name = _free_name(texts[0], taken)
            taken.add(name)
            beside = tuple(path.name for path in group if path not in texts)
            alone.append(TextAlone(folder / texts[0], name, _speaker(texts[0], folder), beside))
    return alone


def _files_in(folder: Path) -> list[Path]:
    """Paths under the folder that have a suffix, in order; hidden ones are left out."""
    inside = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix)
    return [path for path in inside if not any(part.startswith(".") for part in path.parts)]


def _free_name(path: Path, taken: Container[str]) -> str:
    plain = file_name("-".join(path.with_suffix("").parts))
    number, name = 1, plain
    while name in taken:  # "a b.wav" and "a_b.wav"
        number += 1
        name = f"{plain}-{number}"
    return name


def _speaker(path: Path, folder: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else folder.resolve().name


def file_name(name: str) -> str:
    """A name made of letters, digits, ``_ . -`` that does not begin with a dot."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".") or "_"


def collect(
    folder: Path | str,
    out_dir: Path | str,
    *,
    aligner: str | None = OFFLINE,
    phones: bool = True,
    link: bool = False,
    lowest_confidence: float | None = None,
    longest: float | None = None,
    tier: str | None = None,
    source: str | None = None,
    language: str = "en",
    workers: int | None = None,
    recordings_per_part: int = RECORDINGS_PER_PART,
) -> Counts:
    """Make a corpus of one's own recordings.

    What cannot be used goes to ``rejected.jsonl`` with its reason: a recording without text, a text without recording,
    words outside the recording, or audio that does not say its text. The result does not depend on the number of
    workers.

    Args:
        folder: the recordings and their texts; stays as it is.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        aligner: finds the times of words that have none beside them. None: these stay without; they can be heard and
            spoken, but words cannot be interleaved.
        phones: find the phones too, where the aligner can; phone units are fitted on them.
        link: link to the recordings instead of copying them as flac of 16 kHz.
        lowest_confidence: alignments below it are rejected, 0 to 1 (see
            :class:`smoltolk.speech.alignment.aligners.Alignment`); None: the aligner's usual limit.
        longest: seconds; longer recordings are cut at pauses into several utterances. None: nothing is cut.
        tier: of TextGrids, the one with the words; None: find it.
        source: name of the corpus; default: that of the folder.
        language: kept with every utterance.
        workers: processes; None means one per processor, 0 this one.
        recordings_per_part: how many are written, and lost to a kill, together.

    Returns:
        Counts over the whole corpus, earlier runs included.

    Raises:
        NotFoundError: no folder, or no recordings in it.
        InputError: ``out_dir`` lies in the folder or holds another corpus, or no recording could be used.
        MissingExtraError: the aligner, or what reads a recording, is not installed.
        WorkerError: a worker was killed; the same call continues.
        OSError: the disk is full; nothing half-written is left.
    """
    folder, out_dir = Path(folder), Path(out_dir)
    if out_dir.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            "a corpus lies outside the folder it is made of", f"{out_dir} in {folder}", "give another place"
        )
    making = Making(
        source=source or folder.resolve().name,
        language=language,
        aligner=aligner,
        phones=phones,
        lowest_confidence=lowest_confidence,
        longest=longest,
        sound="symlink" if link else "flac",
        per_part=recordings_per_part,
    )
    recordings = find_recordings(folder, tier)
    media = next((one for one in recordings if one.path.suffix.lower() in MEDIA_SUFFIXES), None)
    if media is not None:  # what is missing shows before the work begins
        require("av", f"reading {media.path.name}")
    items: list[Item] = [*recordings, *find_texts_alone(folder, recordings)]
    return make_corpus(items, out_dir, making, workers=workers)
