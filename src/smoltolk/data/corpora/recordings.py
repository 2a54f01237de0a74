"""A folder of recordings, each with its text beside it -> a corpus with the times of words.

::

    FOLDER/**/NAME.flac|wav|mp3|m4a|...    a recording
    FOLDER/**/NAME.txt|TextGrid|json       what is said in it (see smoltolk.data.corpora.word_files)

Suffixes may be in capitals. A text without a recording is told among what was rejected. Links to files and to folders
are followed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError, require
from smoltolk.data.corpora.collecting import make_corpus
from smoltolk.data.corpora.corpus import Counts
from smoltolk.data.corpora.folder_items import FolderUnread, Recording, TextAlone
from smoltolk.data.corpora.folders import Listing, is_file, list_folder
from smoltolk.data.corpora.making import RECORDINGS_PER_PART, Item, Making
from smoltolk.data.corpora.names import Names, printable
from smoltolk.data.corpora.timing import OFFLINE
from smoltolk.data.corpora.word_files import SUFFIXES as TEXT_SUFFIXES
from smoltolk.speech.decoding.kinds import MEDIA_SUFFIXES, SUFFIXES

_TEXTS = frozenset(suffix.lower() for suffix in TEXT_SUFFIXES)
_KINDS_TOLD = 5


def find_recordings(folder: Path | str, tier: str | None = None) -> list[Recording]:
    """All recordings in a folder and the folders in it, in order of path; hidden ones are left out.

    Of several that are called alike (a film and its sound, say) the first in the order of the suffixes is used; the
    others come last.

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

    folders = set(listing.folders)
    used: dict[Path, Path] = {}
    for path in sorted(paths, key=lambda path: (path in folders, SUFFIXES.index(path.suffix.lower()))):
        used.setdefault(path.with_suffix(""), path)
    items: list[Recording | TextAlone | FolderUnread] = []
    for path in sorted(paths, key=lambda path: path != used[path.with_suffix("")]):
        other = used[path.with_suffix("")]
        items.append(Recording(*named(path), tier, beside(path), None if path == other else other.name))
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
        MissingExtraError: the aligner, or what reads a recording, is not installed.
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
    media = next((item for item in items if Path(item.place).suffix.lower() in MEDIA_SUFFIXES), None)
    if media is not None:  # what is missing shows before the work begins
        require("av", f"reading {media.place}")
    return make_corpus(items, out_dir, making, place=folder, workers=workers)
