import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.speech.decoding.spliced import Spliced

CONTENT = bytes(range(256)) * 2
PIECES = st.lists(
    st.binary(min_size=1, max_size=9)
    | st.tuples(st.integers(0, 400), st.integers(1, 100)).map(lambda drawn: range(drawn[0], drawn[0] + drawn[1])),
    max_size=6,
)


@given(PIECES, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200)), max_size=8))
def test_it_is_its_pieces(pieces: list[bytes | range], reads: list[tuple[int, int]]) -> None:
    whole = b"".join(piece if isinstance(piece, bytes) else CONTENT[piece.start : piece.stop] for piece in pieces)
    spliced = Spliced(io.BytesIO(CONTENT), pieces)
    assert spliced.read() == whole and spliced.seek(0, os.SEEK_END) == len(whole)
    for at, size in reads:
        assert spliced.seek(at) == at and spliced.read(size) == whole[at : at + size]
    spliced.check()


def test_what_goes_wrong_is_kept() -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: object) -> int:
            raise OSError(5, "broken")

    spliced = Spliced(Broken(), [range(10)])
    assert spliced.read(5) == b""
    with pytest.raises(OSError, match="broken"):
        spliced.check()
    spliced.check()
