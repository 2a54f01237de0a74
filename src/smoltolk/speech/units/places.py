"""Where units lie: in a directory here, or on the hub."""

from __future__ import annotations

import re
from pathlib import Path

from smoltolk.common.errors import NotFoundError, first_line


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
