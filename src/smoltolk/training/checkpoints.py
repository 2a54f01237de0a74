"""Reading checkpoints of the published implementations, safely, and writing them as ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from smoltolk.common.checkpoint_files import read_torch
from smoltolk.common.errors import InputError, NotFoundError, first_line
from smoltolk.common.files import atomic_directory, read_json
from smoltolk.common.lock import hold
from smoltolk.model.interop.conversion import convert
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.processing import SmolTolkProcessor

RELEASE_FILE = "model_ckpt.pt"
_LF2AR_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of a published implementation, read and not yet converted.

    Attributes:
        format: ``SmolTolk release`` or ``LF2AR``.
        settings: its ``model_args``.
        state: tensors by their names there.
        aliases: names that share another name's tensor and are not stored.
        text_config: the text model's configuration; None where the settings bring it.
        tokenizer: of its text, if there is one.
    """

    format: str
    settings: dict[str, Any]
    state: dict[str, Tensor]
    aliases: dict[str, str]
    text_config: PreTrainedConfig | None
    tokenizer: PreTrainedTokenizerBase | None

    def model(self) -> SmolTolkForCausalLM:
        """The model that computes what the published code computes with it.

        Raises:
            InputError: it cannot be expressed, or has missing, extra or misshapen tensors.
        """
        eos = None
        if self.format == "LF2AR" and self.tokenizer is not None:
            # Its text ended with what the tokenizer appended, whatever the backbone's configuration says.
            eos = self.tokenizer.eos_token_id
        return convert(self.settings, self.state, text_config=self.text_config, aliases=self.aliases, eos_text_id=eos)


@dataclass(frozen=True, slots=True)
class Converted:
    """What :func:`convert_checkpoint` made.

    Attributes:
        model: as it was written.
        format: of the checkpoint.
        num_tensors: of the checkpoint.
        has_tokenizer: whether a tokenizer of its text was found and written.
    """

    model: SmolTolkForCausalLM
    format: str
    num_tensors: int
    has_tokenizer: bool


def convert_checkpoint(source: Path | str, destination: Path | str, text_model: Path | str | None = None) -> Converted:
    """Write a checkpoint of a published implementation as a directory of ours, with its tokenizer where there is one.

    Args:
        source: as in :func:`read_checkpoint`.
        destination: a directory that is new or empty; it appears whole or not at all.
        text_model: as in :func:`read_checkpoint`.

    Raises:
        NotFoundError, InputError: as :func:`read_checkpoint` and :meth:`Checkpoint.model`, or the destination is taken.
    """
    with hold(destination):
        destination = Path(destination)
        if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
            raise InputError(
                "a model is written into a new or empty directory",
                f"{destination} is a file" if destination.is_file() else f"{destination} holds something",
                "choose another place",
            )
        checkpoint = read_checkpoint(source, text_model)
        model, tokenizer = checkpoint.model(), checkpoint.tokenizer
        with atomic_directory(destination) as directory:
            model.save_pretrained(directory)
            if tokenizer is not None:
                SmolTolkProcessor(tokenizer, model.config.id_space).save_pretrained(directory)
        return Converted(model, checkpoint.format, len(checkpoint.state), tokenizer is not None)


def load_checkpoint(
    source: Path | str, text_model: Path | str | None = None
) -> tuple[SmolTolkForCausalLM, PreTrainedTokenizerBase | None]:
    """The model of a checkpoint, and the tokenizer of its text if there is one; see :func:`read_checkpoint`."""
    checkpoint = read_checkpoint(source, text_model)
    return checkpoint.model(), checkpoint.tokenizer


def read_checkpoint(source: Path | str, text_model: Path | str | None = None) -> Checkpoint:
    """Read a checkpoint of the SmolTolk release or of LF2AR.

    Args:
        source: a ``torch.save`` file (``model_ckpt.pt``), a directory with one, or an LF2AR directory (``config.json``,
            ``model*.safetensors``, ``tokenizer/``). Pickled code is never run.
        text_model: directory or hub id of the text model, for its configuration and tokenizer; by default what the
            checkpoint names.

    Raises:
        NotFoundError: no such file or directory.
        InputError: not such a checkpoint, or its text model is not to be found.
    """
    source = Path(source)
    if source.is_dir() and (source / RELEASE_FILE).is_file():
        source = source / RELEASE_FILE
    if source.is_dir():
        return _read_lf2ar(source, text_model)
    if not source.is_file():
        raise NotFoundError("a checkpoint must exist", f"no file or directory {source}", "correct the path")
    read = read_torch(
        source, "if it holds other objects, save its `model` and `model_args` alone with the code that wrote it"
    )
    settings, state = _part(read, "model_args", source), _tensors(_part(read, "model", source), source)
    name = text_model if text_model is not None else settings.get("backbone")
    return Checkpoint(
        "SmolTolk release", settings, state, {}, _text_config(settings, name, text_model), _tokenizer(name)
    )


def _read_lf2ar(directory: Path, text_model: Path | str | None) -> Checkpoint:
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
    name = settings.get("backbone") if text_model is None else text_model
    return Checkpoint(
        "LF2AR",
        settings,
        state,
        described.get("weight_aliases") or {},
        _text_config(settings, name, text_model),
        _tokenizer(directory / "tokenizer") or _tokenizer(name),
    )


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


def _tensors(state: dict[str, Any], path: Path) -> dict[str, Tensor]:
    other = [name for name, value in state.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if other:
        raise InputError(
            "the model of a checkpoint is a dict of tensors by name",
            f"{path}: {other[0]!r} is {type(state[other[0]]).__name__}",
            "save its state_dict() with the code that wrote it",
        )
    return state


def _text_config(
    settings: dict[str, Any], name: Path | str | None, text_model: Path | str | None
) -> PreTrainedConfig | None:
    """The named configuration; None where nobody names one and the settings bring it."""
    if text_model is None and settings.get("backbone_config"):
        return None
    try:
        return AutoConfig.from_pretrained(str(name))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "the backbone's configuration must be known",
            f"{name!r}: {first_line(error)}",
            "name the text model: its directory (with config.json) or hub id",
        ) from error


def _tokenizer(name: Path | str | None) -> PreTrainedTokenizerBase | None:
    """The tokenizer there, or None: a checkpoint computes without one."""
    try:
        return None if name is None else AutoTokenizer.from_pretrained(str(name))
    except (OSError, ValueError):
        return None
