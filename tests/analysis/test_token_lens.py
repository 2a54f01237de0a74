"""The lens on words: its last layer is the model itself, its shares are counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smoltolk.analysis.material import Material
from smoltolk.analysis.token_lens import token_lens, token_ranks
from smoltolk.data.rows.documents import Document
from smoltolk.model.modeling import SmolTolkForCausalLM


def test_the_last_layer_is_the_models_own_top_k(model: SmolTolkForCausalLM, material: Material) -> None:
    documents = material.written[:4]
    places = [(k, (1, stop)) for k in range(4) for stop in (3, 6, 9)]
    tokens = np.random.default_rng(0).integers(0, 400, (len(places), 2))
    for number, (document, (_, stop)) in enumerate(places):
        with torch.no_grad():
            logits = model(torch.from_numpy(documents[document].input_ids)[None]).logits[0, stop - 1]
        best = logits[: model.config.id_space.speech_offset].topk(10).indices
        tokens[number] = best[0], best[7]
        assert token_ranks(model, documents, [places[number]], tokens[number : number + 1])[-1].tolist() == [[1, 8]]
    assert token_ranks(model, documents, places, tokens)[-1].tolist() == [[1, 8]] * len(places)


def test_after_a_switch_the_last_layer_is_what_would_be_written(model: SmolTolkForCausalLM, material: Material) -> None:
    """Heard speech, then <switch>: the model's own text logits, and the lens at that position."""
    space = model.config.id_space
    document = Document(space).speech(material.units.units(0)).switch()
    with torch.no_grad():
        logits = model(torch.from_numpy(document.input_ids)[None]).logits[0, -1, : space.begin_prompt]
    order = logits.argsort(descending=True)[:5]
    ranks = token_ranks(model, [document], [(0, (0, len(document)))], order[None].numpy())
    assert ranks[-1, 0].tolist() == [1, 2, 3, 4, 5]


def test_each_layer_through_the_final_norm_and_the_head(model: SmolTolkForCausalLM, material: Material) -> None:
    document, place = material.spoken[0], 7
    with torch.no_grad():
        found = model(torch.from_numpy(document.input_ids)[None], output_hidden_states=True)
        norm, head = model.backbone.model.norm, model.backbone.lm_head
        for layer, states in enumerate(found.hidden_states):
            state = states[0, place - 1]
            logits = head(norm(state) if layer < 2 else state)
            tokens = np.array([[3, 50, 200]])
            expected = [int((logits >= logits[token]).sum()) for token in tokens[0]]
            assert token_ranks(model, [document], [(0, (2, place))], tokens)[layer, 0].tolist() == expected


def test_shares_are_counts(model: SmolTolkForCausalLM, material: Material) -> None:
    found = token_lens(model, material, seed=0)
    words = material.words
    ranks = token_ranks(
        model, material.spoken, [(word.document, word.units) for word in words],
        np.array([[word.first_token] for word in words]),
    )[..., 0]  # fmt: skip
    for k in (1, 5, 10):
        assert [cell["value"] for cell in found["heard"]["top"][str(k)]] == pytest.approx((ranks <= k).mean(1))
    assert found["heard"]["n"] == 120
    followed = [word for word in words if word.next_token >= 0]
    assert found["heard_next"]["n"] == found["read_next"]["n"] == len(followed) < 120
    tokens = [word.next_token for word in followed]
    most = max(tokens.count(token) for token in set(tokens))
    assert found["read_next"]["frequent"]["1"] == pytest.approx(most / len(tokens))
