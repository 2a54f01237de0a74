"""Pooled states, against one document at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smoltolk.analysis.material import Material
from smoltolk.analysis.states import mean_states
from smoltolk.data.rows.documents import Document
from smoltolk.model.modeling import SmolTolkForCausalLM


def alone(model: SmolTolkForCausalLM, document: Document) -> np.ndarray:
    beside = {"codes": torch.from_numpy(document.codes)[None]} if model.config.num_codebooks > 1 else {}
    with torch.no_grad():
        found = model(torch.from_numpy(document.input_ids)[None], output_hidden_states=True, **beside)
    return torch.stack([layer[0] for layer in found.hidden_states]).numpy()


@pytest.mark.parametrize("batch_tokens", [1, 300, 10_000])
def test_means_over_positions(model: SmolTolkForCausalLM, material: Material, batch_tokens: int) -> None:
    documents = material.spoken[:6] + material.written[:6]
    places = [(0, (1, 4)), (7, (2, 3)), (3, (5, 9)), (0, (3, 8)), (11, (1, 2))]
    found = mean_states(model, documents, places, batch_tokens=batch_tokens)
    assert found.shape == (3, 5, 32) and found.dtype == np.float32
    for number, (document, (start, stop)) in enumerate(places):
        expected = alone(model, documents[document])[:, start:stop].mean(1)
        assert found[:, number] == pytest.approx(expected, abs=1e-5)


def test_frames_of_several_codebooks(codec_model: SmolTolkForCausalLM) -> None:
    space = codec_model.config.id_space
    rng = np.random.default_rng(0)
    documents = [Document(space).speech(rng.integers(0, 100, (n, space.num_codebooks))) for n in (5, 9)]
    found = mean_states(codec_model, documents, [(0, (1, 6)), (1, (3, 5))])
    assert found[:, 0] == pytest.approx(alone(codec_model, documents[0])[:, 1:6].mean(1), abs=1e-4)
    assert found[:, 1] == pytest.approx(alone(codec_model, documents[1])[:, 3:5].mean(1), abs=1e-4)


def test_the_model_is_as_it_was(model: SmolTolkForCausalLM, material: Material) -> None:
    model.train()
    mean_states(model, material.written[:2], [(0, (1, 2))])
    assert model.training
    model.eval()
