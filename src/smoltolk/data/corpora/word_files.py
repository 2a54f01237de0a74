"""What is said in a recording, read from the files beside it.

::

    NAME.txt        the text
    NAME.TextGrid   words with their times, in a tier of intervals
    NAME.json       words with their times, see smoltolk.data.corpora.json_words (what Whisper writes)

Times come from the TextGrid, else from the JSON. Where there is a text too, its tokens take the words' times. A suffix
may be in capitals.
"""

from __future__ import annotations

from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.folders import is_file
from smoltolk.data.corpora.json_words import read_json_words
from smoltolk.data.corpora.said import Said, said_of
from smoltolk.data.corpora.textgrid import read_textgrid, word_tier

SUFFIXES = (".txt", ".TextGrid", ".json")


def files_beside(audio: Path) -> list[Path]:
    """Those of a recording's text files that exist, one of each kind."""
    found = []
    for suffix in SUFFIXES:
        # Tried one by one: to list the folder for every recording takes the square of their number.
        paths = [audio.with_suffix(name) for name in (suffix, suffix.lower(), suffix.upper(), suffix.title())]
        found += [path for path in paths if is_file(path)][:1]
    return found


def said_beside(audio: Path, tier: str | None = None) -> Said:
    """Read what is said in a recording.

    Args:
        audio: the recording.
        tier: of its TextGrid, the one with the words; None: find it.

    Raises:
        NotFoundError: no text, TextGrid or JSON beside it.
        InputError: a file that cannot be read, holds nothing, or whose words are not those of the text.
    """
    files = {path.suffix.lower(): path for path in files_beside(audio)}
    if not files:
        raise NotFoundError(
            "a recording must have its text beside it",
            f"no file {audio.with_suffix('.txt').name} (nor .TextGrid, nor .json)",
            "write down what is said",
        )
    text = read_text(files[".txt"]) if ".txt" in files else None
    if ".textgrid" in files:
        path = files[".textgrid"]
        words = word_tier(read_textgrid(path), path, tier).words()
        return said_of(text, words, (), path.name)
    if ".json" in files:
        return read_json_words(files[".json"], text)
    return said_of(text, (), (), files[".txt"].name)


def read_text(path: Path) -> str:
    """The text of a file, its white space made single spaces; may be empty.

    Raises:
        InputError: not UTF-8.
    """
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} must be text in UTF-8", str(error), "save it again as UTF-8") from error
