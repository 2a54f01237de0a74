"""Names of recordings: every script keeps its letters, every name is given once, in time that does not grow."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.data.corpora.names import Names, file_name, printable


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("take 1", "take_1"),
        ("-4711", "-4711"),
        ("录音-4711", "录音-4711"),
        ("हिन्दी ध्वनि", "हिन्दी_ध्वनि"),
        ("..caf\u0065\u0301!", "café_"),
        ("a/b+c:d", "a_b_c_d"),
        ("caf\udce9", "caf_"),
        ("...", "_"),
        ("", "_"),
    ],
)
def test_letters_are_kept(name: str, kept: str) -> None:
    assert file_name(name) == kept


any_name = st.text(st.characters(), max_size=300)


@given(any_name)
def test_any_name_can_be_a_file(name: str) -> None:
    plain = file_name(name)
    assert plain and not plain.startswith(".") and not set(plain) & set("/\0+ \n")
    assert len(plain.encode()) <= 110
    assert plain == unicodedata.normalize("NFC", plain) or len(name.encode(errors="replace")) > 110
    assert file_name(plain) == plain
    printable(name).encode()


@given(st.lists(any_name | st.sampled_from(["a b", "a_b", "A_B", "a_b-2", "é", "e\u0301", "x" * 300]), max_size=30))
def test_every_name_is_given_once(wanted: list[str]) -> None:
    names = Names()
    given = [names.free(name) for name in wanted]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in given}) == len(wanted)
    for name, plain in zip(given, wanted, strict=True):
        assert name.startswith(file_name(plain))


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    assert file_name("音" * 200 + "a") != file_name("音" * 200 + "b")
    assert file_name("音" * 200 + "a").startswith("音" * 30)


def test_as_many_equal_names_as_one_likes() -> None:
    names = Names()
    start = time.process_time()
    given = {names.free("???") for _ in range(50_000)}
    assert len(given) == 50_000 and {"_", "_-2", "_-50000"} <= given
    assert time.process_time() - start < 5  # some 0.2 s; the square of their number would be many minutes
