"""The kinds of unit tokenizers, and how to load one of any kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from smoltolk.common.errors import NotFoundError, first_line
from smoltolk.speech.small_networks import as_saved, load_config
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.phone_encoder import PhoneUnitTokenizer
from smoltolk.speech.units.tokenizer import UnitTokenizer

# What config.json calls a kind -> what loads it.
KINDS: dict[str, Callable[[Path], UnitTokenizer]] = {
    kind.KIND: kind.load for kind in (PhoneUnitTokenizer, EncoderUnitTokenizer, CodecUnitTokenizer)
}


def load_unit_tokenizer(directory: Path | str) -> UnitTokenizer:
    """Load what any tokenizer's ``save`` wrote.

    Args:
        directory: where it is; ``hf://owner/name`` fetches it from the Hugging Face Hub.

    Raises:
        NotFoundError: no ``config.json`` there, or no such repository.
        InputError: not a unit tokenizer of this project, or its weights do not match its fingerprint.
    """
    directory = place_of_units(directory)
    kind = load_config(directory, tuple(KINDS), "a unit tokenizer")["kind"]
    with as_saved(directory, "a unit tokenizer"):
        return KINDS[kind](directory)


def place_of_units(directory: Path | str) -> Path:
    """Where units lie here; those on the hub, ``hf://owner/name``, are fetched.

    Raises:
        NotFoundError: no such repository.
    """
    found = re.fullmatch(r"hf:/{1,2}([^/]+/[^/]+)", str(directory))  # a Path joins two strokes into one
    if found is None:
        return Path(directory)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(found[1], allow_patterns=["config.json", "model.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        said = f"{found[1]}: {first_line(error)}"
        raise NotFoundError("units on the hub must exist", said, "check the name") from error
