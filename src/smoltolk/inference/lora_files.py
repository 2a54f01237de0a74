"""Model directories with and without a LoRA."""

from __future__ import annotations

from pathlib import Path

from smoltolk.common.errors import InputError
from smoltolk.common.files import atomic_directory, check_place, read_json, write_json
from smoltolk.common.lock import hold
from smoltolk.inference.lora import is_lora, merged, unmerged
from smoltolk.inference.parts import load_model
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.processing import SmolTolkProcessor


def write_merged(lora: Path, out: Path) -> SmolTolkForCausalLM:
    """Write the model of a LoRA with the LoRA in its weights, and its tokenizer.

    Args:
        lora: directory of the LoRA.
        out: a new or empty directory; it appears whole or not at all.

    Raises:
        NotFoundError, InputError: no LoRA, its model is not there, or the place is taken.
    """
    _check_lora(lora)
    with hold(out):
        check_place(out)
        model = merged(lora)
        _write(model, lora, out)
    return model


def write_unmerged(model: Path, lora: Path, out: Path) -> SmolTolkForCausalLM:
    """Write a model without the LoRA that lies in its weights.

    Args:
        model: directory of the model.
        lora: directory of the LoRA.
        out: a new or empty directory.

    Raises:
        NotFoundError, InputError: as :func:`write_merged`, or modules were trained whole.
    """
    _check_lora(lora)
    with hold(out):
        check_place(out)
        made = unmerged(load_model(model)[0], lora)
        _write(made, model, out)
    return made


def _check_lora(lora: Path) -> None:
    if not is_lora(lora):
        raise InputError(
            "a LoRA of a SmolTolk model is a directory that `smoltolk tune --lora` and others wrote",
            f"none in {lora}",
            "name such a directory",
        )


def _write(model: SmolTolkForCausalLM, beside: Path, out: Path) -> None:
    with atomic_directory(out) as temporary:
        model.save_pretrained(temporary)
        SmolTolkProcessor.from_pretrained(beside).tokenizer.save_pretrained(temporary)
        known = beside / "training.json"
        if known.is_file():
            write_json(temporary / "training.json", read_json(known))
