"""The figures of an analysis as tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from smoltolk.analysis.boundaries import BASELINES, METHODS
from smoltolk.analysis.request import TITLES
from smoltolk.report.markdown import in_cell

_PROBES = {"speech": "speech", "text": "text", "transfer": "fitted on text, asked about speech"}
_SERIES = {
    "heard": "at the last unit of a word, the word itself",
    "heard_next": "at the last unit of a word, the next word",
    "read_next": "at the last token of a word, the next word",
}
Found = Mapping[str, Any]
Lines = Iterator[str]


def markdown(result: Found) -> str:
    """All tables of what :func:`~smoltolk.analysis.run.analyse` returned; intervals are 95%."""
    models: Mapping[str, Found] = result["models"]
    lines = ["# Looking inside", ""]
    lines += [f"- **{name}**: {model['model']}, {model['num_layers']} layers" for name, model in models.items()]
    lines += [
        f"- seed {result['seed']}, at most {result['num_items']} items of each kind, smoltolk {result['version']}"
    ]
    lines += ["- layer `in` is what the backbone reads; the last layer lies behind its final norm", ""]
    for part, write in _WRITERS.items():
        shown = {name: model[part] for name, model in models.items() if part in model}
        if not shown:
            continue
        lines += [f"## {TITLES[part]}", ""]
        for name, found in shown.items():
            if isinstance(found.get("left_out"), str):
                lines += [f"{name}: left out, {found['left_out']}.", ""]
        shown = {name: found for name, found in shown.items() if not isinstance(found.get("left_out"), str)}
        if shown:
            lines += list(write(shown))
    return "\n".join(lines).rstrip() + "\n"


def items_of(models: Mapping[str, Found]) -> Iterator[tuple[str, dict[str, Found]]]:
    """``words`` and ``sentences``, with what each model has of them; those that none has are left out."""
    for items in ("words", "sentences"):
        having = {name: found[items] for name, found in models.items() if "left_out" not in found[items]}
        if having:
            yield items, having


def counts_of(result: Found) -> str:
    """How many words and sentences were looked at, of the model with most; empty where no part tells."""
    found = [model[part] for model in result["models"].values() for part in ("alignment", "geometry") if part in model]
    counts = {items: max((one[items].get("n", 0) for one in found), default=0) for items in ("words", "sentences")}
    return " and ".join(f"{count:,} {items}" for items, count in counts.items() if count)


def _without(models: Mapping[str, Found]) -> Lines:
    for name, found in models.items():
        if "left_out" in found["sentences"]:
            yield from (f"{name}: no sentences, {found['sentences']['left_out']}.", "")


def _alignment(models: Mapping[str, Found]) -> Lines:
    yield from _without(models)
    for items, having in items_of(models):
        here = next(iter(having.values()))
        yield f"{here['n']} {items}; mutual k-NN of k = {here['k']}, chance {_plain(here['chance'])}."
        yield ""
        rows = {
            f"{name}, {label}": found[key]
            for name, found in having.items()
            for key, label in {"cka": "CKA", "cka_unbiased": "CKA unbiased", "knn": "mutual k-NN"}.items()
        }
        yield from _by_layer(rows)
        for name, found in having.items():
            best = found["best"]["knn"]
            pair = f"speech {_layer(best['speech_layer'])}, text {_layer(best['text_layer'])}"
            yield f"{name}: largest mutual k-NN over all pairs of layers {_plain(best['value'])} ({pair})."
        yield ""


def _geometry(models: Mapping[str, Found]) -> Lines:
    yield from _without(models)
    for items, having in items_of(models):
        here = next(iter(having.values()))
        chance = f"random subspaces {_plain(here['chance'])}"
        yield f"{here['n']} {items}; overlap of {here['directions']} directions each, {chance}."
        yield ""
        labels = {"dimension_speech": "dimension, speech", "dimension_text": "dimension, text", "overlap": "overlap"}
        yield from _by_layer(
            {f"{name}, {label}": found[key] for name, found in having.items() for key, label in labels.items()}
        )


def _lens(models: Mapping[str, Found]) -> Lines:
    for series, title in _SERIES.items():
        having = {name: found[series] for name, found in models.items() if series in found}
        if not having:
            continue
        here = next(iter(having.values()))
        frequent = ", ".join(f"top {k} {_plain(share)}" for k, share in here["frequent"].items())
        yield f"{title[0].upper()}{title[1:]}: {here['n']} words; the most frequent tokens alone: {frequent}."
        yield ""
        yield from _by_layer(
            {f"{name}, top {k}": row for name, found in having.items() for k, row in found["top"].items()}
        )


def _probes(models: Mapping[str, Found]) -> Lines:
    for kind in ("phone", "word", "sentence"):
        having = {name: found[kind] for name, found in models.items() if kind in found}
        for name, found in models.items():
            if kind in found.get("left_out", {}):
                yield from (f"{name}: no {kind} probe, {found['left_out'][kind]}.", "")
        if not having:
            continue
        here = next(iter(having.values()))
        asked = f"{here['classes']} classes, {here['n']} items of held-out {here['held_out']}"
        yield f"{kind[0].upper()}{kind[1:]}: {asked}; the commonest class {_plain(here['chance'])}."
        yield ""
        yield from _by_layer(
            {
                f"{name}, {label}": found[way]
                for name, found in having.items()
                for way, label in _PROBES.items()
                if way in found
            }
        )


def _retrieval(models: Mapping[str, Found]) -> Lines:
    here = next(iter(models.values()))
    chance = ", ".join(f"recall@{k} {_plain(share)}" for k, share in here["chance"]["recall"].items())
    rank = f"{here['chance']['median_rank']:g}"
    speakers = f"{here['speakers']} speaker{'s' * (here['speakers'] != 1)}"
    yield f"{here['n']} pairs of {speakers}; chance: {chance}, median rank {rank}."
    yield ""
    for way in ("speech->text", "text->speech"):
        rows: dict[str, Sequence[Mapping[str, float | None]]] = {}
        for name, found in models.items():
            for states in ("raw", "centred"):
                cells = found[states][way]
                rows |= {f"{name}, {states}, recall@{k}": row for k, row in cells["recall"].items()}
                rows[f"{name}, {states}, median rank"] = cells["median_rank"]
        yield from (way.replace("->", " to ") + ":", "")
        yield from _by_layer(rows)


def _selector(models: Mapping[str, Found]) -> Lines:
    for name, found in models.items():
        most = _plain(found["uniform_entropy"])
        yield f"{name}, {found['n']} units; the entropy of weights all alike is {most} nats."
        yield ""
        yield from _head(["", "units", *(f"layer {layer}" for layer in found["layers"]), "entropy"])
        for place, here in {"all": found, **found["places"]}.items():
            yield _row([place, str(here["n"]), *map(_cell, here["weights"]), _cell(here["entropy"])])
        yield ""


def _boundaries(models: Mapping[str, Found]) -> Lines:
    first = next(iter(models.values()))
    yield f"{first['boundaries']} boundaries in {first['n']} utterances; chosen on {first['chosen_on']} others."
    yield ""
    yield from _head(["within", "", "precision", "recall", "F1", "R value", "found"])
    for tolerance in (key for key in first if key.isdigit()):
        rows = {f"{name}: {method}": found[tolerance][method] for name, found in models.items() for method in METHODS}
        rows |= {method: first[tolerance][method] for method in BASELINES}
        for label, here in rows.items():
            scores = [_cell(here[score]) for score in ("precision", "recall", "f1")]
            yield _row([f"{tolerance} ms", label, *scores, _plain(here["r_value"]), str(here["found"])])
    yield ""


_WRITERS: dict[str, Callable[[Mapping[str, Found]], Lines]] = {
    "alignment": _alignment,
    "geometry": _geometry,
    "lens": _lens,
    "probes": _probes,
    "retrieval": _retrieval,
    "selector": _selector,
    "boundaries": _boundaries,
}


def _by_layer(rows: Mapping[str, Sequence[Mapping[str, float | None]]]) -> Lines:
    """A column for each layer of the deepest model; of others the last ones are empty."""
    most = max(map(len, rows.values()))
    yield from _head(["", *map(_layer, range(most))])
    for label, cells in rows.items():
        yield _row([label, *map(_cell, cells), *[""] * (most - len(cells))])
    yield ""


def _head(names: Sequence[str]) -> Lines:
    yield _row(names)
    yield "|---" * len(names) + "|"


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(map(in_cell, texts)) + " |"


def _layer(number: int) -> str:
    return "in" if number == 0 else str(number)


def _cell(cell: Mapping[str, float | None]) -> str:
    return f"{_plain(cell['value'])} [{_plain(cell['low'])}, {_plain(cell['high'])}]"


def _plain(value: float | None) -> str:
    """Three digits behind the point below 1, else as many as tell something."""
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.3g}"
