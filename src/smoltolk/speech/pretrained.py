"""Models of transformers by hub id or directory: loaded, or a plain word why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, MissingExtraError, NotFoundError, first_line
from smoltolk.common.hub import check_place


@contextmanager
def loading(name: str, what: str) -> Iterator[None]:
    """Turn what transformers raises while a model is loaded into an error for people.

    Args:
        name: hub id or directory.
        what: what is wanted there, e.g. ``"a CTC model with its tokenizer"``.

    Raises:
        NotFoundError: nothing of this name here or on the hub.
        InputError: there is something else.
        MissingExtraError: the model needs a library that is not installed.
    """
    check_place(name, what)
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{name!r} needs libraries of its own", first_line(error), "install those that it names"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        missing = isinstance(error, OSError) and not Path(name).is_dir()
        raise (NotFoundError if missing else InputError)(
            f"{name!r} must be {what}, on the hub or in a directory",
            first_line(error),
            "check the name and the connection, or save all its parts in one directory",
        ) from error


def load_model(name: str, what: str) -> tuple[Any, dict[str, Any]]:
    """A model with its weights, and the settings of its feature extractor.

    Code beside a model on the hub is never run.

    Args:
        name: hub id or directory.
        what: is wanted, for the message, e.g. ``"a speech encoder"``.

    Returns:
        The model, and its ``preprocessor_config.json`` (empty if it has none).

    Raises:
        NotFoundError, InputError: as :func:`loading`.
    """
    from transformers import AutoModel, FeatureExtractionMixin

    with loading(name, f"{what} of transformers"):
        model = AutoModel.from_pretrained(name, trust_remote_code=False)
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
