from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.generation.runs import split_runs
from smoltolk.model.generation.streaming import Piece, PieceIterator, PieceStreamer
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM

SPACE = IdSpace(speech_offset=300, num_units=8, begin_prompt=297, end_prompt=298, switch=299, eos_text=296)


class Bytes:
    """A tokenizer whose ids are the bytes of UTF-8: a character may need several; 0 is special."""

    def decode(self, ids: list[int], skip_special_tokens: bool = False, **_: bool) -> str:
        kept = [i for i in ids if not (skip_special_tokens and i == 0)]
        return bytes(min(i, 255) for i in kept).decode("utf-8", errors="replace")


def stream(ids: list[int], units_at_once: int = 1) -> list[Piece]:
    pieces: list[Piece] = []
    streamer = PieceStreamer(Bytes(), SPACE, pieces.append, units_at_once=units_at_once)
    streamer.put(torch.tensor([[1, 2, 3]]))  # the prompt
    for i in ids:
        streamer.put(torch.tensor([i]))
    streamer.end()
    return pieces


def joined(pieces: list[Piece]) -> list[str | list[int]]:
    """The runs that the pieces make up."""
    runs: list[str | list[int]] = []
    ended = True
    for piece in pieces:
        content = piece.text if piece.units is None else piece.units.tolist()
        if ended:
            runs.append(content)
        else:
            runs[-1] += content
        ended = piece.ends
    assert ended
    return runs


def test_pieces() -> None:
    pieces = stream([*"né".encode(), 299, 300, 301, 302, 308], units_at_once=2)
    assert [piece.text for piece in pieces[:3]] == ["n", "é", ""]  # é is given when it is whole
    assert [piece.ends for piece in pieces] == [False, False, True, False, True]
    assert [piece.units.tolist() for piece in pieces[3:]] == [[0, 1], [2]]


def test_half_a_character_at_the_end_is_not_lost() -> None:
    assert joined(stream([110, 195])) == ["n\ufffd"]


def test_special_tokens_are_no_text() -> None:
    assert joined(stream([110, 0, 111, 0])) == ["no"]


def test_a_second_prompt_is_left_out_too() -> None:
    pieces: list[Piece] = []
    streamer = PieceStreamer(Bytes(), SPACE, pieces.append)
    for _ in range(2):
        streamer.put(torch.tensor([[65, 66]]))
        streamer.put(torch.tensor([67]))
        streamer.end()
    assert joined(pieces) == ["C", "C"]


@given(st.lists(st.one_of(st.integers(32, 126), st.integers(296, 309))), st.integers(1, 4))
def test_pieces_join_to_the_runs(ids: list[int], units_at_once: int) -> None:
    expected = [run.ids if run.is_speech else Bytes().decode(run.ids) for run in split_runs(ids, SPACE)]
    pieces = stream(ids, units_at_once)
    assert joined(pieces) == expected
    assert all(piece.units is None or len(piece.units) <= units_at_once for piece in pieces)


def test_iterator_over_a_generation_in_a_thread(
    make_model: Callable[..., SmolTolkForCausalLM], write: Callable[..., Tensor]
) -> None:
    model = make_model()
    prompts = write(model.config.id_space, "tttt")
    inputs = {"attention_mask": torch.ones_like(prompts), "do_sample": False, "max_new_tokens": 7}
    settings = inputs | generation_settings(model.config, "speech")
    expected = model.generate(prompts, **settings)[0, 4:]
    pieces = PieceIterator(Bytes(), model.config.id_space, units_at_once=3, timeout=60)
    thread = Thread(target=model.generate, args=(prompts,), kwargs=settings | {"streamer": pieces})
    thread.start()
    (spoken,) = joined(list(pieces))
    thread.join()
    assert spoken == split_runs(expected.tolist(), model.config.id_space)[0].ids


def test_mistakes() -> None:
    with pytest.raises(InputError, match="one row"):
        PieceStreamer(Bytes(), SPACE, print).put(torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(InputError, match="a unit at least"):
        PieceStreamer(Bytes(), SPACE, print, units_at_once=0)
