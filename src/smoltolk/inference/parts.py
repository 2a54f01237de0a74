"""What talking takes: a model with its tokenizer, units and a vocoder, which must belong together.

Each of them says in a small file what it is. These are held against each other first (:mod:`~.part_files`), for the
rest takes seconds to minutes to load.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from transformers.utils import logging

from smoltolk.common.devices import best_device, device_of
from smoltolk.common.errors import SmolTolkError, check_extra, first_line
from smoltolk.common.hub import check_place
from smoltolk.inference.eight_bits import PACKAGE, PURPOSE, in_eight_bits
from smoltolk.inference.lora import is_lora, merged
from smoltolk.inference.part_files import check_parts, no_model
from smoltolk.inference.speakers import Speaker, speaker_of
from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.tokenizer import UnitTokenizer
from smoltolk.speech.vocoders.kinds import Vocoder, load_vocoder


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
    parts = check_parts(model, config, units=units, vocoder=vocoder)
    spoken = parts.get("vocoder")
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
    if int8:
        check_extra(PACKAGE, PURPOSE)
    config = load_config(name_or_path)
    with _a_model(name_or_path), _no_bar_of_weights(name_or_path):
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


@contextmanager
def _no_bar_of_weights(name_or_path: Path | str) -> Iterator[None]:
    """What lies here is loaded in a moment; of what is fetched first transformers may tell how far it has come."""
    if not Path(name_or_path).is_dir() or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


@contextmanager
def _a_model(name_or_path: Path | str) -> Iterator[None]:
    try:
        yield
    except SmolTolkError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise no_model(f"{str(name_or_path)!r}: {first_line(error)}") from error
