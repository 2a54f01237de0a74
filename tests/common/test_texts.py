"""Text that can be written, and where its lines end."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common import texts
from smoltolk.common.errors import InputError
from smoltolk.common.texts import (
    check_encodable,
    encodable,
    encodable_json,
    line_at,
    may_hold_halves,
    numbered_lines,
    split_lines,
)

any_text = st.text(st.characters() | st.characters(categories=["Cs"]))


@given(any_text)
def test_whatever_comes_in_can_be_written(text: str) -> None:
    made = encodable(text)
    made.encode()  # or an error
    assert len(made) <= len(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(InputError, match="whole characters"):
            check_encodable(text, "a text")
    else:
        assert made == text
        check_encodable(text, "a text")


@given(any_text, any_text)
def test_json_is_looked_at_where_it_must_be(name: str, text: str) -> None:
    written = json.dumps({name: [text, 3, None]})
    held = json.loads(written)
    made = encodable_json(held)
    assert made == {encodable(name): [encodable(text), 3, None]}
    assert made == held or may_hold_halves(written)


def test_halves_that_belong_together_are_one_character() -> None:
    assert encodable("\ud83d\ude00 \ud83d!") == "\U0001f600 \ufffd!"


@given(st.text(st.sampled_from("ab\r\n\x0b\x0c\x1c\x85\u2028\u00e9")), st.integers(1, 9))
def test_lines_end_alike_in_a_text_and_in_a_file(text: str, block: int) -> None:
    lines = split_lines(text)
    data = text.encode()
    old, texts._BLOCK = texts._BLOCK, block  # every place may be the end of a block
    try:
        found = list(numbered_lines(io.BytesIO(data)))
    finally:
        texts._BLOCK = old
    assert [line.decode() for _, line in found] == (lines[:-1] if lines[-1] == "" else lines)
    assert all(line_at(data, place) == line for place, line in found)
    assert text.replace("\r\n", "\n").replace("\r", "\n").split("\n") == lines
