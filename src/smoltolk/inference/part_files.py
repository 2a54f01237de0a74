"""What a model, units and a vocoder say of themselves in their small files, held against each other.

No more than that is read here, and nothing large is imported: to load the parts takes seconds to minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json
from smoltolk.speech.units.places import place_of_units

_TUNING = ("tune", "prefer")  # stages of ``training.json``
_MODEL, _CODEC = "smoltolk", "codec"  # what config.json of a model and of a codec calls itself


class SpokenUnits(Protocol):
    """What is needed of a model's configuration.

    Attributes:
        num_units: distinct units of a codebook.
        num_codebooks: units of a frame.
        unit_fingerprint: of the unit tokenizer; None: it does not say.
    """

    num_units: int
    num_codebooks: int
    unit_fingerprint: str | None


@dataclass(slots=True)
class ModelUnits:
    """The units of a model whose configuration was not loaded; see :class:`SpokenUnits`."""

    num_units: int
    num_codebooks: int
    unit_fingerprint: str | None


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
    is_codec = config.get("kind") == _CODEC
    return Part(named, config.get("num_units"), config.get("num_codebooks", 1), is_codec)


def read_model_units(directory: Path | str) -> ModelUnits | None:
    """The units of a model that is here; None of one on the hub.

    Raises:
        InputError: a directory without a SmolTolk model.
    """
    if not Path(directory).is_dir():
        return None
    path = Path(directory) / "config.json"
    config: Any = read_json(path) if path.is_file() else {}
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != _MODEL:
        found = f"a model of type {kind!r} in {directory}" if path.is_file() else f"no config.json in {directory}"
        raise no_model(found)
    return ModelUnits(config.get("num_units", 0), config.get("num_codebooks", 1), config.get("unit_fingerprint"))


def was_tuned(directory: Path | str) -> bool:
    """Whether a model learned dialogues last, by ``smoltolk tune`` or ``prefer``; False of one on the hub."""
    known = Path(directory) / "training.json"
    told = read_json(known) if known.is_file() else {}
    history = told.get("history") if isinstance(told, dict) else None
    return isinstance(history, list) and bool(history) and history[-1].get("stage") in _TUNING


def check_parts(
    directory: Path | str, model: SpokenUnits, *, units: Path | str | None, vocoder: Path | str | None
) -> dict[str, Part | None]:
    """Refuse units and a vocoder that do not belong to a model, or not to each other.

    Args:
        directory: of the model.
        model: its configuration.
        units, vocoder: directories; None: none.

    Returns:
        What each of those that are given says of itself.

    Raises:
        NotFoundError: nothing there.
        InputError: made for other units, or a codec of one codebook as a vocoder.
    """
    given = {"units": units, "vocoder": vocoder}
    parts = {what: read_part(place) for what, place in given.items() if place is not None}
    for what, part in parts.items():
        if part is not None:
            check_part(directory, model, what, part)
    heard, spoken = parts.get("units"), parts.get("vocoder")
    if spoken is not None and spoken.is_codec:
        check_says_frames(spoken.num_codebooks, str(vocoder))
    if heard is not None and spoken is not None and heard.fingerprint != spoken.fingerprint:
        raise InputError(
            "a vocoder speaks the units of one tokenizer only",
            f"made for units {spoken.fingerprint[:16]}, given units {heard.fingerprint[:16]}",
            "name the vocoder of these units, or leave the units out",
        )
    return parts


def check_part(directory: Path | str, model: SpokenUnits, what: str, part: Part) -> None:
    """Refuse what was made for other units than the model's.

    Args:
        directory: of the model; where its configuration does not name the units, its ``training.json`` may.
        model: its configuration.
        what: for the message.
        part: for which units it is.

    Raises:
        InputError: they differ.
    """
    known = Path(directory) / "training.json"
    wanted = model.unit_fingerprint
    if wanted is None and known.is_file():  # a model from before its configuration named them
        wanted = read_json(known).get("units", {}).get("fingerprint")
    same_size = part.num_units in (None, model.num_units) and part.num_codebooks == model.num_codebooks
    if not same_size or wanted not in (None, part.fingerprint):
        raise InputError(
            "a model hears and speaks the units that it was trained with",
            f"{what}: {_size(part.num_units, part.num_codebooks)} units ({part.fingerprint[:16]}), "
            f"model: {_size(model.num_units, model.num_codebooks)}" + (f" ({wanted[:16]})" if wanted else ""),
            "name the units and the vocoder of this model; frames of several codebooks are spoken by their codec",
        )


def check_says_frames(num_codebooks: int, where: Path | str) -> None:
    """Refuse a codec of one codebook as a vocoder: its units are deduplicated, and how long each lasts is lost.

    Raises:
        InputError: it has one.
    """
    if num_codebooks == 1:
        raise InputError(
            "a codec speaks whole frames; units of one codebook have been deduplicated, and last nobody knows how long",
            f"{where} with one codebook",
            "fit a vocoder for these units (`smoltolk vocoder fit`), or take more codebooks",
        )


def no_model(found: str) -> InputError:
    """What is said of a place without a SmolTolk model."""
    return InputError("a model is a directory that `smoltolk train` wrote", found, "name such a directory")


def _size(num_units: int | None, num_codebooks: int) -> str:
    return f"{num_codebooks} x " * (num_codebooks > 1) + ("?" if num_units is None else f"{num_units:,}")
