from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicCache

from smoltolk.common.errors import InputError
from smoltolk.model.configuration import SmolTolkConfig

TEXT = {"vocab_size": 64, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3}
IDS = {"speech_offset": 67, "begin_prompt_id": 64, "end_prompt_id": 65, "switch_id": 66, "eos_text_id": 1}


def config(**changes: Any) -> SmolTolkConfig:
    return SmolTolkConfig(**({"text_config": LlamaConfig(**TEXT), "num_units": 20} | IDS | changes))


def test_sizes() -> None:
    made = config()
    assert made.vocab_size == 64 + 3 + 20 + 2
    assert (made.num_control_ids, made.num_text_ids, made.id_space.num_text) == (3, 64, 64)
    assert (made.hidden_size, made.num_layers, made.input_width, made.output_width) == (32, 3, 32, 32)
    assert made.num_mixed_layers == 3
    assert config(layer_mix_pool="all", num_input_layers=4).num_mixed_layers == 7
    assert config(output_adapter_size={"hidden_size": 8}, tie_speech_embeddings=False).output_width == 8


def test_written_and_read(tmp_path: Path) -> None:
    made = config(layer_mix="static", num_input_layers=0, input_adapter_size={"intermediate_size": 7})
    made.save_pretrained(tmp_path)
    read = SmolTolkConfig.from_pretrained(tmp_path)
    assert isinstance(read.text_config, LlamaConfig) and read.text_config.hidden_size == 32
    assert read.to_diff_dict() == made.to_diff_dict()


def test_a_text_configuration_as_a_dict() -> None:
    made = config(text_config=MistralConfig(**TEXT, sliding_window=7).to_dict())
    assert isinstance(made.text_config, MistralConfig) and made.text_config.sliding_window == 7


def test_spare_rows_and_ids() -> None:
    assert config(speech_offset=128).vocab_size == 128 + 22
    assert config(num_text_ids=61).id_space.num_text == 61


def test_a_model_from_before_ids_moved_is_refused_by_name() -> None:
    """Then control ids were the last rows of the text table."""
    with pytest.raises(InputError, match=r"control ids from 61 on, a text table of 64 rows.*\n.*before smoltolk 0\.1"):
        config(begin_prompt_id=61, end_prompt_id=62, switch_id=63, speech_offset=64)


def test_caches_hold_all_layers() -> None:
    made = config(text_config=MistralConfig(**TEXT, sliding_window=7), num_output_layers=1)
    cache = DynamicCache(config=made)
    assert cache.is_sliding == [True] * 3 + [False] * 4  # the backbone, two and one adapter layers, the history
    assert made.get_text_config().num_hidden_layers == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_units": 0}, "num_units must count something"),
        ({"num_input_layers": -1}, "num_input_layers must count something"),
        ({"num_output_layers": -2}, "num_output_layers = -2"),
        ({"speech_offset": 63}, "begin_prompt must be below the speech ids"),
        ({"switch_id": 67}, "switch must be below the speech ids"),
        ({"begin_prompt_id": -1}, "control ids from -1 on"),
        ({"end_prompt_id": 70}, "end_prompt = 70"),
        ({"eos_text_id": 64}, "eos_text = 64"),
        ({"num_text_ids": 65}, "num_text_ids = 65"),
        ({"new_layers": [2, 3]}, r"\[3\] in a backbone of 3 layers"),
        ({"published_spans": True, "layer_mix_pool": "all"}, "published_spans=False"),
        (
            {
                "published_spans": True,
                "input_adapter_size": {"hidden_size": 8},
                "speech_residual": False,
                "tie_speech_embeddings": False,
            },
            "published_spans=False",
        ),
        ({"layer_mix": "attention"}, "layer_mix must be one of last, fixed, static, dynamic"),
        ({"layer_mix": "last", "last_layer_lead": 3.0}, "leave last_layer_lead out"),
        ({"layer_mix_pool": "none"}, "layer_mix_pool must be one of backbone, all"),
        ({"input_adapter_size": {"hidden_size": 8}}, "speech_residual=False"),
        ({"output_adapter_size": {"hidden_size": 8}}, "tie_speech_embeddings=False"),
    ],
)
def test_mistakes(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(**changes)


FIXED = {"layer_mix": "fixed", "fission_layer": 1}


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"layer_mix": "fixed"}, r"one of the backbone's layers 1\.\.3"),
        ({"fission_layer": 1}, "where layer_mix is 'fixed'"),
        (FIXED | {"fission_layer": 0}, r"fission_layer = 0"),
        (FIXED | {"fission_layer": 4}, r"fission_layer = 4"),
        (FIXED | {"layer_mix_pool": "all"}, "a fixed layer is one of the backbone's, as it is"),
        (FIXED | {"layer_mix_norm": True}, "a fixed layer is one of the backbone's, as it is"),
        (FIXED | {"copies_top_layers": True, "num_output_layers": 1}, "has as many as stand behind the fixed one"),
        (FIXED | {"copies_top_layers": True, "output_adapter_size": {"num_attention_heads": 2}}, "of the same size"),
        (FIXED | {"copies_top_layers": True, "fission_layer": 3, "num_output_layers": 0}, "as many as stand behind"),
        ({"copies_top_layers": True}, "set layer_mix='fixed', fission_layer=1"),
    ],
)
def test_a_fixed_layer_and_what_stands_on_it(settings: dict[str, Any], rule: str) -> None:
    assert config(**FIXED, copies_top_layers=True).num_output_layers == 2
    with pytest.raises(InputError, match=rule):
        config(**settings)
