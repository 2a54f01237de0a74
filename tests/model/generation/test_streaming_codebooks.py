"""Frames of several codebooks as they become whole."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from smoltolk.common.errors import InputError
from smoltolk.model.codec.codebooks import frames_of
from smoltolk.model.generation.modes import generation_settings
from smoltolk.model.generation.streaming import Piece, PieceIterator, PieceStreamer
from smoltolk.model.modeling import SmolTolkForCausalLM

Make, Written = Callable[..., SmolTolkForCausalLM], Callable[..., tuple[Tensor, Tensor]]
DELAYS = [[0, 1, 2], [0, 0, 0], [0, 3, 1]]


class Letters:
    """A tokenizer without spaces or half characters."""

    def decode(self, ids: list[int], **_: bool) -> str:
        return "".join(chr(97 + i % 26) for i in ids)


def make_frames(make_model: Make, delays: list[int], *, ends: bool = True, **settings: Any) -> SmolTolkForCausalLM:
    adapters = {"num_input_layers": 1, "num_output_layers": 1}
    model = make_model(num_codebooks=3, codebook_delays=delays, **adapters, **settings)
    space = model.config.id_space
    if not ends:
        model.generation_config.suppress_tokens = [space.eos_speech, space.pad_speech]
    return model


def generate(model: SmolTolkForCausalLM, ids: Tensor, codes: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """Ids [T] and codes [T, 2] of one row with its prompt."""
    torch.manual_seed(3)
    defaults = {"do_sample": True, "temperature": 3.0, "attention_mask": torch.ones_like(ids)}
    speech = generation_settings(model.config, "speech")
    made = model.generate(ids, codes=codes, return_dict_in_generate=True, **(defaults | speech | options))
    return made.sequences[0], made.codes[0]


def stream(model: SmolTolkForCausalLM, ids: Tensor, codes: Tensor, at_once: int = 1, **options: Any) -> list[Piece]:
    pieces: list[Piece] = []
    streamer = PieceStreamer(Letters(), model.config.id_space, pieces.append, units_at_once=at_once)
    generate(model, ids, codes, streamer=streamer, **options)
    return pieces


def whole_frames(model: SmolTolkForCausalLM, ids: Tensor, codes: Tensor) -> list[list[list[int]]]:
    """Complete frames of each run."""
    runs = [run[(run >= 0).all(1)].tolist() for run in frames_of(ids, codes, model.config.id_space)]
    return [run for run in runs if run]


@pytest.mark.parametrize("delays", DELAYS, ids=str)
def test_pieces_are_the_frames_behind_the_prompt(delays: list[int], make_model: Make, written: Written) -> None:
    """Whether the run ends by itself, or is cut off in the midst of its delay; and nothing is drawn otherwise."""
    model = make_frames(make_model, delays)
    for prompt, known in (("ttts", 0), ("tts4.", 4), ("e1.", 1), ("e", 0)):
        ids, codes = written(model.config.id_space, prompt)
        for limit, at_once in ((1, 1), (2, 3), (5, 1), (5, 3), (16, 3)):
            options = {"max_new_tokens": limit, "min_new_tokens": 7 if limit == 16 else 0}
            said = generate(model, ids, codes, **options)
            found = stream(model, ids, codes, at_once, **options)
            expected = [frame for run in whole_frames(model, *said) for frame in run][known:]
            assert all(one.units.shape[1:] == (3,) and len(one.units) <= at_once for one in found)
            assert [frame for one in found for frame in one.units.tolist()] == expected
            assert [piece.ends for piece in found] == [False] * (len(found) - 1) + [True] * bool(expected)
            assert expected or limit < 16


@pytest.mark.parametrize("delays", DELAYS, ids=str)
def test_a_frame_is_given_with_the_id_that_completes_it(delays: list[int], make_model: Make, written: Written) -> None:
    model = make_frames(make_model, delays, ends=False)
    given: list[int] = []

    class Watched(PieceStreamer):
        def put(self, value: Tensor) -> None:
            super().put(value)
            given.append(sum(len(piece.units) for piece in pieces))

    pieces: list[Piece] = []
    ids, codes = written(model.config.id_space, "ttts")
    watched = Watched(Letters(), model.config.id_space, pieces.append)
    generate(model, ids, codes, streamer=watched, max_new_tokens=9)
    tail = max(delays)
    assert given == [0, *(max(0, number - tail) for number in range(1, 10))]
    given.clear()
    generate(model, ids, codes, streamer=watched, max_new_tokens=9)  # a second call, after an end
    assert given[-1] == 2 * (9 - tail)


def test_runs_of_text_and_of_frames(make_model: Make, written: Written) -> None:
    """A model that may choose: each run ends by itself, and frames that the delay still holds belong to theirs."""
    model = make_frames(make_model, [0, 1, 2], predict_switch=True)
    space = model.config.id_space
    ids, codes = written(space, "ttt")
    settings = generation_settings(model.config, "any") | {"max_new_tokens": 50, "eos_token_id": [-1]}
    for temperature in (1.0, 20.0):
        said, said_codes = generate(model, ids, codes, temperature=temperature, **settings)
        pieces = stream(model, ids, codes, temperature=temperature, **settings)
        runs, ended = [], True
        for piece in pieces:
            if ended:
                runs.append([])
            runs[-1] += [piece.text] if piece.units is None else piece.units.tolist()
            ended = piece.ends
        assert ended
        spoken = [run for run in runs if not isinstance(run[0], str)]
        assert spoken == whole_frames(model, said, said_codes)
    assert len(spoken) > 1 and len(runs) > len(spoken)


def test_iterator_over_frames_in_a_thread(make_model: Make, written: Written) -> None:
    model = make_frames(make_model, [0, 1, 2], ends=False)
    ids, codes = written(model.config.id_space, "tts2.")
    options = {"do_sample": False, "max_new_tokens": 7} | generation_settings(model.config, "speech")
    inputs = {"codes": codes, "attention_mask": torch.ones_like(ids)}
    pieces = PieceIterator(Letters(), model.config.id_space, units_at_once=2, timeout=60)
    thread = Thread(target=model.generate, args=(ids,), kwargs=options | inputs | {"streamer": pieces})
    thread.start()
    found = [piece.units for piece in pieces]
    thread.join()
    assert [len(one) for one in found] == [2, 2, 1]
    made = model.generate(ids, return_dict_in_generate=True, **options, **inputs)
    assert np.concatenate(found).tolist() == whole_frames(model, made.sequences[0], made.codes[0])[0][2:]


def test_ids_alone_are_no_frames(make_model: Make) -> None:
    streamer = PieceStreamer(Letters(), make_frames(make_model, [0, 1, 2]).config.id_space, print)
    with pytest.raises(InputError, match="streamer=streamer"):
        streamer.put(torch.tensor([[1, 2, 3]]))
