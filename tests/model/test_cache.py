from __future__ import annotations

import pytest
import torch
from transformers import Cache, DynamicCache, LlamaConfig, StaticCache
from transformers.cache_utils import DynamicLayer, StaticLayer

from smoltolk.model.cache import CacheViews, History


def flags(row: str) -> torch.Tensor:
    return torch.tensor([[letter == "u" for letter in row]])


def remembered(row: str, chunk: int, static: bool = False) -> tuple[Cache, History]:
    """The history behind the last chunk of a row."""
    view = Cache(layers=[StaticLayer(max_cache_len=len(row) + 3) if static else DynamicLayer()])
    for part in flags(row).split(chunk, dim=1):
        history = History.extend(view, part)
    return view, history


@pytest.mark.parametrize("cache", [DynamicCache(), DynamicCache(config=LlamaConfig(num_hidden_layers=3))])
def test_a_cache_made_for_the_backbone_grows(cache: Cache) -> None:
    views = CacheViews.of(cache, 3, 2, 1)
    assert len(cache.layers) == 7
    parts = (views.backbone, views.input_adapter, views.output_adapter, views.history)
    assert [len(part.layers) for part in parts] == [3, 2, 1, 1]
    assert [layer for part in parts for layer in part.layers] == cache.layers
    again = CacheViews.of(cache, 3, 2, 1)
    assert again.history.layers[0] is views.history.layers[0] and len(cache.layers) == 7


def test_a_static_cache_grows_by_layers_of_its_length() -> None:
    cache = StaticCache(config=LlamaConfig(num_hidden_layers=3), max_cache_len=17)
    views = CacheViews.of(cache, 3, 1, 1)
    assert all(layer.get_max_length() == 17 for layer in cache.layers)
    assert isinstance(views.history.layers[0], StaticLayer)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("chunk", [9, 4, 1])
def test_history_by_chunks(chunk: int, static: bool) -> None:
    row = "ttuuutuut"
    _, history = remembered(row, chunk, static)
    length = (len(row) - 1) % chunk + 1  # of the last chunk
    assert int(history.start) == len(row) - length
    assert history.is_speech[0, : len(row)].tolist() == flags(row)[0].tolist()
    before = [False, *flags(row)[0].tolist()][:-1]
    assert history.previous(length)[0].tolist() == before[-length:]
    assert history.positions_in_span(length)[0].tolist() == [0, 0, 0, 1, 2, 0, 0, 1, 0][-length:]


def test_start_does_not_move_with_a_static_layers_counter() -> None:
    view = Cache(layers=[StaticLayer(max_cache_len=8)])
    first = History.extend(view, flags("tu"))
    second = History.extend(view, flags("uu"))
    History.extend(view, flags("t"))
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
    History.extend(view, torch.tensor([[True, False], [False, False]]))
    view.reorder_cache(torch.tensor([1, 0]))
    history = History.extend(view, torch.tensor([[True], [True]]))
    assert history.is_speech.tolist() == [[False, False, True], [True, False, True]]
