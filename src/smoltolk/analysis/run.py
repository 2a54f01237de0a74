"""Everything that is looked at inside some models, one part after the other; what is done is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from smoltolk.analysis.figures import draw
from smoltolk.analysis.inside import MEASURES, Figures, Inside, Phones
from smoltolk.analysis.request import PARTS, check_request, names_of
from smoltolk.analysis.states import BATCH_TOKENS
from smoltolk.analysis.tables import markdown
from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, write_json, write_text
from smoltolk.common.made import digest_of_file
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.shard_set import look_over
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.inference.part_files import Part, check_part
from smoltolk.inference.parts import load_config, load_model

_OF_SELECTORS = ("selector", "boundaries")


def analyse(
    models: Sequence[Path | str],
    shards: Path | str,
    out: Path | str,
    *,
    parts: Sequence[str] = PARTS,
    num_items: int = 1000,
    seed: int = 0,
    corpus: Path | str | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> Figures:
    """Look inside one model, or several side by side.

    Figures lie in ``OUT/analysis.json``, tables in ``OUT/analysis.md``, drawings in ``OUT/PART.svg`` and ``.png``.

    Each part of each model is a file of its own, ``OUT/parts/NAME-PART.json``: what is there, of the same model, shards
    and settings, is not made again.

    Args:
        models: directories or hub ids, four at most.
        shards: of the models' units, with words.
        out: a directory.
        parts: of :data:`~smoltolk.analysis.request.PARTS`.
        num_items: most words, sentences and units; memory is about 16 (L + 1) N (N + D) bytes.
        seed: of every choice and interval.
        corpus: the recordings of the shards, for the times of phones.
        batch_tokens: most ids of a batch; documents that are longer are left out.

    Returns:
        ``models``: by name, with a value for each part; a part that a model cannot have is ``{"left_out": reason}``.

    Raises:
        InputError: no such part, more than four models, shards of other units, or with too few words; a directory
            that holds something else.
        NotFoundError: something is not there.
    """
    check_request(models, shards, out, parts, corpus)
    names, found_shards = names_of(models), look_over(shards)
    units = found_shards.metadata
    for model in models:
        check_part(model, load_config(model), "shards", Part(units.fingerprint, units.num_units, units.num_codebooks))
    spoken = read_shards(shards)
    phones = None if corpus is None or "probes" not in parts else _phones_of(corpus, spoken)
    settings = {
        "shards": found_shards.digest(), "num_items": num_items, "seed": seed, "batch_tokens": batch_tokens,
        "phones": phones is not None, "version": version("smoltolk"),
    }  # fmt: skip
    result: Figures = {**settings, "models": {}}
    for name, model in zip(names, models, strict=True):
        result["models"][name] = _of_model(name, model, spoken, Path(out), parts, settings, phones)
    write_json(Path(out) / "analysis.json", result)
    write_text(Path(out) / "analysis.md", markdown(result))
    draw(result["models"], Path(out))
    return result


def _of_model(
    name: str, place: Path | str, units: UnitCorpus, out: Path, parts: Sequence[str], settings: Figures,
    phones: Phones | None,
) -> Figures:  # fmt: skip
    config, digest = load_config(place), _digest(place)
    figures: Figures = {"model": str(place), "digest": digest, "num_layers": config.num_layers}
    inside: Inside | None = None
    for part in parts:
        command = {"part": part, "model": digest or str(place), **settings}
        path = out / "parts" / f"{name}-{part}.json"
        kept = read_json(path) if path.is_file() else {}
        if kept.get("command") != command:
            if part in _OF_SELECTORS and config.layer_mix != "dynamic":
                found: Figures = {"left_out": f"the model has no selector (layer_mix = {config.layer_mix})"}
            else:
                if inside is None:
                    inside = Inside(
                        name, *load_model(place), units, num_items=settings["num_items"], seed=settings["seed"],
                        batch_tokens=settings["batch_tokens"], phones=phones,
                    )  # fmt: skip
                found = MEASURES[part](inside)
            kept = {"command": command, "figures": found}
            write_json(path, kept)
        figures[part] = kept["figures"]
    return figures


def _digest(place: Path | str) -> str | None:
    """Of the files of a model; None for one on the hub."""
    folder = Path(place)
    files = sorted([*folder.glob("*.safetensors"), folder / "config.json"]) if folder.is_dir() else []
    state = hashlib.sha256("".join(digest_of_file(file) for file in files).encode())
    return state.hexdigest()[:32] if files else None


def _phones_of(corpus: Path | str, units: UnitCorpus) -> Phones:
    wanted = {units.id(number) for number in range(len(units))}
    found = {
        one.id: [(phone.text, phone.start, phone.end) for phone in one.phones]
        for one in read_corpus(corpus)
        if one.id in wanted and one.phones
    }
    if not found:
        fix = "name the corpus that the shards were prepared from, aligned with --phones; or leave it out"
        raise InputError("a corpus for the phone probe holds the phones of the shards' utterances", str(corpus), fix)
    return found
