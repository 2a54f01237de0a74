"""What is said in a recording: a text, and when each of its words is said."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from smoltolk.common.errors import InputError
from smoltolk.common.texts import check_encodable
from smoltolk.speech.segments import Segment
from smoltolk.speech.spelling.readings import readings

# A label of more tokens is a sentence: its words have no times ("New York City" is one word to some aligners).
_MOST_TOKENS = 3
# Symbols that Unicode counts as punctuation.
_SPOKEN_MARKS = frozenset("%‰&@#§*/")


@dataclass(frozen=True, slots=True)
class Said:
    """What is said in a recording, as far as it is known.

    Attributes:
        text: as written, its words separated by single spaces; never empty.
        words: a segment for each word of the text, seconds from the start of the recording; empty if unknown.
        confidences: how sure each word is, 0 to 1; empty if unknown.
        untimed: where words came with times but for some, the first of those; the times of the others are dropped,
            and an aligner has to find all of them. Empty: there is no such word.
    """

    text: str
    words: tuple[Segment, ...] = ()
    confidences: tuple[float, ...] = ()
    untimed: str = ""


def said_of(
    text: str | None, words: Sequence[Segment], confidences: Sequence[float], where: str, untimed: str = ""
) -> Said:
    """Text and words put together.

    Args:
        text: white space made single spaces; None: the words are the text.
        words: with times; empty if unknown.
        confidences: one for each word, or none; those that are not all from 0 to 1 mean something else, and are left
            out.
        where: the file, for the error.
        untimed: the first of the words that have no time, if some have none: then all times are left out.

    Raises:
        InputError: neither has a word, they say different things, or the text holds half a character.
    """
    if text is None:
        # A label of two tokens ("New York") is two words.
        text = " ".join(word.text for word in words)
    if not text.strip():
        raise InputError("a recording must have words in its text", f"{where} is empty", "write down what is said")
    check_encodable(text, where)
    untimed = untimed or next((word.text for word in words if len(word.text.split()) > _MOST_TOKENS), "")
    if untimed:
        return Said(text, untimed=f"{where}: {untimed[:80]!r}")
    if not words:
        return Said(text)
    known = len(confidences) == len(words) and all(0 <= sure <= 1 for sure in confidences)
    return Said(text, *times_of_tokens(text.split(), words, confidences if known else (), where))


def times_of_tokens(
    tokens: Sequence[str], words: Sequence[Segment], confidences: Sequence[float], where: str
) -> tuple[tuple[Segment, ...], tuple[float, ...]]:
    """The times of words, given to the tokens of a text that says the same.

    Aligners drop capitals and commas, and part ``dog's`` into two. Tokens and words are laid on each other by their
    letters and digits, as written or else in one of the ways in which they are said in English (``21`` is ``twenty
    one``); a token lasts from its first letter to its last, and letters share the time of their word. Where there are
    as many words as tokens, one that has digits or symbols may also stand for any other: other languages spell them
    out in their own way.

    Args:
        tokens: of the text, as written.
        words: in order, seconds.
        confidences: one for each word, or none.
        where: the file, for the error.

    Returns:
        a segment for each token (one without letters, a dash, has no length) and its confidence, if
            they are known.

    Raises:
        InputError: they do not say the same.
    """
    letters, heard = [_letters(token) for token in tokens], [_letters(word.text) for word in words]
    if "".join(letters) != "".join(heard):
        found = _as_said(tokens, "".join(heard))
        back = None if found else _as_said([word.text for word in words], "".join(letters))
        if found is not None:
            letters = found
        elif back is not None:
            heard = back
        elif len(tokens) == len(words) and all(
            a == b or _is_code(token) or _is_code(word.text)
            for token, word, a, b in zip(tokens, words, letters, heard, strict=True)
        ):
            return tuple(Segment(t, w.start, w.end) for t, w in zip(tokens, words, strict=True)), tuple(confidences)
        else:
            raise _difference(letters, heard, where)
    starts, ends, owners = [], [], []
    for index, (word, own) in enumerate(zip(words, heard, strict=True)):
        step = (word.end - word.start) / max(1, len(own))
        starts += [word.start + k * step for k in range(len(own))]
        ends += [word.start + (k + 1) * step for k in range(len(own) - 1)] + ([word.end] if own else [])
        owners += [index] * len(own)
    timed, sure = [], []
    place, last = 0, words[0].start if words else 0.0
    for token, own in zip(tokens, letters, strict=True):
        stop = place + len(own)
        start = starts[place] if own else last
        last = ends[stop - 1] if own else last
        timed.append(Segment(token, start, last))
        if confidences:
            sure.append(fmean(confidences[k] for k in owners[place:stop]) if own else math.nan)
        place = stop
    return tuple(timed), tuple(sure)


def _letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _as_said(tokens: Sequence[str], heard: str) -> list[str] | None:
    """Letters of each token as it is said, such that all together are what is heard; None if there is no such way."""
    ways = [
        {_letters(token)} | {_letters("".join(way)) for way in said}
        for token, said in zip(tokens, readings(tokens), strict=True)
    ]
    reached: list[dict[int, str]] = [{0: ""}]  # behind each token: a place in what is heard -> its letters
    for own in ways:
        reached.append({at + len(way): way for at in reached[-1] for way in own if heard.startswith(way, at)})
    if len(heard) not in reached[-1]:
        return None
    at, chosen = len(heard), []
    for places in reversed(reached[1:]):
        chosen.append(places[at])
        at -= len(places[at])
    return chosen[::-1]


def _is_code(token: str) -> bool:
    """Whether it has digits or symbols, which are not said as they are written."""
    return any(c in _SPOKEN_MARKS or unicodedata.category(c)[0] in "NS" for c in token)


def _difference(letters: Sequence[str], heard: Sequence[str], where: str) -> InputError:
    place = next(
        (k for k, (a, b) in enumerate(zip(letters, heard, strict=False)) if a != b), min(len(letters), len(heard))
    )
    ours, theirs = (" ".join(part[place : place + 3]) or "its end" for part in (letters, heard))
    return InputError(
        "the words of a recording must be those of its text: the same letters",
        f"{where}: {theirs!r} where the text has {ours!r}",
        "correct one of them, or take the words away so that they are aligned",
    )
