from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from smoltolk.demo.drawing import Drawn, draw
from smoltolk.demo.inside import Guess, Place, Selector
from smoltolk.demo.segments import Column, Said
from smoltolk.demo.words import Word


def drawn(num_units: int = 5, num_layers: int = 2, label: str = "a", selector: bool = True) -> Drawn:
    seconds = np.full(num_units, 0.2)
    said = Said(np.arange(num_units), seconds, np.sin(np.arange(3200 * num_units)).astype(np.float32), 16000, True)
    columns = [Column(0, label, 0.0, 0.5, False)]
    columns += [Column(k + 1, str(k), 0.5 + 0.2 * k, 0.7 + 0.2 * k, True) for k in range(num_units)]
    weights = np.full((len(columns), num_layers), 1 / num_layers)
    names = tuple(str(layer + 1) for layer in range(num_layers))
    guesses = [[Guess((label, "b"), (0.6, 0.2))] for _ in range(num_layers + 1)]
    place = Place(num_units, 0.5, 0.5 + 0.2 * num_units)
    words = [Word(label, 0.5, 1.2, 0.9), Word(label, 1.2, 1.5, 0.1)]
    return Drawn(
        [label, said], [0.0, 0.5], columns, words, Selector(names, weights) if selector else None, [place], guesses
    )


def svg_of(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<page>{page}</page>")


def test_everything_stands_at_its_time() -> None:
    root = svg_of(draw(drawn(), "a note"))
    units = root.findall(".//g[@class='unit']/rect")
    assert len(units) == 5 and [float(one.get("x", "")) for one in units] == [55.0, 77.0, 99.0, 121.0, 143.0]
    words = root.findall(".//g[@class='word']")
    assert float(words[0][1].get("x", "")) == 55.0 and ["0.45" in str(one.get("style")) for one in words] == [
        False,
        True,
    ]
    assert len(root.findall(".//rect[@class='heat']")) == 12 and len(root.findall(".//g[@class='guess']")) == 3
    assert [line.get("x1") for line in root.iter("line")] == ["55.0"]  # where the answer begins
    assert "a note" in "".join(root.itertext())


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", "\"&'", "\u202e"])
def test_what_a_model_writes_is_no_markup(label: str) -> None:
    page = draw(drawn(label=label), label)
    assert "<script" not in page
    assert label in "".join(svg_of(page).itertext())


def test_without_a_selector_its_rows_are_left_out() -> None:
    assert "selector" not in draw(drawn(selector=False), "") and "selector" in draw(drawn(), "")


def test_long_time_lines_of_deep_models_stay_small() -> None:
    page = draw(drawn(num_units=1500, num_layers=40), "")
    assert page.count('class="heat"') <= 6000
    shares = [float(found) for found in re.findall(r"fill-opacity:([\d.]+)", page)]
    assert set(shares) == {0.03, 0.02} or set(shares) == {0.03}
