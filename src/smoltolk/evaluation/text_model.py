"""Text models that stand beside ours: the one that it was made from, and readers of what it says."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from smoltolk.common.devices import best_device
from smoltolk.common.errors import InputError, first_line
from smoltolk.common.hub import check_place


def check_text_model(name: str) -> None:
    """Whether there is such a text model; its weights are not loaded.

    Args:
        name: directory, or hub id.

    Raises:
        NotFoundError, InputError: there is none, or it is none that transformers knows.
    """
    check_place(name, "a text model", owned=False)
    try:
        AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        fix = "check the path"
        raise InputError("a text model is one of transformers", f"{name}: {first_line(error)}", fix) from error


def load_text_model(name: str) -> tuple[Any, Any]:
    """A causal LM of transformers, ready to be asked, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(name).to(best_device()).eval()
    return model, AutoTokenizer.from_pretrained(name)
