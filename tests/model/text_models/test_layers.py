"""New layers among a text model's own."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from smoltolk.common.errors import InputError
from smoltolk.model.text_models.layers import LAYER_WISE, layer_parameter_names, with_new_layers

Make = Callable[..., PreTrainedModel]
WINDOWS = {"sliding_window": 3, "head_dim": 8, "layer_types": ["sliding_attention", "full_attention"] * 2}


@pytest.mark.parametrize("places", [[4, 5], [0], [2], [0, 3, 6]])
@pytest.mark.parametrize(("architecture", "settings"), [("llama", {}), ("gpt2", {}), ("gemma2", WINDOWS)])
@torch.no_grad()
def test_old_layers_keep_their_weights_and_their_order(
    architecture: str, settings: dict[str, Any], places: list[int], make_text_model: Make
) -> None:
    text_model = make_text_model(architecture, num_hidden_layers=4, **settings)
    deeper = with_new_layers(text_model, places, seed=1)
    assert text_model.config.num_hidden_layers == 4 and deeper.config.num_hidden_layers == 4 + len(places)
    new = layer_parameter_names(deeper, places)
    kept = [(name, value) for name, value in deeper.named_parameters() if name not in new]
    expected = list(text_model.named_parameters())
    assert len(kept) == len(expected)
    for (_, found), (name, value) in zip(kept, expected, strict=True):
        assert torch.equal(found, value), name

    again, other = with_new_layers(text_model, places, seed=1), with_new_layers(text_model, places, seed=2)
    assert all(torch.equal(again.get_parameter(name), deeper.get_parameter(name)) for name in new)
    fresh = {name for name in new if not torch.equal(other.get_parameter(name), deeper.get_parameter(name))}
    appended = [place for place in places if place >= 4 + sum(other < place for other in places)]
    assert bool(fresh) == bool(appended) and fresh <= set(layer_parameter_names(deeper, appended))

    ids = torch.arange(2, 12)[None]
    for name in layer_parameter_names(deeper, appended):  # new blocks that add nothing to their input
        deeper.get_parameter(name).zero_()
    torch.testing.assert_close(deeper(ids).logits, text_model(ids).logits)


def test_a_new_layer_is_of_the_kind_of_the_one_before_it(make_text_model: Make) -> None:
    full, sliding = "full_attention", "sliding_attention"
    text_model = make_text_model("gemma2", num_hidden_layers=4, **WINDOWS)
    deeper = with_new_layers(text_model, [0, 3, 6])
    assert deeper.config.layer_types == [sliding, sliding, full, full, sliding, full, full]
    nope = make_text_model("smollm3", no_rope_layers=[1, 0, 1], no_rope_layer_interval=2)
    assert with_new_layers(nope, [2]).config.no_rope_layers == [1, 0, 0, 1]


def test_what_is_saved_is_what_is_loaded(make_text_model: Make, tmp_path: Any) -> None:
    text_model = make_text_model("gpt_neo", attention_types=[[["global", "local", "local"], 1]])
    deeper = with_new_layers(text_model, [1])
    deeper.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.config.attention_layers == ["global", "global", "local", "local"]
    ids = torch.arange(2, 12)[None]
    torch.testing.assert_close(loaded(ids).logits, deeper(ids).logits)


def test_random_state_device_mode_and_type_are_kept(make_text_model: Make) -> None:
    text_model = make_text_model().to(torch.bfloat16).train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    deeper = with_new_layers(text_model, [3])
    assert torch.equal(torch.rand(3), expected)
    assert deeper.training and {p.dtype for p in deeper.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("places", [[], [4, 4], [5], [-1]])
def test_places_that_are_none(places: list[int], make_text_model: Make) -> None:
    with pytest.raises(InputError, match=r"different places from 0 to \d of the deeper"):
        with_new_layers(make_text_model(), places)


def test_blocks_that_depend_on_where_they_stand(make_text_model: Make) -> None:
    with pytest.raises(InputError, match="do the same at every place"):
        with_new_layers(make_text_model("jamba", attn_layer_offset=1, attn_layer_period=2, num_experts=2), [0])
    # As many weights of as many shapes, but another layer scales its attention otherwise.
    scaled = make_text_model("gpt2", scale_attn_by_inverse_layer_idx=True)
    with pytest.raises(InputError, match="compute something else at their new places"):
        with_new_layers(scaled, [0])
    assert with_new_layers(scaled, [3]).config.num_hidden_layers == 4


def test_every_setting_of_single_layers_is_known(tiny: ModuleType) -> None:
    """Lists that grow with the number of layers, over all architectures; those of numbers of layers are none."""
    unknown = {}
    for architecture in tiny.causal_architectures():
        config = tiny.known_config(architecture)
        if config is None or config.sub_configs:
            continue
        try:
            few, many = (vars(type(config)(num_hidden_layers=count)) for count in (6, 12))
        except Exception:  # noqa: BLE001 -- other people's code; it is only probed here
            continue
        lists = [name for name, value in few.items() if isinstance(value, list) and len(value) == 6]
        unknown |= {name: architecture for name in lists if len(many[name] or ()) == 12 and name not in LAYER_WISE}
    assert set(unknown) <= {"full_attn_idxs", "moe_layers"}
