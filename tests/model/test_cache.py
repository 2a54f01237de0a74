from __future__ import annotations

import pytest
import torch
from transformers import Cache, DynamicCache, LlamaConfig, StaticCache
from transformers.cache_utils import DynamicLayer, StaticLayer

from smoltolk.model.cache import DecodingState, History
from smoltolk.model.configuration import SmolTolkConfig


def flags(row: str) -> torch.Tensor:
    return torch.tensor([[letter == "u" for letter in row]])


def remembered(row: str, chunk: int, static: bool = False) -> tuple[Cache, History]:
    """The history behind the last chunk of a row."""
    view = Cache(layers=[StaticLayer(max_cache_len=len(row) + 3) if static else DynamicLayer()])
    for part in flags(row).split(chunk, dim=1):
        history = History.remember(view, part, None)
    return view, history


def config(num_input: int, num_output: int) -> SmolTolkConfig:
    text = LlamaConfig(num_hidden_layers=3)
    return SmolTolkConfig(text_config=text, num_input_layers=num_input, num_output_layers=num_output)


@pytest.mark.parametrize("cache", [DynamicCache(), DynamicCache(config=LlamaConfig(num_hidden_layers=3))])
def test_a_cache_made_for_the_backbone_grows(cache: Cache) -> None:
    state = DecodingState.of(cache, config(2, 1), flags("tu"), None)
    assert len(cache.layers) == 7
    parts = (state.backbone, state.late_fusion, state.late_fission)
    assert [len(part.layers) for part in parts] == [3, 2, 1]
    assert [layer for part in parts for layer in part.layers] == cache.layers[:-1]
    again = DecodingState.of(cache, config(2, 1), flags("u"), None)
    assert again.history.is_speech.tolist() == [[False, True, True]] and len(cache.layers) == 7


def test_a_static_cache_grows_by_layers_of_its_length() -> None:
    cache = StaticCache(config=LlamaConfig(num_hidden_layers=3), max_cache_len=17)
    DecodingState.of(cache, config(1, 1), flags("tu"), None)
    assert all(layer.get_max_length() == 17 for layer in cache.layers)
    assert len(cache.layers) == 6 and isinstance(cache.layers[-1], StaticLayer)


def test_without_a_cache_there_is_nothing() -> None:
    assert DecodingState.of(None, config(1, 1), flags("tu"), None) == DecodingState()


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("chunk", [9, 4, 1])
def test_history_by_chunks(chunk: int, static: bool) -> None:
    row = "ttuuutuut"
    _, history = remembered(row, chunk, static)
    length = (len(row) - 1) % chunk + 1  # of the last chunk
    assert int(history.start) == len(row) - length
    assert history.is_speech[0, : len(row)].tolist() == flags(row)[0].tolist()
    before = [False, *flags(row)[0].tolist()][:-1]
    assert history.previous_is_speech(length)[0].tolist() == before[-length:]
    assert history.positions_in_span(length)[0].tolist() == [0, 0, 0, 1, 2, 0, 0, 1, 0][-length:]


def test_start_does_not_move_with_a_static_layers_counter() -> None:
    view = Cache(layers=[StaticLayer(max_cache_len=8)])
    first = History.remember(view, flags("tu"), None)
    second = History.remember(view, flags("uu"), None)
    History.remember(view, flags("t"), None)
    assert (int(first.start), int(second.start)) == (0, 2)


@pytest.mark.parametrize("static", [False, True])
def test_visibility_inside_a_span_only(static: bool) -> None:
    row = "tuutuuu"
    expected = [
        [(row[q] == row[k] == "u" and "t" not in row[k:q] and k <= q) or q == k for k in range(len(row))]
        for q in range(len(row))
    ]
    for length in (len(row), 3, 1):
        _, history = remembered(row, length, static)
        last = (len(row) - 1) % length + 1
        visible = history.visible(last)[0, :, : len(row)]
        assert visible.tolist() == expected[-last:]


def test_reordered_with_the_beams() -> None:
    view = Cache(layers=[DynamicLayer()])
    History.remember(view, torch.tensor([[True, False], [False, False]]), None)
    view.reorder_cache(torch.tensor([1, 0]))
    history = History.remember(view, torch.tensor([[True], [True]]), None)
    assert history.is_speech.tolist() == [[False, False, True], [True, False, True]]


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("length", [8, 3, 1])
def test_padding_is_passed_over_wherever_it_stands(length: int, static: bool) -> None:
    row = "tu.u.tu."  # a dot is padding
    is_speech, real = (torch.tensor([[letter in kind for letter in row]]) for kind in ("u", "tu"))
    view = Cache(layers=[StaticLayer(max_cache_len=11) if static else DynamicLayer()])
    for part, present in zip(is_speech.split(length, 1), real.split(length, 1), strict=True):
        history = History.remember(view, part, present)
    last = (len(row) - 1) % length + 1
    before = [False, False, True, True, True, True, False, True]
    assert history.previous_is_speech(last)[0].tolist() == before[-last:]
    assert history.positions_in_span(last)[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0][-last:]
    seen = [[0], [1], [2], [1, 3], [4], [5], [6], [7]]
    visible = history.visible(last)[0, :, : len(row)]
    assert [sees.nonzero().flatten().tolist() for sees in visible] == seen[-last:]
