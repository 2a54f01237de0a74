"""How long a row may be. ``test_architectures`` runs one position more than that, for every architecture."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import pytest
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.positions import longest_row, trained_positions


@pytest.mark.parametrize(
    ("architecture", "settings", "trained", "longest"),
    [
        ("gpt2", {"n_positions": 1024, "n_embd": 32, "n_head": 2}, 1024, 1024),
        ("opt", {"max_position_embeddings": 2048, "hidden_size": 32, "num_attention_heads": 2}, 2048, 2048),
        ("gptj", {"n_positions": 2048, "n_embd": 32, "n_head": 2, "rotary_dim": 8}, 2048, 2048),
        ("llama", {"max_position_embeddings": 2048, "hidden_size": 32}, 2048, None),
        ("mpt", {"max_seq_len": 2048, "d_model": 32, "n_heads": 2}, 2048, None),
        ("xglm", {"max_position_embeddings": 2048, "d_model": 32, "attention_heads": 2}, 2048, None),
        ("bloom", {"hidden_size": 32, "n_head": 2}, None, None),
        # A width, a vocabulary or a window of the same number is no table of positions.
        ("llama", {"max_position_embeddings": 64, "hidden_size": 64, "vocab_size": 64, "head_dim": 64}, 64, None),
    ],
)
def test_longest_row(architecture: str, settings: dict[str, int], trained: int | None, longest: int | None) -> None:
    config = AutoConfig.for_model(architecture, **settings)
    assert trained_positions(config) == trained
    assert longest_row(config) == longest


def test_of_a_smoltolk_model(tiny: ModuleType) -> None:
    for architecture, expected in (("gpt2", 128), ("llama", 128), ("bloom", None)):
        model = SmolTolkForCausalLM.from_text_model(tiny.tiny_text_model(architecture), num_units=5)
        assert model.config.max_position_embeddings == expected


def test_tables_of_other_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with many more rows than there are positions is one of something else."""
    config = AutoConfig.for_model("llama", max_position_embeddings=64, hidden_size=32, head_dim=8)
    make = AutoModel.from_config

    def with_table(*args: Any, rows: int) -> PreTrainedModel:
        model = make(*args)
        model.more = nn.Embedding(rows, 4)
        return model

    for rows, longest in ((64, 64), (66, 64), (640, None), (2, None)):
        monkeypatch.setattr(AutoModel, "from_config", partial(with_table, rows=rows))
        assert longest_row(config) == longest
