"""Names on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def hub_id(name_or_path: str) -> str | None:
    """The name if it can be a hub id; None if it is a directory here, whose place says nothing elsewhere."""
    try:
        validate_repo_id(name_or_path)
    except HFValidationError:
        return None
    return name_or_path if name_or_path and not Path(name_or_path).is_dir() else None
