"""A folder of recordings, each with its text beside it -> a corpus with the times of words.

::

    FOLDER/**/NAME.flac|wav|ogg|mp3         a recording
    FOLDER/**/NAME.txt|TextGrid|json        what is said in it (see smoltolk.data.corpora.word_files)

Suffixes may be in capitals. A text without a recording is told among what was rejected. Links to files and to folders
are followed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.collecting import make_corpus
from smoltolk.data.corpora.corpus import Counts
from smoltolk.data.corpora.folders import Listing, is_file, list_folder
from smoltolk.data.corpora.making import RECORDINGS_PER_PART, Item, Making, file_state
from smoltolk.data.corpora.names import Names, printable
from smoltolk.data.corpora.said import Said
from smoltolk.data.corpora.timing import OFFLINE
from smoltolk.data.corpora.word_files import SUFFIXES as TEXT_SUFFIXES
from smoltolk.data.corpora.word_files import files_beside, said_beside
from smoltolk.speech.audio import load

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_TEXTS = frozenset(suffix.lower() for suffix in TEXT_SUFFIXES)
_KINDS_TOLD = 5


@dataclass(frozen=True)
class _Found:
    """A file of a folder, and what it will be called.

    Attributes:
        path: of the file.
        id: made of its path under the folder.
        speaker: name of the first folder under the folder, or of the folder itself.
        origin: its path under the folder.
    """

    path: Path
    id: str
    speaker: str
    origin: str = ""

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
        tier: of its TextGrid, the one with the words; None: find it.
        texts: the files beside it that say something; None: look for them.
    """

    tier: str | None = None
    texts: tuple[Path, ...] | None = None

    @property
    def original(self) -> Path | None:
        """Its file."""
        return self.path

    def identity(self) -> tuple[str | int | float, ...]:
        """Its names, the state of its sound, and all that is written beside it."""
        texts = files_beside(self.path) if self.texts is None else self.texts
        written = [part for path in texts for part in (path.name, _content(path))]
        return self.id, self.origin, self.speaker, self.tier or "", *file_state(self.path), *written

    def said(self) -> Said:
        """What the files beside it say."""
        return said_beside(self.path, self.tier)

    def sound(self) -> np.ndarray:
        """float32 [samples], 16 kHz, the mean of its channels."""
        if self.path.is_dir():
            raise InputError("a recording is a file", f"{self.path.name} is a folder", "give it another name")
        return load(self.path)


@dataclass(frozen=True)
class _Unusable(_Found):
    @property
    def original(self) -> Path | None:
        """None."""
        return None

    def said(self) -> Said:
        """Not asked for: there is no sound that says it.

        Raises:
            InputError, NotFoundError: always, with what lies there instead.
        """
        raise self._problem()

    def sound(self) -> np.ndarray:
        """See :meth:`said`."""
        raise self._problem()

    def _problem(self) -> InputError | NotFoundError:
        raise NotImplementedError


@dataclass(frozen=True)
class TextAlone(_Unusable):
    """A text without a recording, of which a corpus can only say that it was left out.

    Attributes:
        beside: names of the other files that are called like it.
    """

    beside: tuple[str, ...] = ()

    def identity(self) -> tuple[str | int | float, ...]:
        """Name, and what lies beside it."""
        return self.id, self.origin, *self.beside

    def _problem(self) -> NotFoundError:
        found = f": found {', '.join(self.beside)}" if self.beside else ""
        return NotFoundError(
            f"a text must have its recording beside it ({', '.join(SUFFIXES)})",
            f"no recording beside {self.path.name} that can be read{found}",
            "convert or add the recording, or take the text away",
        )


@dataclass(frozen=True)
class FolderUnread(_Unusable):
    """A folder that could not be listed.

    Attributes:
        reason: what the system says.
    """

    reason: str = ""

    def identity(self) -> tuple[str | int | float, ...]:
        """Name and reason."""
        return self.id, self.origin, self.reason

    def _problem(self) -> InputError:
        return InputError("a folder must be readable", f"{self.path}: {self.reason}", "change who may read it")


def _content(path: Path) -> str:
    try:
        return path.read_bytes().hex()
    except OSError as error:  # told when it is read
        return error.strerror or ""


