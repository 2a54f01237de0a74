"""Whatever comes and goes, each row's columns are its own, and nothing stands before them."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Cache, LlamaConfig
from transformers.cache_utils import DynamicLayer

from smoltolk.inference.running import grid as module
from smoltolk.inference.running.grid import Grid


class Config:
    def get_text_config(self, decoder):
        return LlamaConfig(num_hidden_layers=2)


def states(number, columns):
    """[1, 2 heads, columns, 3] of numbers that nothing else has."""
    return (number + torch.arange(columns * 6.0) / 1000).view(1, columns, 2, 3).transpose(1, 2)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_rows_keep_their_columns(data):
    room, module._ROOM = module._ROOM, data.draw(st.integers(1, 6))
    try:
        grid, rows, count = Grid(Config(), 6), [], 1
        for _ in range(data.draw(st.integers(1, 40))):
            kind = data.draw(st.sampled_from(["join", "tick", "tick", "leave"]))
            if kind == "join" and len(rows) < 6:
                lengths = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=6 - len(rows)))
                cache, longest = Cache(layers=[DynamicLayer(), DynamicLayer()]), max(lengths)
                joined = [states(count + place, length) for place, length in enumerate(lengths)]
                count += len(lengths)
                padded = [torch.nn.functional.pad(one, (0, 0, longest - one.shape[2], 0)) for one in joined]
                for layer in cache.layers:
                    layer.update(torch.cat(padded), -torch.cat(padded))
                grid.join(cache, lengths)
                rows += joined
            elif kind == "leave" and rows:
                place = data.draw(st.integers(0, len(rows) - 1))
                grid.leave(place)
                rows[place] = rows[-1]
                rows.pop()
            for _ in range(data.draw(st.integers(1, 9)) if kind == "tick" and rows else 0):
                reading = grid.reading(torch.device("cpu"))
                assert reading["position_ids"][:, 0].tolist() == [row.shape[2] for row in rows]
                new = [states(count + place, 1) for place in range(len(rows))]
                count += len(rows)
                for layer in grid.cache.layers:
                    keys, values = layer.update(torch.cat(new), -torch.cat(new))
                    assert keys.shape == values.shape == (len(rows), 2, grid.cache.get_seq_length() + 1, 3)
                grid.tick()
                rows = [torch.cat([row, one], dim=2) for row, one in zip(rows, new, strict=True)]
            check(grid, rows)
    finally:
        module._ROOM = room


def check(grid, rows):
    window = grid.window
    assert len(grid) == window.rows == len(rows)
    assert window.clock - window.first == max((row.shape[2] for row in rows), default=0)
    if not rows:
        assert grid.num_bytes == 0
    for layer in grid.cache.layers if rows else ():
        for place, row in enumerate(rows):
            for store, wanted in ((layer.keys, row), (layer.values, -row)):
                seen = store[place : place + 1, :, window.first : window.clock]
                assert torch.equal(seen[:, :, -row.shape[2] :], wanted)
                assert not seen[:, :, : -row.shape[2]].any()  # flags of nobody
