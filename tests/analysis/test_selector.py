"""Which layers speech is read from: the mean of the model's own weights, by name and over speech alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.analysis.material import Material
from smoltolk.analysis.selector import PLACES, places_of_units, selector_places, selector_profile, unit_weights
from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.model.modeling import SmolTolkForCausalLM

LAYERS = ["1", "2", "3"]


@pytest.fixture(scope="module")
def make() -> Callable[..., SmolTolkForCausalLM]:
    """A model of three layers whose selector has opinions."""

    def made(**settings: Any) -> SmolTolkForCausalLM:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2,
            eos_token_id=1,
        )  # fmt: skip
        adapters = {"num_input_layers": 2, "num_output_layers": 1}
        model = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12, **(adapters | settings))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        return model.eval()

    return made


@pytest.fixture
def documents(make: Callable) -> list[np.ndarray]:
    """Speech, speech between text, and text."""
    space = make().config.id_space
    rng = np.random.default_rng(0)
    mixed = Document(space).text([5, 6, 7]).switch().speech(rng.integers(0, 12, 4)).switch().text([8, 9])
    return [Document(space).speech(rng.integers(0, 12, 9)).input_ids, mixed.input_ids, np.array([1, 5, 6, 7])]


def mean_weights(model: SmolTolkForCausalLM, documents: list[np.ndarray], of_speech: bool) -> list[float]:
    found = []
    for document in documents:
        with torch.no_grad():
            weights = model(torch.from_numpy(document)[None], output_selector_weights=True).selector_weights[0]
        found += weights[torch.from_numpy(document >= model.config.speech_offset) == of_speech].tolist()
    return np.mean(found, axis=0).tolist()


def test_mean_over_speech_positions(make: Callable, documents: list[np.ndarray]) -> None:
    model = make()
    profile = selector_profile(model, documents)
    assert profile["layers"] == LAYERS
    assert profile["weights"] == pytest.approx(mean_weights(model, documents, of_speech=True), rel=1e-5)
    for other in (mean_weights(model, documents, of_speech=False), profile["weights"][::-1]):
        assert np.abs(np.array(profile["weights"]) - other).max() > 0.05  # and these would show


@pytest.mark.parametrize("mix", ["static", "dynamic"])
@pytest.mark.parametrize(("pool", "names"), [("backbone", LAYERS), ("all", ["in 1", "in 2", *LAYERS])])
def test_each_layer_by_its_name(mix: str, pool: str, names: list[str], make: Callable, documents: Any) -> None:
    """Whichever layer the mix is turned to, that is the name whose weight is 1."""
    model = make(layer_mix=mix, layer_mix_pool=pool)
    for number, name in enumerate(names):
        with torch.no_grad():
            for parameter in model.layer_mix.parameters():
                parameter.zero_()
            last = model.layer_mix.static_logits if mix == "static" else model.layer_mix.selector.bias
            last[number] = 50.0
        profile = selector_profile(model, documents)
        assert profile["layers"] == names
        assert dict(zip(names, profile["weights"], strict=True))[name] == pytest.approx(1)
        assert sum(profile["weights"]) == pytest.approx(1)


def test_without_a_mix_it_is_one_layer(make: Callable, documents: list[np.ndarray]) -> None:
    fixed = selector_profile(make(layer_mix="fixed", fission_layer=2), documents)
    assert fixed == {"layers": LAYERS, "weights": [0.0, 1.0, 0.0]}
    profile = selector_profile(make(layer_mix="last"), documents)
    assert profile == {"layers": LAYERS, "weights": [0.0, 0.0, 1.0]}
    early = make(num_input_layers=0, num_output_layers=0, layer_mix="last", speech_residual=False)
    assert selector_profile(early, documents) == profile


def test_frames_of_several_codebooks(make: Callable) -> None:
    model = make(num_codebooks=3)
    space = model.config.id_space
    document = Document(space).speech(np.random.default_rng(0).integers(0, 12, (5, 3))).end()
    with torch.no_grad():
        whole = model(
            torch.from_numpy(document.input_ids)[None], codes=torch.from_numpy(document.codes)[None],
            output_selector_weights=True,
        ).selector_weights[0]  # fmt: skip
    assert selector_profile(model, [document])["weights"] == pytest.approx(whole.mean(0).tolist(), rel=1e-5)


def test_text_alone_says_nothing(make: Callable) -> None:
    with pytest.raises(InputError, match="no speech in these documents"):
        selector_profile(make(), [np.array([1, 5, 6])])


def test_units_lie_in_their_words_or_in_pauses(material: Material) -> None:
    for document in range(3):
        utterance = material.utterances[document]
        starts, ends = material.unit_times(utterance)
        _, begins, stops = material.units.words(utterance)
        for unit, place in enumerate(places_of_units(material, document)):
            middle = (starts[unit] + ends[unit]) / 2
            shares = [(middle - a) / (b - a) for a, b in zip(begins, stops, strict=True) if a <= middle < b]
            assert PLACES[place] == ("pause" if not shares else PLACES[1 + int(5 * shares[0])])


def test_weights_and_entropy_by_place(model: SmolTolkForCausalLM, material: Material) -> None:
    """Weights that are what the place says: all on one layer in pauses, all alike in words."""
    places = [places_of_units(material, k) for k in range(len(material.utterances))]
    weights = [np.where(each[:, None] == 0, [0.0, 1.0], [0.5, 0.5]) for each in places]
    found = selector_places(model.config, weights, material, seed=0)
    assert found["layers"] == ["1", "2"] and found["uniform_entropy"] == pytest.approx(np.log(2))
    assert list(found["places"]) == list(PLACES)
    for place, here in found["places"].items():
        expected, entropy = ([0.0, 1.0], 0.0) if place == "pause" else ([0.5, 0.5], np.log(2))
        assert [cell["value"] for cell in here["weights"]] == pytest.approx(expected)
        assert here["entropy"]["value"] == pytest.approx(entropy, abs=1e-9)
    assert sum(here["n"] for here in found["places"].values()) == found["n"] == sum(map(len, places))


def test_weights_of_each_unit_whatever_the_batch(model: SmolTolkForCausalLM, material: Material) -> None:
    documents = material.spoken[:5]
    for batch_tokens in (1, 4096):
        found = unit_weights(model, documents, batch_tokens=batch_tokens)
        for document, weights in zip(documents, found, strict=True):
            with torch.no_grad():
                whole = model(torch.from_numpy(document.input_ids)[None], output_selector_weights=True)
            assert weights == pytest.approx(whole.selector_weights[0, 1:].numpy(), abs=1e-5)


@pytest.mark.parametrize("mix", ["static", "last"])
def test_without_a_selector_there_are_no_weights_of_units(mix: str, make: Callable) -> None:
    model = make(layer_mix=mix)
    with pytest.raises(InputError, match=f"layer_mix = {mix}"):
        unit_weights(model, [Document(model.config.id_space).speech([1, 2, 3])])
