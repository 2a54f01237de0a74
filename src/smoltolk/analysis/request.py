"""What is asked of an analysis, held against what is there before anything large is loaded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from smoltolk.common.errors import InputError, named
from smoltolk.common.files import check_place as check_out
from smoltolk.common.files import read_json
from smoltolk.common.hub import check_place
from smoltolk.data.corpora.corpus import read_info
from smoltolk.data.shards.parquet import shard_paths

TITLES = {  # of what is looked at
    "alignment": "Speech and text of the same items",
    "geometry": "Dimension and shared directions",
    "lens": "The text head on each layer",
    "probes": "Linear probes",
    "retrieval": "Retrieval",
    "selector": "The selector",
    "boundaries": "Word boundaries from the selector",
}
PARTS = tuple(TITLES)
MOST_MODELS = 4
# What an analysis leaves, and the recordings that a report plays.
_OURS = re.compile(rf"\..*|parts|samples|analysis\.(json|md)|({'|'.join(PARTS)})\.(svg|png)")
_MODEL = "a model is a directory that `smoltolk train` wrote, a bundle, or a hub id"


def check_request(
    models: Sequence[Path | str], shards: Path | str, out: Path | str, parts: Sequence[str], corpus: Path | str | None
) -> None:
    """Refuse what cannot be looked at, as far as small files tell.

    Args:
        models, shards, out, parts, corpus: as for :func:`~smoltolk.analysis.run.analyse`.

    Raises:
        InputError: no such part, none, models that :func:`names_of` refuses, a directory of another kind.
        NotFoundError: something is not there.
    """
    for part in parts:
        named("a part", part, dict.fromkeys(PARTS), "name some of these")
    if not parts:
        raise InputError(f"a part is one of {', '.join(PARTS)}", "none", "name some of these, or leave --parts out")
    names_of(models)
    for model in models:
        check_place(model, "a SmolTolk model")
        if Path(model).is_dir():
            _check_model(Path(model))
    shard_paths(shards)
    if corpus is not None:
        read_info(corpus)
    check_out(Path(out), _OURS, "a directory of an analysis")


def names_of(models: Sequence[Path | str]) -> list[str]:
    """A short name for each model: the last part of its path that no other one has.

    Raises:
        InputError: none, more than four, or the same one twice.
    """
    places = [_whole(model) for model in models]
    twice = [place for place, count in Counter(places).items() if count > 1]
    if not 1 <= len(places) <= MOST_MODELS or twice:
        found = f"{twice[0]} twice" if twice else f"{len(places)}"
        fix = "name each model once, four at most"
        raise InputError("one to four different models are looked at side by side", found, fix)
    paths = [list(Path(place).parts) for place in places]
    if len(paths) > 1:
        shared = Counter(part for path in paths for part in set(path))
        own = [next((part for part in reversed(path) if shared[part] == 1), "") for path in paths]
        if all(own):
            return own
    names: list[str] = []
    for count in range(1, max(map(len, paths)) + 1):
        names = ["-".join(part.strip("/") for part in path[-count:]) or "model" for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _whole(model: Path | str) -> str:
    """The path of a directory, without detours; another name is one on the hub."""
    place = Path(model)
    if not place.is_dir():
        return str(model)
    return str(place.resolve() if ".." in place.parts else place.absolute())


def _check_model(folder: Path) -> None:
    fix = "name such a directory, e.g. quickstart/models/late"
    if not (folder / "config.json").is_file():
        raise InputError(_MODEL, f"{folder} has no config.json", fix)
    kind = read_json(folder / "config.json")
    kind = kind.get("model_type") if isinstance(kind, dict) else None
    if kind != "smoltolk":
        raise InputError(_MODEL, f"{folder} is a model of type {kind!r}", fix)
