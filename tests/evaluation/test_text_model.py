"""Text models by name, before their weights are loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import LlamaConfig

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.text_model import check_text_model


def test_only_the_configuration_is_looked_at(tmp_path: Path) -> None:
    LlamaConfig().save_pretrained(tmp_path / "text")
    check_text_model(str(tmp_path / "text"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="one of transformers"):
        check_text_model(str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text(json.dumps({"model_type": "no_such_kind"}))
    with pytest.raises(InputError, match="no_such_kind"):
        check_text_model(str(tmp_path / "empty"))
    with pytest.raises(NotFoundError, match="no directory"):
        check_text_model(str(tmp_path / "nowhere"))
