"""Models in bfloat16 and models of several codebooks are looked at alike."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from smoltolk.analysis.material import Material
from smoltolk.analysis.selector import unit_weights
from smoltolk.analysis.states import mean_states
from smoltolk.analysis.token_lens import token_ranks
from smoltolk.data.rows.documents import Document
from smoltolk.model.modeling import SmolTolkForCausalLM


def test_bfloat16(model: SmolTolkForCausalLM, material: Material) -> None:
    half = copy.deepcopy(model).bfloat16()
    places = [(k, (1, 6)) for k in range(4)]
    documents = material.spoken[:4]
    found, exact = (mean_states(one, documents, places) for one in (half, model))
    assert found.dtype == np.float32 and found == pytest.approx(exact, abs=0.05 * float(np.abs(exact).max()))
    assert unit_weights(half, documents)[0].sum(1) == pytest.approx(np.ones(len(documents[0]) - 1), abs=0.01)
    ranks = token_ranks(half, documents, places, np.full((4, 1), 7))
    assert ranks.shape == (3, 4, 1) and (ranks >= 1).all()


def test_several_codebooks(codec_model: SmolTolkForCausalLM) -> None:
    space = codec_model.config.id_space
    rng = np.random.default_rng(0)
    documents = [Document(space).speech(rng.integers(0, 100, (n, space.num_codebooks))) for n in (6, 9)]
    ranks = token_ranks(codec_model, documents, [(0, (1, 5)), (1, (3, 8))], np.array([[5], [9]]))
    with torch.no_grad():
        states = codec_model(
            torch.from_numpy(documents[1].input_ids)[None], codes=torch.from_numpy(documents[1].codes)[None],
            output_hidden_states=True,
        ).hidden_states[-1][0, 7]  # fmt: skip
        logits = codec_model.backbone.lm_head(states)
    assert ranks[-1, 1, 0] == int((logits >= logits[9]).sum())
    if codec_model.config.layer_mix == "dynamic":
        assert [len(weights) for weights in unit_weights(codec_model, documents)] == [6, 9]
