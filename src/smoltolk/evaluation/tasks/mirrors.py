"""Copies of sets on the hub: a row has the recording that should be likelier, and the other one.

``speed/sWUGGY`` and its like have the columns ``positive`` and ``negative``, ``slprl/SALMon`` ``positive_audio`` and
``negative_audio``. Nothing is known of voices and types.
"""

from __future__ import annotations

from pathlib import Path

from smoltolk.common.errors import InputError
from smoltolk.evaluation.tasks.items import Item, Segment
from smoltolk.evaluation.tasks.layouts import parquet_columns, parquet_files, parquet_rows

PAIRS = (("positive", "negative"), ("positive_audio", "negative_audio"))


def mirror_items(place: Path, cell: str | None = None) -> list[Item]:
    """An item for each row of each file.

    Args:
        place: a Parquet file, or a folder of them.
        cell: of all items; None: the name of the folder that a file lies in.

    Raises:
        InputError: other columns.
    """
    items = []
    for path in parquet_files(place):
        columns = parquet_columns(path)
        pair = next((pair for pair in PAIRS if set(pair) <= set(columns)), None)
        if pair is None:
            raise InputError(
                "a copy of pairs has the columns " + ", or ".join(" and ".join(pair) for pair in PAIRS),
                f"{path} has {', '.join(columns)}",
                "check --data",
            )
        for number, row in enumerate(parquet_rows(path, pair)):
            options = tuple((Segment(sound=row[name]),) for name in pair)
            items.append(Item(f"{path.parent.name}-{path.stem}-{number}", cell or path.parent.name, (), options))
    return items
