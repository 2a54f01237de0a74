"""How a bundle is made of a model, its units and a vocoder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from smoltolk.common.errors import InputError, NotFoundError, first_line
from smoltolk.common.files import atomic_directory, check_place, read_json, write_json, write_text
from smoltolk.inference.bundle import (
    CARD,
    RECORD,
    UNITS,
    VERSION,
    VOCODER,
    Bundle,
    BundleSettings,
    digest_of,
    open_bundle,
)
from smoltolk.inference.bundle_card import bundle_card
from smoltolk.inference.bundle_figures import read_figures, read_verdict
from smoltolk.inference.lora import is_lora
from smoltolk.inference.part_files import read_part, was_tuned
from smoltolk.inference.parts import load_config, load_model, load_sound_parts
from smoltolk.inference.speakers import voices_of
from smoltolk.inference.speech_text import SpeechText
from smoltolk.processing import SmolTolkProcessor
from smoltolk.speech.units.places import place_of_units

# Of a model's directory. What is pickled stays where it is, and so do notes of the training.
_MODEL_FILES = ("*.safetensors", "*.safetensors.index.json", "generation_config.json", "chat_template.jinja")
_PLACES = ("_name_or_path",)  # of the machine where it was trained
_SAMPLE_SEEDS = 5  # tried until one of them says something


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model's speech comes from, as the card tells it; None where its maker says nothing.

    Attributes:
        data: what it was trained on.
        voices: whose they are.
        license: of the bundle, as the hub names it.
        consent: of the speakers.
        languages: codes of ISO 639.
    """

    data: str | None = None
    voices: str | None = None
    license: str | None = None
    consent: str | None = None
    languages: tuple[str, ...] = ()


def make_bundle(
    model: Path | str,
    units: Path | str,
    vocoder: Path | str | None,
    out: Path | str,
    *,
    results: Sequence[Path] = (),
    origin: Origin | None = None,
    settings: BundleSettings | None = None,
    sample: str | None = None,
    system: str | None = None,
    link: bool = False,
) -> Bundle:
    """Put parts that belong together into one directory, which appears whole or not at all.

    Args:
        model: a directory as ``smoltolk train`` writes it, or a hub id; a LoRA goes into the weights.
        units: directory of the units.
        vocoder: directory of the vocoder; None, or the units again, where these are a codec of several codebooks.
        out: the bundle; a former bundle there is replaced.
        results: ``results.json`` of the quick start or of ``smoltolk evaluate``, for the card.
        system: which of the quick start's models it is; None: the one that its directory is called by, or that it
            was trained as.
        origin: of data and voices, for the card.
        settings: of generation; None: the usual ones, and whether it was tuned as its ``training.json`` says.
        sample: a text that it goes on from, aloud, for the card; None: no sample.
        link: share the large files with the parts, where the file system can.

    Raises:
        NotFoundError: a part or results that are not there.
        InputError: parts of other units, nothing that speaks, results that are none, or a place that is taken.
    """
    out, origin, settings = Path(out), origin or Origin(), settings or BundleSettings(tuned=was_tuned(model))
    if not (out / RECORD).is_file():
        check_place(out, kind="the directory of a bundle")
    config = load_config(model)
    says_itself = vocoder is None or _same(units, vocoder)
    hears, says = load_sound_parts(model, units, None if says_itself else vocoder)
    if says is None or hears is None:
        raise InputError(
            "a bundle hears and speaks",
            "no vocoder, and units that are no codec of several codebooks",
            "name the vocoder of these units",
        )
    if sample is not None and not sample.strip():
        raise InputError("a sample goes on from a text", repr(sample), "give some words, or none at all")
    called = _called(model) if system is None else [system]
    figures = [figure for path in results for figure in read_figures(path, called)]
    verdicts = [verdict for path in results if (verdict := read_verdict(path)) is not None]
    source = _model_directory(model)
    with atomic_directory(out) as place:
        if is_lora(source):
            load_model(source, "cpu")[0].save_pretrained(place)
            write_json(place / "config.json", _without_places(read_json(place / "config.json")))
            (place / CARD).unlink(missing_ok=True)  # of a model alone
        else:
            _copy_model(source, place, link)
        _put(place_of_units(units), place / UNITS, link)
        if not says_itself and vocoder is not None:
            _put(Path(vocoder), place / VOCODER, link)
        tokenizer = AutoTokenizer.from_pretrained(str(source))
        SmolTolkProcessor(tokenizer, config.id_space, unit_fingerprint=hears.fingerprint).save_pretrained(place)
        said = _say_sample(place, sample, settings)
        record: dict[str, Any] = {
            "version": VERSION,
            "name": out.name,
            "made_by": f"smoltolk {version('smoltolk')}",
            "unit_fingerprint": hears.fingerprint,
            "num_units": hears.num_units,
            "num_codebooks": hears.num_codebooks,
            "frame_rate": hears.frame_rate,
            "hearing_rate": hears.sample_rate,
            "speaking_rate": says.sample_rate,
            "units": _kind(place / UNITS),
            "vocoder": _kind(place / UNITS if says_itself else place / VOCODER),
            "speakers": list(voices_of(says)),
            "generation": settings.as_dict(),
            "origin": asdict(origin),
            "figures": figures,
            "verdicts": verdicts,
            "sample": said,
        }
        record["files"] = _files(place)
        write_text(place / CARD, bundle_card(config, record, record["name"]))  # people may change it
        write_json(place / RECORD, record)
    return open_bundle(out)


