"""Several codebooks in the checkpoints of the published implementations: a table ``embed.k`` and a head each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from smoltolk.common.errors import InputError

_TABLES = (
    "audio_embed",
    "audio_unembed",
    "aud_perception.embed",
    "aud_expression.perception_embed",
    "aud_expression.unembed",
)


def _num_codebooks(settings: Mapping[str, Any]) -> int:
    return settings.get("n_codebooks") or settings.get("n_aud_codebooks") or 1


def codebook_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings of several codebooks; none for one. A checkpoint does not say how its rows were delayed."""
    number = _num_codebooks(settings)
    return {} if number == 1 else {"num_codebooks": number, "codebook_delays": [0] * number}


def stack_codebooks(settings: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Put the tables of all codebooks but the first one under the other, in place, under names with ``.further``.

    Args:
        settings: the checkpoint's ``model_args``.
        tensors: by name.

    Raises:
        InputError: a table is missing, or of another size than the first.
    """
    number = _num_codebooks(settings)
    for name in _TABLES:
        if number == 1 or f"{name}.0.weight" not in tensors:
            continue
        tables = [tensors.pop(f"{name}.{codebook}.weight", None) for codebook in range(1, number)]
        held = [table for table in tables if table is not None and table.shape == tensors[f"{name}.0.weight"].shape]
        if len(held) != len(tables):
            setting = "n_codebooks" if "n_codebooks" in settings else "n_aud_codebooks"
            raise InputError(
                "a checkpoint of several codebooks has a table of one size for each",
                f"{setting} = {number}, and {len(held) + 1} tables {name}.*.weight like the first",
                "use a whole checkpoint",
            )
        tensors[f"{name}.further.weight"] = torch.cat(held)
