"""The kinds of unit tokenizers, and how to load one of any kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from smoltolk.speech.small_networks import as_saved, load_config
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.phone_encoder import PhoneUnitTokenizer
from smoltolk.speech.units.places import place_of_units
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
