"""A bundle: one directory, or one repository of the hub, that holds all that talking takes.

::

    README.md               the card: what it is, how it is used, data and voices, licence and consent, figures
    bundle.json             the parts, settings of generation, and size and digest of every file but the card
    config.json, *.safetensors, generation_config.json, tokenizer files, processor_config.json     the model
    units/                  the unit tokenizer; a codec of several codebooks speaks too
    vocoder/                what speaks, where the units are no such codec
    sample.wav, sample.json something that it said, and from what

So the model and its processor load from there by ``from_pretrained`` of transformers as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from smoltolk.common.errors import InputError, NotFoundError, first_line
from smoltolk.common.files import read_json
from smoltolk.common.hub import check_place
from smoltolk.inference.sampling import Sampling

RECORD, CARD = "bundle.json", "README.md"
VERSION = 1
UNITS, VOCODER = "units", "vocoder"
# What else the record holds: card and `bundle info` tell it.
_TOLD = (
    *("name", "made_by", "units", "frame_rate", "vocoder", "speaking_rate", "speakers", "origin", "figures", "sample"),
)
_ALWAYS_READ = 64 << 20  # bytes; of larger files the size alone is compared when a bundle is loaded


@dataclass(frozen=True, slots=True)
class BundleSettings:
    """How a model goes on where a call says nothing else.

    Attributes:
        sampling: of continuations; None: the most likely id at every step.
        max_units: units, or frames, of a spoken answer.
        max_tokens: tokens of a written one.
        tuned: whether it was tuned on dialogues, and so takes turns as prompts; others go on with what was said.
    """

    sampling: Sampling | None = Sampling()  # noqa: RUF009 - immutable
    max_units: int = 150
    max_tokens: int = 40
    tuned: bool = False

    def __post_init__(self) -> None:
        if self.max_units < 1 or self.max_tokens < 1:
            found = f"max_units = {self.max_units}, max_tokens = {self.max_tokens}"
            raise InputError("an answer has an id at least", found, "give 1 or more")

    def as_dict(self) -> dict[str, Any]:
        """As ``bundle.json`` holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_dict`."""
        sampling = held["sampling"]
        return cls(
            None if sampling is None else _sampling(sampling),
            int(held["max_units"]),
            int(held["max_tokens"]),
            bool(held.get("tuned", False)),
        )


def _sampling(held: Mapping[str, Any]) -> Sampling:
    return Sampling(float(held["temperature"]), int(held["top_k"]), float(held.get("top_p", 1)))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on this machine.

    Attributes:
        path: its directory.
        name: as it was asked for.
        record: what ``bundle.json`` holds.
        settings: of generation.
    """

    path: Path
    name: str
    record: Mapping[str, Any]
    settings: BundleSettings

    @property
    def model(self) -> Path:
        """The directory of model and tokenizer."""
        return self.path

    @property
    def units(self) -> Path:
        """The directory of the units."""
        return self.path / UNITS

    @property
    def vocoder(self) -> Path | None:
        """The directory of the vocoder; None where the units are a codec that speaks."""
        place = self.path / VOCODER
        return place if place.is_dir() else None


def open_bundle(name: Path | str, *, whole: bool = False, revision: str | None = None) -> Bundle:
    """A bundle here; one of the hub is fetched first.

    Args:
        name: directory or hub id.
        whole: read every file; otherwise large ones are only measured.
        revision: of the hub's: a branch, a tag or a commit; None: the newest.

    Raises:
        NotFoundError: nothing there.
        InputError: no bundle, one of a later version, or a damaged one, with the file that is.
    """
    check_place(name, "a bundle")
    here = Path(name).is_dir()
    if here and revision is not None:
        raise InputError("a bundle of the hub has revisions", f"{name}, a directory here", "leave the revision out")
    path = Path(name) if here else fetch_bundle(str(name), revision)
    if not (path / RECORD).is_file():
        raise InputError(
            f"a bundle holds a {RECORD}",
            f"none in {name}",
            "make one: smoltolk bundle make MODEL UNITS VOCODER OUT; or load the parts by SpeechText.load",
        )
    record = read_json(path / RECORD)
    files, settings = _read(record, path / RECORD)
    check_files(path, files, whole=whole)
    return Bundle(path, str(name), record, settings)


def own_units(name: Path | str) -> Path | None:
    """The directory of the units that a model brings: those of a bundle here; None of anything else."""
    place = Path(name) / UNITS
    return place if (Path(name) / RECORD).is_file() and place.is_dir() else None


def _read(record: Any, place: Path) -> tuple[dict[str, Any], BundleSettings]:
    """Files and settings of a record."""
    if isinstance(record, dict) and isinstance(record.get("version"), int) and record["version"] > VERSION:
        raise InputError(
            f"this version reads bundles of version {VERSION} at most",
            f"{place}: version {record['version']}",
            "update smoltolk",
        )
    try:
        for key in ("version", *_TOLD):
            record[key]
        return dict(record["files"]), BundleSettings.from_dict(record["generation"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(place, f"{type(error).__name__}: {first_line(error)}") from error


def fetch_bundle(repo_id: str, revision: str | None = None, token: str | None = None) -> Path:
    """A bundle of the hub in the hub's cache; what is there already is not fetched again.

    Raises:
        NotFoundError: no such repository, or no way there.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, HTTPError

    try:
        return Path(snapshot_download(repo_id, revision=revision, token=token))
    except (HTTPError, HFValidationError, OSError) as error:  # the hub's own errors are kinds of these
        raise NotFoundError(
            "a bundle is a directory here or a repository on the hub",
            f"{repo_id}: {first_line(error)}",
            "check the name",
        ) from error


def check_files(path: Path, files: Mapping[str, Any], *, whole: bool) -> None:
    """Hold the files of a bundle against its record.

    Raises:
        InputError: the first that is missing or another one, or a name that leads out of the bundle.
    """
    for name, told in files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not isinstance(told, dict):
            raise _damaged(path / RECORD, f"a file named {name!r}")
        place = path / name
        if not place.is_file():
            raise _damaged(place, "it is missing")
        size = place.stat().st_size
        if size != told.get("bytes"):
            raise _damaged(place, f"{size} bytes, not {told.get('bytes')}")
        if (whole or size <= _ALWAYS_READ) and digest_of(place) != told.get("sha256"):
            raise _damaged(place, "its content is another one")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(place: Path, found: str) -> InputError:
    return InputError("a bundle is as it was made", f"{place}: {found}", "copy, pull or make it again, whole")
