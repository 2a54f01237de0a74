"""Where sentences end."""

from __future__ import annotations

import re

from smoltolk.speech.spelling.tables import ABBREVIATIONS

# "etc." and "Inc." may end a sentence as well: they do.
_GOES_ON = (frozenset(ABBREVIATIONS) | {"dr.", "st."}) - {"etc.", "inc.", "ltd.", "jr.", "sr."}
_ABBREVIATION = re.compile(r"(?:[A-Za-z]\.){2,}$")  # U.S., e.g.
_SENTENCE_END = re.compile(r"[.!?…。！？]['\"’”»)\]]*$")


def ends_sentence(token: str) -> bool:
    """Whether a written token closes a sentence: ``.`` ``!`` ``?`` and the like, then quotes; not ``Mr.``, ``U.S.``"""
    if token.lower() in _GOES_ON or _ABBREVIATION.match(token):
        return False
    return _SENTENCE_END.search(token) is not None
