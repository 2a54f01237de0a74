"""Addresses of the web and of mailboxes to words."""

from __future__ import annotations

import re

from smoltolk.speech.spelling.numbers import code
from smoltolk.speech.spelling.tables import DOMAINS
from smoltolk.speech.spelling.ways import Ways, joined, unique

_ADDRESS = re.compile(
    rf"(?:(?P<scheme>https?|ftp)://)?(?:(?P<user>[\w.+-]+)@)?(?P<host>(?:[\w-]+\.)+(?:{DOMAINS}))"
    r"(?P<path>[/?#:]\S*)?"
)


def address_ways(core: str) -> Ways:
    """The ways of saying an address, none where this is no address."""
    found = _ADDRESS.fullmatch(core)
    if found is None:
        return ()
    path = (found["path"] or "").rstrip("/")
    text = (f"{found['user']}@" if found["user"] else "") + found["host"] + path
    marks = {".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", ":": "colon", "?": "question mark"}
    marks |= {"=": "equals", "&": "and", "#": "hash", "+": "plus", "%": "percent"}
    parts: list[Ways] = []
    for piece in re.findall(r"\d+|[^\W\d_]+|\W|_", text):
        if piece.isdigit():
            parts.append(code(piece))
        elif piece.isalpha():
            parts.append((" ".join(piece),) if piece.lower() == "www" else _word(piece.lower(), piece.upper()))
        elif piece in "-_":
            parts.append((marks[piece], "hyphen", "") if piece == "-" else (marks[piece], ""))
        else:
            parts.append((marks.get(piece, ""),))
    said = joined(parts)
    if found["scheme"]:
        letters = " ".join(found["scheme"])
        said = unique([*said[:12], *(f"{letters} colon slash slash {way}" for way in said[:6])])
    return said


def _word(word: str, capitals: str) -> Ways:
    """A word of an address: short ones without a vowel are spelled out."""
    return (word,) if re.search("[aeiouy]", word) else unique([" ".join(capitals), word])
