"""What talking takes: a model with its tokenizer, units and a vocoder, which must belong together.

Each of them says in a small file what it is. These are held against each other first, for the rest takes seconds to
minutes to load.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from smoltolk.common.devices import best_device, device_of
from smoltolk.common.errors import InputError, SmolTolkError, first_line
from smoltolk.common.files import read_json
from smoltolk.common.hub import check_place
from smoltolk.inference.eight_bits import in_eight_bits
from smoltolk.inference.lora import is_lora, merged
from smoltolk.inference.speakers import Speaker, check_says_frames, speaker_of
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.kinds import load_unit_tokenizer, place_of_units
from smoltolk.speech.units.tokenizer import UnitTokenizer
from smoltolk.speech.vocoders.kinds import Vocoder, load_vocoder


@dataclass(frozen=True, slots=True)
class Part:
    """For which units something is made.

    Attributes:
        fingerprint: of the unit tokenizer.
        num_units: distinct units of a codebook; None: its description does not say.
        num_codebooks: units of a frame.
        is_codec: whether it is a codec, which both hears and speaks.
    """

    fingerprint: str
    num_units: int | None
    num_codebooks: int = 1
    is_codec: bool = False


def read_part(directory: Path | str) -> Part | None:
    """What a directory of units, of a codec or of a vocoder says of itself; None if it is none of these.

    Raises:
        NotFoundError: nothing there.
        InputError: its ``config.json`` is damaged.
    """
    config = read_json(place_of_units(directory) / "config.json")
    if not isinstance(config, dict):
        return None
    named = config.get("unit_fingerprint", config.get("fingerprint"))  # a vocoder has both, units their own alone
    if not isinstance(named, str):
        return None
    is_codec = config.get("kind") == CodecUnitTokenizer.KIND
    return Part(named, config.get("num_units"), config.get("num_codebooks", 1), is_codec)


def load_parts(
    model: Path | str,
    units: Path | str | None,
    vocoder: Path | str | None,
    *,
    device: str | None = None,
    int8: bool = False,
) -> tuple[SmolTolkForCausalLM, Any, UnitTokenizer | None, Speaker | None]:
    """All that talking takes.

    Args:
        model: as for :func:`load_model`.
        units: directory of the units; None: none.
        vocoder: directory of the vocoder; None: none, but a codec of several codebooks among the units speaks too.
        device, int8: as for :func:`load_model`.

    Returns:
        The model, its tokenizer, the units, and what speaks.

    Raises:
        NotFoundError: something is not there.
        InputError: parts that were made for other units, or a codec of one codebook as a vocoder.
    """
    hears, says = load_sound_parts(model, units, vocoder)
    return *load_model(model, device, int8=int8), hears, says


def load_sound_parts(
    model: Path | str, units: Path | str | None, vocoder: Path | str | None
) -> tuple[UnitTokenizer | None, Speaker | None]:
    """What a model hears and speaks with; the model itself is only asked what it is.

    Args:
        model, units, vocoder: as for :func:`load_parts`, which has the errors too.
    """
    config = load_config(model)
    described = {"units": units, "vocoder": vocoder}
    parts = {what: read_part(place) for what, place in described.items() if place is not None}
    for what, part in parts.items():
        if part is not None:
            check_part(model, config, what, part)
    heard, spoken = parts.get("units"), parts.get("vocoder")
    if spoken is not None and spoken.is_codec:
        check_says_frames(spoken.num_codebooks, str(vocoder))
    if heard is not None and spoken is not None and heard.fingerprint != spoken.fingerprint:
        raise InputError(
            "a vocoder speaks the units of one tokenizer only",
            f"made for units {spoken.fingerprint[:16]}, given units {heard.fingerprint[:16]}",
            "name the vocoder of these units, or leave the units out",
        )
    hears = None if units is None else load_unit_tokenizer(units)
    says: Vocoder | UnitTokenizer | None = None
    if vocoder is not None and spoken is not None and spoken.is_codec:
        says = load_unit_tokenizer(vocoder) if hears is None else hears
    elif vocoder is not None:
        says = load_vocoder(vocoder, None if hears is None else hears.fingerprint)
    return hears, speaker_of(says, hears)


def load_model(
    name_or_path: Path | str, device: str | None = None, *, int8: bool = False
) -> tuple[SmolTolkForCausalLM, Any]:
    """A SmolTolk model and the tokenizer of its text.

    Args:
        name_or_path: a directory as ``smoltolk train`` writes it, or a hub id; of a LoRA it goes into the weights.
        device: where it computes; None: on a GPU if there is one.
        int8: hold the weights of linear layers in eight bits.

    Raises:
        NotFoundError, InputError: no such model, a tokenizer that is longer than its text table, or no such device.
        MissingExtraError: ``int8`` without the extra.
    """
    place = device_of(device or best_device())
    config = load_config(name_or_path)
    with _a_model(name_or_path):
        tokenizer = AutoTokenizer.from_pretrained(str(name_or_path))
        config.id_space.check_tokenizer(tokenizer)
        lora = is_lora(name_or_path)
        model = merged(name_or_path) if lora else SmolTolkForCausalLM.from_pretrained(str(name_or_path))
    model = model.eval().to(place)
    return (in_eight_bits(model) if int8 else model), tokenizer


def load_config(name_or_path: Path | str) -> SmolTolkConfig:
    """The configuration of a SmolTolk model.

    Raises:
        NotFoundError, InputError: no such model.
    """
    check_place(name_or_path, "a SmolTolk model")
    with _a_model(name_or_path):
        found = SmolTolkConfig.get_config_dict(str(name_or_path))[0].get("model_type")
        if found != SmolTolkConfig.model_type:
            raise ValueError(f"a model of type {found!r}")
        return SmolTolkConfig.from_pretrained(str(name_or_path))


def check_part(directory: Path | str, config: SmolTolkConfig, what: str, part: Part) -> None:
    """Refuse what was made for other units than the model's.

    Args:
        directory: of the model; where its configuration does not name the units, its ``training.json`` may.
        config: the model's.
        what: for the message.
        part: for which units it is.

    Raises:
        InputError: they differ.
    """
    known = Path(directory) / "training.json"
    wanted = config.unit_fingerprint
    if wanted is None and known.is_file():  # a model from before its configuration named them
        wanted = read_json(known).get("units", {}).get("fingerprint")
    same_size = part.num_units in (None, config.num_units) and part.num_codebooks == config.num_codebooks
    if not same_size or wanted not in (None, part.fingerprint):
        raise InputError(
            "a model hears and speaks the units that it was trained with",
            f"{what}: {_size(part.num_units, part.num_codebooks)} units ({part.fingerprint[:16]}), "
            f"model: {_size(config.num_units, config.num_codebooks)}" + (f" ({wanted[:16]})" if wanted else ""),
            "name the units and the vocoder of this model; frames of several codebooks are spoken by their codec",
        )


def _size(num_units: int | None, num_codebooks: int) -> str:
    return f"{num_codebooks} x " * (num_codebooks > 1) + ("?" if num_units is None else f"{num_units:,}")


@contextmanager
def _a_model(name_or_path: Path | str) -> Iterator[None]:
    try:
        yield
    except SmolTolkError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "a model is a directory that `smoltolk train` wrote",
            f"{str(name_or_path)!r}: {first_line(error)}",
            "name such a directory",
        ) from error
