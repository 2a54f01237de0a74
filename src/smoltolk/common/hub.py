"""Names on the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from smoltolk.common.errors import NotFoundError


def hub_id(name_or_path: str) -> str | None:
    """The name if it can be a hub id; None if it is a directory here, whose place says nothing elsewhere."""
    try:
        validate_repo_id(name_or_path)
    except HFValidationError:
        return None
    return name_or_path if name_or_path and not Path(name_or_path).is_dir() else None


def check_place(name: Path | str, what: str, *, owned: bool = True) -> None:
    """Refuse at once what is no directory here and cannot be a hub id, before anyone asks the network.

    Args:
        name: as it was given.
        what: is wanted, for the message, e.g. ``"a text model"``.
        owned: hub ids must be ``owner/name``; some old text models are a name alone.

    Raises:
        NotFoundError: no such directory.
    """
    folder, form = Path(name), r"[\w.-]+/[\w.-]+" if owned else r"[\w.-]+(/[\w.-]+)?"
    if str(name) and folder.is_dir():
        return
    here = len(folder.parts) > 1 and Path(folder.parts[0]).is_dir()
    if here or folder.is_file() or not re.fullmatch(form, str(name)) or str(name).startswith("."):
        found = f"{name} is a file" if folder.is_file() else f"no directory {name}"
        raise NotFoundError(f"{what} is a directory, or a hub id like owner/name", found, "check the path")


def names_of(places: Sequence[Path | str]) -> list[str]:
    """What models, bundles and the like are called beside each other: directories by the last part of their path, with
    the parent's where two are called the same; those of the hub by their id."""
    paths = [Path(one).resolve() if Path(one).is_dir() else None for one in places]
    names = [str(one) if path is None else path.name for one, path in zip(places, paths, strict=True)]
    return [
        f"{path.parent.name}/{name}" if path is not None and names.count(name) > 1 else name
        for name, path in zip(names, paths, strict=True)
    ]
