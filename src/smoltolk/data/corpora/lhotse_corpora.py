"""Corpora through lhotse: its manifests, and its recipes for some ninety public data sets."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError, require
from smoltolk.common.files import atomic_directory, read_json, write_json
from smoltolk.common.lock import hold
from smoltolk.data.corpora.collecting import make_corpus
from smoltolk.data.corpora.corpus import Counts
from smoltolk.data.corpora.lhotse_manifests import TEXT_KEYS, Manifests
from smoltolk.data.corpora.making import Making

_PURPOSE = "a recipe of lhotse"
_RECORD, _LOG = "recipe.json", "recipe.log"
# A recording that cannot be opened stays in the manifests, longer than any segment of it, and is rejected when read.
_UNREADABLE_SECONDS, _UNREADABLE_RATE = 360_000, 16_000


def collect_manifests(
    path: Path | str,
    out_dir: Path | str,
    *,
    aligner: str | None = None,
    phones: bool = True,
    audio_root: Path | None = None,
    text_keys: tuple[str, ...] = TEXT_KEYS,
    longest: float | None = None,
    lowest_confidence: float | None = None,
    source: str | None = None,
    language: str = "en",
    workers: int | None = None,
) -> Counts:
    """Make a corpus of lhotse's manifests: an utterance for each supervision, its sound cut out as flac of 16 kHz.

    Words come from the supervisions' alignments where they have some.

    Args:
        path: cuts, supervisions, or a directory of them; see :class:`smoltolk.data.corpora.lhotse_manifests.Manifests`.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        aligner: finds the times of words that have none; None: these stay without.
        phones: find the phones too, where the aligner can; phone units are fitted on them.
        audio_root: where relative paths of recordings begin.
        text_keys: where the text of a supervision stands.
        longest: seconds; longer segments with words are cut at pauses. None: nothing is cut.
        lowest_confidence: see :class:`smoltolk.data.corpora.collecting.Making`.
        source: name of the corpus; default: that of ``path``.
        language: of supervisions that name none.
        workers: processes; None means one per processor, 0 this one.

    Returns:
        Counts over the whole corpus, earlier runs included; what cannot be used is in ``rejected.jsonl``.

    Raises:
        NotFoundError: no manifests.
        InputError: a manifest that is cut short, ``out_dir`` holds another corpus, or nothing could be used.
        WorkerError: a worker was killed; the same call continues.
    """
    items = Manifests(path, audio_root=audio_root, text_keys=text_keys)
    making = Making(
        source=source or Path(path).name.split(".jsonl")[0],
        language=language,
        aligner=aligner,
        phones=phones,
        longest=longest,
        lowest_confidence=lowest_confidence,
    )
    return make_corpus(items, Path(out_dir), making, place=path, workers=workers)


def collect_recipe(
    name: str,
    folder: Path | str,
    out_dir: Path | str,
    options: Mapping[str, Any] | None = None,
    *,
    aligner: str | None = None,
    longest: float | None = None,
    language: str = "en",
    workers: int | None = None,
) -> tuple[Counts, int]:
    """:func:`run_recipe` into ``out_dir/manifests``, and :func:`collect_manifests` of what it wrote.

    Returns:
        counts over the whole corpus, and how many warnings the recipe gave.

    Raises:
        as these two.
    """
    out_dir = Path(out_dir)
    manifests = out_dir / "manifests"
    with hold(out_dir):
        warnings = run_recipe(name, folder, manifests, options)
        counts = collect_manifests(
            manifests, out_dir, aligner=aligner, longest=longest, source=name, language=language, workers=workers
        )
    return counts, warnings


def recipe_names() -> list[str]:
    """What lhotse has recipes for.

    Raises:
        MissingExtraError: lhotse is not installed.
    """
    recipes = require("lhotse", _PURPOSE).recipes
    return sorted(name.removeprefix("prepare_") for name in dir(recipes) if name.startswith("prepare_"))


def run_recipe(name: str, folder: Path | str, out_dir: Path | str, options: Mapping[str, Any] | None = None) -> int:
    """Let a recipe of lhotse write the manifests of a data set that lies on this machine.

    A recording that cannot be opened does not stop the recipe: it stays in the manifests, and is rejected when the
    corpus is made. What the recipe warns of is kept in ``recipe.log``.

    Args:
        name: of the recipe, e.g. ``librispeech``.
        folder: the data set, as the recipe wants it.
        out_dir: the directory of the manifests; an earlier, equal call is kept.
        options: of the recipe's ``prepare`` function.

    Returns:
        how many warnings there were.

    Raises:
        MissingExtraError: lhotse is not installed.
        NotFoundError: no such folder.
        InputError: no such recipe, options that it does not have, it fails, or it finds nothing; or ``out_dir`` holds
            the manifests of another call.
    """
    folder, out_dir = Path(folder), Path(out_dir)
    function = _recipe(name)
    if not folder.is_dir():
        raise NotFoundError("a data set lies in a directory", f"no directory {folder}", "check the path")
    options = dict(options or {})
    command = {"recipe": name, "folder": str(folder.resolve()), "options": options}
    if out_dir.is_dir():
        if read_json(out_dir / _RECORD) != command:
            raise InputError(
                "a directory of manifests belongs to one recipe, one data set and its options",
                f"{out_dir} was made with others",
                "give another directory, or delete this one",
            )
        return len((out_dir / _LOG).read_text(encoding="utf-8").splitlines())
    taken = inspect.signature(function).parameters
    target = "output_dir" if "output_dir" in taken else "manifest_dir"
    strange = sorted(set(options) - set(taken) | set(options) & {target, "corpus_dir"})
    if strange:
        known = ", ".join(option for option in taken if option not in (target, "corpus_dir"))
        raise InputError(f"the recipe {name} takes {known}", ", ".join(strange), "name one of these")
    with atomic_directory(out_dir) as directory:
        with _warnings_in(directory / _LOG), _unreadable_recordings_stay():
            _call(name, function, folder, {target: directory, **options})
        if not any("supervisions" in p.name or "cuts" in p.name for p in directory.iterdir()):
            raise InputError(
                f"the recipe {name} must find its data set",
                f"no supervisions in {folder}",
                "name the directory that the recipe expects (for librispeech the one that holds dev-clean)",
            )
        write_json(directory / _RECORD, command)
    return len((out_dir / _LOG).read_text(encoding="utf-8").splitlines())


def _recipe(name: str) -> Any:
    recipes = require("lhotse", _PURPOSE).recipes
    function = getattr(recipes, f"prepare_{name.replace('-', '_')}", None)
    if function is None:
        known = recipe_names()
        near = [other for other in known if name[:4].casefold() in other] or known
        raise InputError("a recipe is one of lhotse's", repr(name), f"one of {', '.join(near)}")
    return function


def _call(name: str, function: Any, folder: Path, arguments: dict[str, Any]) -> None:
    try:
        first = next(iter(inspect.signature(function).parameters))
        function(**{first: folder}, **arguments)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise  # a full disk is no fault of the data set
        raise _failed(name, folder, error) from error
    except Exception as error:  # other people's code: whatever it says is for the user
        raise _failed(name, folder, error) from error


def _failed(name: str, folder: Path, error: Exception) -> InputError:
    return InputError(
        f"the recipe {name} of lhotse must go through",
        f"{type(error).__name__}: {error}",
        f"see whether {folder} is what the recipe expects, and mend or take away the file that it names",
    )


@contextmanager
def _warnings_in(path: Path) -> Iterator[None]:
    """Recipes tell what they leave out in warnings; keep them."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


@contextmanager
def _unreadable_recordings_stay() -> Iterator[None]:
    """One broken file among thousands would end a recipe, which opens each to learn its length."""
    audio = require("lhotse", _PURPOSE).audio
    real = audio.Recording.from_file

    def from_file(path: Path | str, recording_id: Any = None, *rest: Any, **more: Any) -> Any:
        try:
            return real(path, recording_id, *rest, **more)
        except Exception as error:  # noqa: BLE001 - whatever the decoder says
            logging.getLogger().warning("%s cannot be opened: %s", path, " ".join(str(error).split()))
            name = recording_id(path) if callable(recording_id) else recording_id or Path(path).stem
            return audio.Recording(
                id=name,
                sources=[audio.AudioSource(type="file", channels=[0], source=str(path))],
                sampling_rate=_UNREADABLE_RATE,
                num_samples=_UNREADABLE_SECONDS * _UNREADABLE_RATE,
                duration=float(_UNREADABLE_SECONDS),
                channel_ids=[0],
            )

    audio.Recording.from_file = staticmethod(from_file)
    try:
        yield
    finally:
        audio.Recording.from_file = staticmethod(real)
