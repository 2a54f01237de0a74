"""Reading checkpoints of the published implementations, safely, and writing them as ours."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import atomic_directory, read_json
from smoltolk.model.conversion import convert
from smoltolk.model.modeling import SmolTolkForCausalLM

RELEASE_FILE = "model_ckpt.pt"
_LF2AR_VERSION = 1


def convert_checkpoint(
    source: Path | str, destination: Path | str, text_model: Path | str | None = None
) -> SmolTolkForCausalLM:
    """Write a checkpoint of a published implementation as a directory of ours, with its tokenizer where there is one.

    Args:
        source: as in :func:`load_checkpoint`.
        destination: a directory; appears whole or not at all, and replaces what is there.
        text_model: as in :func:`load_checkpoint`.

    Returns:
        The model.
    """
    model, tokenizer = load_checkpoint(source, text_model)
    with atomic_directory(destination) as directory:
        model.save_pretrained(directory)
        if tokenizer is not None:
            tokenizer.save_pretrained(directory)
    return model


def load_checkpoint(
    source: Path | str, text_model: Path | str | None = None
) -> tuple[SmolTolkForCausalLM, PreTrainedTokenizerBase | None]:
    """Read a checkpoint of the SmolTolk release or of LF2AR.

    Args:
        source: a ``torch.save`` file (``model_ckpt.pt``), a directory with one, or an LF2AR directory (``config.json``,
            ``model*.safetensors``, ``tokenizer/``). Pickled code is never run.
        text_model: directory or hub id of the text model, for its configuration and tokenizer; by default what the
            checkpoint names.

    Returns:
        The model, and the tokenizer of its text if there is one.

    Raises:
        NotFoundError: no such file or directory.
        InputError: not such a checkpoint, or one that cannot be expressed.
    """
    source = Path(source)
    if source.is_dir() and (source / RELEASE_FILE).is_file():
        source = source / RELEASE_FILE
    if source.is_dir():
        return _load_lf2ar(source, text_model)
    if not source.is_file():
        raise NotFoundError("a checkpoint must exist", f"no file or directory {source}", "correct the path")
    checkpoint = _read_torch(source)
    settings, state = _part(checkpoint, "model_args", source), _part(checkpoint, "model", source)
    name = text_model if text_model is not None else settings.get("backbone")
    config = None if settings.get("backbone_config") and text_model is None else _text_config(name)
    return convert(settings, state, text_config=config), _tokenizer(name)


def _load_lf2ar(
    directory: Path, text_model: Path | str | None
) -> tuple[SmolTolkForCausalLM, PreTrainedTokenizerBase | None]:
    described = read_json(directory / "config.json")
    if not isinstance(described, dict) or described.get("format_version") != _LF2AR_VERSION:
        found = described.get("format_version", "none") if isinstance(described, dict) else type(described).__name__
        raise InputError(
            f"a checkpoint directory has {RELEASE_FILE}, or an LF2AR config.json of format_version {_LF2AR_VERSION}",
            f"{directory} with format_version {found}",
            "name a checkpoint of one of the two; models of this project load with from_pretrained",
        )
    settings = _part(described, "model_args", directory / "config.json")
    files = sorted(directory.glob("model*.safetensors"))
    if not files:
        raise NotFoundError(
            "an LF2AR directory has its tensors in model*.safetensors", f"none in {directory}", "copy them there"
        )
    state: dict[str, Tensor] = {}
    for file in files:
        try:
            state |= load_file(file)
        except SafetensorError as error:
            raise InputError(f"{file.name} must be a safetensors file", str(error), "copy it again, whole") from error
    named = settings.get("backbone") if text_model is None else text_model
    tokenizer = _tokenizer(directory / "tokenizer") or _tokenizer(named)
    config = None if settings.get("backbone_config") and text_model is None else _text_config(named)
    model = convert(
        settings,
        state,
        text_config=config,
        aliases=described.get("weight_aliases"),
        # Its text ended with what the tokenizer appended, whatever the backbone's configuration says.
        eos_text_id=None if tokenizer is None else tokenizer.eos_token_id,
    )
    return model, tokenizer


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, UnicodeDecodeError) as error:
        raise InputError(
            "a checkpoint must be a torch.save file of plain data: tensors, numbers, texts, dicts",
            f"{path}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            "if it holds other objects, save its `model` and `model_args` alone with the code that wrote it",
        ) from error


def _part(checkpoint: Any, name: str, path: Path) -> dict[str, Any]:
    part = checkpoint.get(name) if isinstance(checkpoint, dict) else None
    if not isinstance(part, dict):
        found = sorted(map(str, checkpoint)) if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise InputError(
            f"a checkpoint must have a dict {name!r}",
            f"{path}: {found}",
            "use a SmolTolk release or an LF2AR checkpoint",
        )
    return part


def _text_config(name: Path | str | None) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(str(name))
    except (OSError, ValueError) as error:
        raise InputError(
            "the backbone's configuration must be known",
            f"{name!r}: {str(error).splitlines()[0]}",
            "name the text model: its directory (with config.json) or hub id",
        ) from error


def _tokenizer(name: Path | str | None) -> PreTrainedTokenizerBase | None:
    """The tokenizer there, or None: a checkpoint computes without one."""
    try:
        return None if name is None else AutoTokenizer.from_pretrained(str(name))
    except (OSError, ValueError):
        return None
