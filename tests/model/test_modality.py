from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import Cache, DynamicLayer

from smoltolk.model.cache import History
from smoltolk.model.modality import document_positions, document_starts, next_is_speech

SWITCH = 9
# A letter a position: t text, s <switch>, u unit; and the modality that follows it.
CASES = {
    "tttt": "tttt",
    "uuuu": "uuuu",
    "ttsuu": "ttuuu",  # text -> speech
    "uustt": "uuttt",  # speech -> text
    "ttsuusttsu": "ttuuuttt" + "uu",
    "su": "uu",  # a document that opens with <switch> goes on in speech
    "s": "u",
    "uss": "utu",  # behind a <switch> stands a text id: the next one leads to speech
}


def ids(row: str) -> torch.Tensor:
    return torch.tensor([[{"t": 1, "s": SWITCH, "u": 20}[letter] for letter in row]])


@pytest.mark.parametrize("row", CASES)
def test_what_follows(row: str) -> None:
    found = next_is_speech(ids(row), SWITCH, ids(row) >= 10)
    assert "".join("u" if flag else "t" for flag in found[0]) == CASES[row]


@pytest.mark.parametrize("row", CASES)
def test_the_same_from_a_cache(row: str) -> None:
    view, found = Cache(layers=[DynamicLayer()]), []
    for part in ids(row).split(1, dim=1):
        history = History.extend(view, part >= 10)
        found.append(bool(next_is_speech(part, SWITCH, part >= 10, history)))
    assert "".join("u" if flag else "t" for flag in found) == CASES[row]


def test_nothing_looks_across_a_document_border() -> None:
    row = ids("uu" + "su")
    apart = next_is_speech(row, SWITCH, row >= 10, document_ids=torch.tensor([[0, 0, 1, 1]]))
    assert apart[0].tolist() == [True, True, True, True]
    assert next_is_speech(row, SWITCH, row >= 10)[0].tolist() == [True, True, False, True]


def test_documents() -> None:
    document_ids = torch.tensor([[4, 4, 4, 7, 7, 4], [0, 1, 2, 2, 2, 2]])
    assert document_starts(document_ids).int().tolist() == [[1, 0, 0, 1, 0, 1], [1, 1, 1, 0, 0, 0]]
    assert document_positions(document_ids).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 2, 3]]
