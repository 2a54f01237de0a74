"""Praat's TextGrids: tiers of labelled intervals, in the long and the short text format.

Both formats are one stream of values. Praat reads the numbers, the strings in double quotes and the flags in angle
brackets that stand free, and takes everything else (``xmin =``, ``intervals [1]:``) as remarks; so does this.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smoltolk.common.errors import InputError
from smoltolk.speech.segments import Segment

_TOKEN = re.compile(
    r'"(?P<string>(?:[^"]|"")*)"'  # a quote inside a string is doubled
    r"|(?<!\S)<(?P<flag>\w+)>(?!\S)"
    r"|(?<!\S)(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\S)"
    r"|!(?P<remark>[^\n]*)"
)
# What aligners write where nothing, or no word, is said.
PAUSES = frozenset(
    ("", "sil", "sp", "spn", "#", "<sil>", "<sp>", "<spn>", "<eps>", "<p>", "<p:>", "<pause>", "[silence]")
)
_WORD_TIER = re.compile(r"(?:^|[\s_/:.-])words?$", re.IGNORECASE)
_PHONE_TIER = re.compile(r"(?:^|[\s_/:.-])(?:phon\w*|ipa|sampa|segments?|kan-mau)$|^mau$", re.IGNORECASE)
# Of a tier of phones nearly all labels are a letter or two, with marks of stress and length (AH0, tʰ, eɪ, SH).
_PHONE_LETTERS, _PHONE_SHARE, _PHONE_LABELS = 2, 0.9, 5
_PHONE_MARKS = re.compile(r"[0-9:_\u02b0-\u02ff'\"%~@&{}?=\u00b7.]")


@dataclass(frozen=True, slots=True)
class IntervalTier:
    """A tier that tiles its time.

    Attributes:
        intervals: in order, those without a label too; seconds.
    """

    name: str
    intervals: tuple[Segment, ...]

    def words(self) -> tuple[Segment, ...]:
        """The intervals in which a word is said."""
        labelled = (Segment(" ".join(i.text.split()), i.start, i.end) for i in self.intervals)
        return tuple(word for word in labelled if word.text.casefold() not in PAUSES)


def read_textgrid(path: Path | str) -> list[IntervalTier]:
    """The interval tiers of a file, in order; tiers of points are left out.

    Args:
        path: long or short text format, UTF-8 or UTF-16 (with its byte order mark, as Praat writes it).

    Raises:
        InputError: not a TextGrid, binary, cut short, or in another encoding.
    """
    path = Path(path)
    values = _values(_text_of(path), path)
    try:
        if (next(values), next(values)) != ("ooTextFile", "TextGrid"):
            raise _broken(path, "it does not begin with ooTextFile and TextGrid")
        start, end = _number(next(values)), _number(next(values))
        if next(values) is not True or end < start:  # the flag <exists>
            raise _broken(path, "it has no tiers")
        tiers = [_tier(values) for _ in range(_count(next(values)))]
        left = next(values, None)
        if left is not None:
            raise _broken(path, f"a size is too small: {str(left)[:40]!r} is left over")
        return [tier for tier in tiers if tier is not None]
    except StopIteration as error:
        raise _broken(path, "it is cut short") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _broken(path, str(error)) from error


def word_tier(tiers: list[IntervalTier], path: Path | str, name: str | None = None) -> IntervalTier:
    """The tier that holds the words: the one named, the one called "words" or "word" (also behind the name of a
    speaker, "anna - words"), or the only one, if it is not one of phones.

    Args:
        tiers: of one file.
        path: of the file, for the error.
        name: of the tier, capital or small; None: find it.

    Raises:
        InputError: there is none, or more than one.
    """
    if name is not None:
        found = [tier for tier in tiers if tier.name.strip().casefold() == name.strip().casefold()]
    else:
        found = [tier for tier in tiers if _WORD_TIER.search(tier.name.strip())]
        if not found and len(tiers) == 1 and not _holds_phones(tiers[0]):
            found = tiers
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(tier.name) + (", of phones" if _holds_phones(tier) else "") for tier in tiers) or "none"
    wanted = 'called "words"' if name is None else f"called {name!r}"
    raise InputError(
        f"a TextGrid holds its words in one interval tier, {wanted}",
        f"{Path(path).name} has {names}",
        "name the tier with --tier, rename it, or take the TextGrid away so that the text is aligned",
    )


def _holds_phones(tier: IntervalTier) -> bool:
    name = tier.name.strip()
    if _WORD_TIER.search(name):
        return False
    labels = [word.text for word in tier.words()]
    few = sum(_is_phone(label) for label in labels)
    alike = len(labels) >= _PHONE_LABELS and few >= _PHONE_SHARE * len(labels)
    return alike or _PHONE_TIER.search(name) is not None


def _is_phone(label: str) -> bool:
    """Whether it is as short as the name of a phone; in scripts of syllables and signs words are as short as that."""
    letters = [c for c in _PHONE_MARKS.sub("", label) if not unicodedata.category(c).startswith("M")]
    names = (unicodedata.name(c, "") for c in letters)
    return 1 <= len(letters) <= _PHONE_LETTERS and all(name.startswith(("LATIN", "GREEK")) for name in names)


def _tier(values: Iterator[str | float | bool]) -> IntervalTier | None:
    kind, name = next(values), next(values)
    _, _ = _number(next(values)), _number(next(values))
    count = _count(next(values))
    if kind == "TextTier":
        for _ in range(2 * count):  # a time and a mark each
            next(values)
        return None
    if kind != "IntervalTier" or not isinstance(name, str):
        raise ValueError(f"a tier of kind {kind!r}")
    intervals = []
    for _ in range(count):
        start, end, label = _number(next(values)), _number(next(values)), next(values)
        if not isinstance(label, str):
            raise ValueError(f"{label!r} where a label should be")
        intervals.append(Segment(label, start, end))
    return IntervalTier(name, tuple(intervals))


def _number(value: str | float | bool) -> float:
    if isinstance(value, float):
        return value
    raise ValueError(f"{value!r} where a number should be")


def _count(value: str | float | bool) -> int:
    number = _number(value)
    if number >= 0 and number.is_integer():  # not so infinite ones
        return int(number)
    raise ValueError(f"a size of {number:g}")


def _values(text: str, path: Path) -> Iterator[str | float | bool]:
    position = 0
    for match in _TOKEN.finditer(text):
        if '"' in text[position : match.start()]:
            break
        position = match.end()
        kind = match.lastgroup
        if kind == "string":
            yield match["string"].replace('""', '"')
        elif kind == "number":
            yield float(match["number"])
        elif kind == "flag":
            yield match["flag"] == "exists"
    if '"' in text[position:]:
        raise _broken(path, "a quote is never closed")


def _text_of(path: Path) -> str:
    raw = path.read_bytes()
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} must be text in UTF-8 or UTF-16", str(error), "save it again so") from error


def _broken(path: Path, found: str) -> InputError:
    return InputError(
        "a TextGrid must be whole, in Praat's long or short text format",
        f"{path.name}: {found}",
        "save it again from Praat",
    )
