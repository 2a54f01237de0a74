from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import Cache, DynamicLayer

from smoltolk.model.cache import History
from smoltolk.model.modality import at, document_positions, document_starts, next_is_speech, previous

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


def follows(row: torch.Tensor, **borders: torch.Tensor) -> str:
    is_speech = row >= 10
    if "real" in borders:
        is_speech = is_speech & borders["real"]
    before = at(is_speech, previous(row.shape, row.device, **borders))
    return "".join("u" if flag else "t" for flag in next_is_speech(row, SWITCH, is_speech, before)[0])


@pytest.mark.parametrize("row", CASES)
def test_what_follows(row: str) -> None:
    assert follows(ids(row)) == CASES[row]


@pytest.mark.parametrize("row", CASES)
def test_padding_changes_nothing(row: str) -> None:
    padded = ids("u".join(["", *row]))  # padding, which may look like speech, before each id
    real = torch.arange(padded.shape[1])[None] % 2 == 1
    assert follows(padded, real=real)[1::2] == CASES[row]


@pytest.mark.parametrize("row", CASES)
def test_the_same_from_a_cache(row: str) -> None:
    view, found = Cache(layers=[DynamicLayer()]), []
    for part in ids(row).split(1, dim=1):
        history = History.remember(view, part >= 10, None)
        found.append(bool(next_is_speech(part, SWITCH, part >= 10, history.previous_is_speech(1))))
    assert "".join("u" if flag else "t" for flag in found) == CASES[row]


def test_nothing_looks_across_a_document_border() -> None:
    assert follows(ids("uusu"), document_ids=torch.tensor([[0, 0, 1, 1]])) == "uuuu"
    assert follows(ids("uusu")) == "uutu"
    assert follows(ids("usu"), document_ids=torch.tensor([[0, 1, 1]])) == "uuu"  # the first is one id alone
    assert follows(ids("usu")) == "utu"


def test_what_predicts_each_position() -> None:
    real = torch.tensor([[False, True, False, True, True, True]])
    documents = torch.tensor([[0, 0, 0, 0, 1, 1]])
    shape, device = real.shape, real.device
    assert previous(shape, device)[0].tolist() == [-1, 0, 1, 2, 3, 4]
    assert previous(shape, device, real=real)[0].tolist() == [-1, -1, 1, 1, 3, 4]
    assert previous(shape, device, documents, real)[0].tolist() == [-1, -1, 1, 1, -1, 4]


def test_documents() -> None:
    document_ids = torch.tensor([[4, 4, 4, 7, 7, 4], [0, 1, 2, 2, 2, 2]])
    assert document_starts(document_ids).int().tolist() == [[1, 0, 0, 1, 0, 1], [1, 1, 1, 0, 0, 0]]
    assert document_positions(document_ids).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 2, 3]]