def _called(model: Path | str) -> list[str]:
    """What the quick start may call a model."""
    known = Path(model) / "training.json"
    told = read_json(known) if known.is_file() else {}
    # One that was tuned or trained on is no longer the one that was measured.
    return [Path(model).resolve().name, *([told["system"]] if "system" in told and "start" not in told else [])]


def _model_directory(model: Path | str) -> Path:
    """Where the model's files are; those of the hub are fetched."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        patterns = [*_MODEL_FILES, "*.json", "tokenizer.model"]
        return Path(snapshot_download(str(model), allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise NotFoundError("a model must be there", f"{model}: {first_line(error)}", "check the name") from error


def _copy_model(source: Path, place: Path, link: bool) -> None:
    for pattern in _MODEL_FILES:
        for file in sorted(source.glob(pattern)):
            _copy(file, place / file.name, link)
    if not any(place.glob("*.safetensors")):
        raise NotFoundError("a model's weights are safetensors", f"none in {source}", "save the model with smoltolk")
    write_json(place / "config.json", _without_places(read_json(source / "config.json")))


def _without_places(value: Any) -> Any:
    """A configuration without directories of the machine that it was made on."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without_places(part)
        for key, part in value.items()
        if not (key in _PLACES and isinstance(part, str) and Path(part).is_absolute())
    }


def _put(source: Path, place: Path, link: bool) -> None:
    """Configuration and weights of units or of a vocoder."""
    place.mkdir()
    for file in sorted(source.iterdir()):
        if file.suffix in (".json", ".safetensors") and file.name != "made.json":
            _copy(file, place / file.name, link)


def _copy(source: Path, place: Path, link: bool) -> None:
    source = source.resolve()
    if link and source.suffix == ".safetensors":  # small files may be edited, which would change both
        try:
            os.link(source, place)
            return
        except OSError:  # another file system, or one that knows no links
            pass
    shutil.copyfile(source, place)


def _say_sample(place: Path, text: str | None, settings: BundleSettings) -> dict[str, Any] | None:
    if text is None:
        return None
    vocoder = place / VOCODER
    talker = SpeechText.load(place, place / UNITS, vocoder if vocoder.is_dir() else None, device="cpu")
    for seed in range(_SAMPLE_SEEDS):
        # A batch of one, in which what says nothing is no error.
        (answer,) = talker.generate(
            [[text]], to="speech", seed=seed, sampling=settings.sampling, max_new=settings.max_units
        )
        if answer.is_empty:
            continue
        answer.speech.save(place / "sample.wav")
        about = {"prompt": text, "seed": seed, "file": "sample.wav", "seconds": round(answer.speech.seconds, 2)}
        write_json(place / "sample.json", {**about, "units": answer.speech.units.tolist(), "ended": answer.ended})
        return about
    return None


def _kind(directory: Path) -> str:
    return str(read_json(directory / "config.json").get("kind"))


def _same(one: Path | str, other: Path | str) -> bool:
    part = read_part(other) if Path(other).is_dir() else None
    return Path(one).resolve() == Path(other).resolve() and part is not None and part.is_codec


def _files(place: Path) -> Mapping[str, Any]:
    return {
        file.relative_to(place).as_posix(): {"bytes": file.stat().st_size, "sha256": digest_of(file)}
        for file in sorted(place.rglob("*"))
        if file.is_file()
    }
