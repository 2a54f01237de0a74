from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from smoltolk.demo.inside import lens, places_of, selector_weights
from smoltolk.demo.segments import Column, columns_of, document_of, listen
from smoltolk.demo.words import Word
from smoltolk.inference.speech_text import SpeechText


def test_weights_are_those_of_the_model_at_each_column(talker: SpeechText, recording: tuple[Path, str]) -> None:
    segments = ["A fox. ", listen(talker, recording[0], 60)]
    document = document_of(talker, segments)
    columns = columns_of(talker, document, segments)
    found = selector_weights(talker, document, columns)
    assert found is not None and found.layers == ("1", "2")
    with torch.no_grad():
        output = talker.model(torch.from_numpy(document.input_ids)[None], output_selector_weights=True)
    expected = output.selector_weights[0].numpy()[[column.position for column in columns]]
    np.testing.assert_allclose(found.weights, expected, atol=1e-5)
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-5)


def test_early_fusion_has_no_selector(bundles: list[Path]) -> None:
    early = SpeechText.from_pretrained(bundles[1], device="cpu")
    document = document_of(early, ["a"])
    assert selector_weights(early, document, columns_of(early, document, ["a"])) is None


def test_the_head_on_the_last_layer_says_what_the_model_says(talker: SpeechText) -> None:
    document = document_of(talker, ["A fox."])
    columns = columns_of(talker, document, ["A fox."])
    places = places_of(columns, [])
    assert [place.position for place in places] == [column.position for column in columns]
    found = lens(talker, document, places)
    assert len(found) == 3 and all(len(row) == len(places) for row in found)
    with torch.no_grad():
        logits = talker.model(torch.from_numpy(document.input_ids)[None]).logits[0, :, : len(talker.tokenizer)]
    for place, guess in zip(places, found[-1], strict=True):
        ids = logits[place.position].topk(5).indices.tolist()
        assert guess.tokens == tuple(talker.tokenizer.decode([one]) for one in ids)
        assert list(guess.shares) == sorted(guess.shares, reverse=True) and 0 < sum(guess.shares) <= 1 + 1e-6


@pytest.mark.parametrize("at", [0.0, 1.7])
def test_places_end_with_the_words_and_leave_nothing_out(at: float) -> None:
    columns = [Column(k, str(k), at + 0.1 * k, at + 0.1 * (k + 1), True) for k in range(20)]
    words = [
        Word("all of it", at, at + 2.0, 0.0),
        Word("a", at + 0.2, at + 0.5, 1.0),
        Word("b", at + 0.5, at + 0.9, 1.0),
    ]
    places = places_of(columns, words)
    ends = [place.position for place in places]
    assert ends == sorted(set(ends)) and ends[-1] == 19 and {1, 4, 8} <= set(ends)
    assert places[0].start == at and all(a.stop == b.start for a, b in itertools.pairwise(places))
    assert max(place.stop - place.start for place in places) < 0.45
