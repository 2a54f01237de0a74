"""What a story says, found from its words alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from smoltolk.data.world.lexicon import ATTRIBUTES, CLOSES, DAYS, OPENINGS

Said = Callable[[Sequence[str]], list[tuple[str, str, str]]]


def _pattern(form: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[A-Za-z ]+?)", form.replace(".", r"\.")))


_OPENINGS = [_pattern(form) for form in OPENINGS]
_TIES = [(name, _pattern(form)) for name, attribute in ATTRIBUTES.items() for form in attribute.forms]
_OTHERS = [_pattern(form) for form in (*DAYS, *CLOSES)]


def _said(sentences: Sequence[str]) -> list[tuple[str, str, str]]:
    (name,) = (found["name"] for form in _OPENINGS if (found := form.fullmatch(sentences[0])))
    first = name.split()[0]
    ties = []
    for sentence in sentences[1:]:
        found = [(attribute, match) for attribute, form in _TIES if (match := form.fullmatch(sentence))]
        found += [("", match) for form in _OTHERS if (match := form.fullmatch(sentence))]
        ((attribute, match),) = found
        # Who is meant by a first name is the person of the opening.
        assert match.groupdict().get("who", name) in (name, first), sentences
        if attribute:
            ties.append((name, attribute, match["answer"]))
    return ties


@pytest.fixture(scope="session")
def said() -> Said:
    """``said(sentences)``: (both names, attribute, answer) of each tie, the opening telling who is meant."""
    return _said
