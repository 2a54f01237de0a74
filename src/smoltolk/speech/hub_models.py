"""Models of transformers by hub id or directory, or a plain word why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError


def load_model(name: str, what: str) -> tuple[Any, dict[str, Any]]:
    """A model with its weights, and the settings of its feature extractor.

    Code beside a model on the hub is never run.

    Args:
        name: hub id or directory.
        what: is wanted, for the message, e.g. ``"a speech encoder"``.

    Returns:
        The model, and its ``preprocessor_config.json`` (empty if it has none).

    Raises:
        NotFoundError: nothing of this name here or on the hub.
        InputError: there is something else.
    """
    from transformers import AutoModel, FeatureExtractionMixin

    folder = Path(name)
    if not folder.is_dir() and (folder.is_absolute() or name.startswith((".", "~"))):
        raise NotFoundError(f"{what} is a hub id or a directory", f"no directory {folder}", "check the path")
    try:
        model = AutoModel.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise (NotFoundError if isinstance(error, OSError) else InputError)(
            f"{name!r} must be {what} of transformers, on the hub or in a directory",
            first,
            "check the name and the connection, or give a directory",
        ) from error
    try:
        settings, _ = FeatureExtractionMixin.get_feature_extractor_dict(name)
    except (OSError, json.JSONDecodeError):
        settings = {}
    return model, settings


def plain_config(config: Any) -> dict[str, Any]:
    """What builds a model of this config again, without where it came from and by which version.

    Args:
        config: of a model of transformers.
    """
    settings = {"model_type": config.model_type, **config.to_diff_dict()}
    for name in ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"):
        settings.pop(name, None)
    return json.loads(json.dumps(settings))  # as it will be read