def find_recordings(folder: Path | str, tier: str | None = None) -> list[Recording]:
    """All recordings in a folder and the folders in it, in order of path; hidden ones are left out.

    Raises:
        NotFoundError: no folder, or no recordings in it.
    """
    return [item for item in find_items(folder, tier) if isinstance(item, Recording)]


def find_items(
    folder: Path | str, tier: str | None = None, out_dir: Path | None = None
) -> list[Recording | TextAlone | FolderUnread]:
    """The recordings of a folder as :func:`find_recordings`, then its texts that belong to none of them, one of each
    name, and the folders that could not be read.

    Args:
        folder: to look into.
        tier: of TextGrids, the one with the words; None: find it.
        out_dir: of the corpus; it may not lie there.

    Raises:
        NotFoundError: no folder, or no recordings in it.
        InputError: ``out_dir`` lies in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotFoundError("recordings lie in a folder", f"no folder {folder}", "check the path")
    listing = list_folder(folder)
    if out_dir is not None and listing.holds(out_dir / "corpus.json"):
        raise InputError(
            "a corpus lies outside the folder it is made of", f"{out_dir} in {folder}", "give another place"
        )
    # A folder called a.wav is no recording, but who called it so may think that it is.
    paths = sorted(path for path in (*listing.files, *listing.folders) if path.suffix.lower() in SUFFIXES)
    if not paths:
        others = _told(_left_alone(listing))
        raise NotFoundError(
            f"a folder of recordings holds files that end in {', '.join(SUFFIXES)}",
            f"none in {folder}" + (f", but {others}" if others else ""),
            "name the right folder, or convert the files",
        )
    names = Names()

    def named(path: Path) -> tuple[Path, str, str, str]:
        plain = names.free("-".join(path.with_suffix("").parts))
        speaker = path.parts[0] if len(path.parts) > 1 else folder.resolve().name
        return folder / path, plain, printable(speaker), printable(path.as_posix())

    groups: dict[Path, list[Path]] = {}
    for path in listing.files:
        groups.setdefault(path.with_suffix(""), []).append(path)

    def beside(path: Path) -> tuple[Path, ...]:
        near = groups.get(path.with_suffix(""), ())
        return tuple(folder / one for one in near if one.suffix.lower() in _TEXTS)

    items: list[Recording | TextAlone | FolderUnread]
    items = [Recording(*named(path), tier, beside(path)) for path in paths]
    for path in paths:
        groups.pop(path.with_suffix(""), None)
    for group in groups.values():
        texts = [path for path in group if path.suffix.lower() in _TEXTS and is_file(folder / path)]
        if texts:
            items.append(TextAlone(*named(texts[0]), tuple(path.name for path in group if path not in texts)))
    items += [FolderUnread(*named(path), reason) for path, reason in listing.unreadable]
    return items


def left_alone(folder: Path | str) -> str:
    """How many files of a folder are neither recordings nor texts, by suffix, in words; empty if there are none."""
    return _told(_left_alone(list_folder(Path(folder))))


def _left_alone(listing: Listing) -> Counter[str]:
    kinds = (path.suffix.lower() for path in listing.files)
    return Counter(kind for kind in kinds if kind not in SUFFIXES and kind not in _TEXTS)


def _told(kinds: Counter[str]) -> str:
    most = kinds.most_common(_KINDS_TOLD)
    told = [
        f"{count} {'file' if count == 1 else 'files'} {f'with suffix {k}' if k else 'without suffix'}"
        for k, count in most
    ]
    more = kinds.total() - sum(count for _, count in most)
    return printable(", ".join([*told, *([f"{more} others"] if more else [])]))


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
        out_dir: a new directory, or one that an earlier, equal call has begun to fill: it goes on, and makes anew what
            has changed in the folder.
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
        MissingExtraError: the aligner is not installed.
        WorkerError: a worker was killed; the same call continues.
        OSError: the disk is full; nothing half-written is left.
    """
    folder, out_dir = Path(folder), Path(out_dir)
    making = Making(
        source=source or printable(folder.resolve().name),
        language=language,
        aligner=aligner,
        phones=phones,
        lowest_confidence=lowest_confidence,
        longest=longest,
        sound="symlink" if link else "flac",
        per_part=recordings_per_part,
    )
    items: list[Item] = [*find_items(folder, tier, out_dir)]
    return make_corpus(items, out_dir, making, place=folder, workers=workers)
