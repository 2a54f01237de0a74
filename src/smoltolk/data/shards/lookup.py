"""Units of some utterances, found among shards by their ids."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smoltolk.data.shards.columns import Ragged
from smoltolk.data.shards.parquet import DAMAGED, common_metadata, shard_paths, unreadable
from smoltolk.speech.units.tokenizer import Units


def units_by_id(directory: Path | str, ids: Collection[str], *, fingerprint: str | None = None) -> dict[str, Units]:
    """Units and durations of those of some utterances that the shards hold.

    Args:
        directory: as written by the prepare step.
        ids: of the utterances.
        fingerprint: of the tokenizer that the caller works with; None accepts any single one.

    Raises:
        NotFoundError: no shards.
        InputError: a shard that is cut short or of another codebook.
    """
    paths = shard_paths(directory)
    common_metadata(paths, fingerprint)
    wanted = pc.field("id").isin(pa.array(sorted(ids), pa.string()))
    found: dict[str, Units] = {}
    for path in paths:
        try:
            table = pq.read_table(path, columns=["id", "units", "durations"], filters=wanted)
        except DAMAGED as error:
            raise unreadable(path, error) from error
        units, durations = Ragged(table["units"]), Ragged(table["durations"])
        for row, name in enumerate(table["id"].to_pylist()):
            found[name] = Units(units[row].astype(np.int64), durations[row].astype(np.int64))
    return found
