"""Verbs of shards: prepare, import, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli.options import Continuing, Workers

app = typer.Typer()
shards_app = typer.Typer(no_args_is_help=True, help="Shards: utterances as units and words, in Parquet.")
app.add_typer(shards_app, name="shards")

Language = Annotated[str, typer.Option(help="Of the speech.")]


@app.command(cls=Continuing)
def prepare(
    corpus: Annotated[Path, typer.Argument(help="Corpus of `speak` or `corpus`.")],
    units: Annotated[Path, typer.Argument(help="Directory of the units.")],
    out: Annotated[Path, typer.Argument(help="Directory of the shards; an interrupted one goes on.")],
    workers: Workers = None,
    shard: Annotated[str | None, typer.Option(help="i/n: the share of the i-th of n machines, e.g. 1/4.")] = None,
    engine: Annotated[str, typer.Option(help="processes, or ray: the cluster of RAY_ADDRESS, else a local one.")] = (
        "processes"
    ),
    device: Annotated[str | None, typer.Option(help="Where the encoder computes, e.g. cuda.")] = None,
    word_confidence: Annotated[
        float, typer.Option(help="Words found with less are joined to their neighbours; 0: none.")
    ] = 0.1,
) -> None:
    """Turn a corpus into shards: its units and words, in Parquet.

    Machines that share the work write to one directory, or to one each; then
    put the files together and run it once more without --shard.

    Rows change between text and speech where a word ends. Of a word that the
    aligner hardly found nobody knows where that is: it and its neighbours count
    as one word, and `inspect` shows them so.

    Example: smoltolk prepare speech units shards
    """
    from smoltolk.cli.printing import show_counts
    from smoltolk.data.shards.engine import engine_named
    from smoltolk.data.shards.prepare import Share
    from smoltolk.data.shards.prepare import prepare as prepare_corpus

    share = None if shard is None else Share.parse(shard)
    engine_ = engine_named(engine)
    counts = prepare_corpus(
        corpus, units, out, workers=workers, share=share, engine=engine_, device=device, word_confidence=word_confidence
    )
    show_counts(counts, out)


@shards_app.command("import", cls=Continuing)
def shards_import(
    data: Annotated[Path, typer.Argument(help="Units of the SmolTolk release (a directory), or slamkit's .jsonl.")],
    out: Annotated[Path, typer.Argument(help="Directory of the shards; an interrupted one goes on.")],
    split: Annotated[str, typer.Option(help="Release: which split.")] = "train",
    text: Annotated[Path | None, typer.Option(help="Release: directory of the text tokens.")] = None,
    text_model: Annotated[str | None, typer.Option(help="Release: whose tokenizer made the text tokens.")] = None,
    features: Annotated[Path | None, typer.Option(help="slamkit: features.jsonl, for durations.")] = None,
    meta: Annotated[Path | None, typer.Option(help="slamkit: directory of NAME.json with text, aligned_text.")] = None,
    num_units: Annotated[int, typer.Option(help="slamkit: size of the codebook.")] = 500,
    frame_rate: Annotated[float, typer.Option(help="slamkit: frames per second.")] = 25.0,
    units: Annotated[Path | None, typer.Option(help="Units here that are the same ones.")] = None,
    source: Annotated[str | None, typer.Option(help="Name of the corpus; default: of the directory.")] = None,
    language: Language = "en",
) -> None:
    """Make shards of what others have prepared.

    Example: smoltolk shards import data/ls960/mhubert25hzl11 shards
    """
    import sys

    from smoltolk.cli.printing import show_counts
    from smoltolk.data.shards.importers import import_release, import_slamkit
    from smoltolk.speech.units.kinds import load_unit_tokenizer
    from smoltolk.training.backbone import load_tokenizer

    fingerprint = None if units is None else load_unit_tokenizer(units).fingerprint
    if data.is_dir():
        tokenizer = None if text_model is None else load_tokenizer(text_model)
        counts = import_release(
            data, out, split=split, text_dir=text, tokenizer=tokenizer,
            fingerprint=fingerprint, source=source, language=language,
        )  # fmt: skip
    else:
        counts = import_slamkit(
            data, out, num_units=num_units, frame_rate=frame_rate, features=features, meta_dir=meta,
            fingerprint=fingerprint, source=source, language=language,
        )  # fmt: skip
        if features is None and data.name.startswith("tokens"):
            print("note: without --features the durations are not known: every unit counts one frame", file=sys.stderr)
    show_counts(counts, out)


@shards_app.command("validate")
def shards_validate(
    shards: Annotated[Path, typer.Argument(help="Directory of shards, or one of them.")],
    units: Annotated[Path | None, typer.Option(help="Directory of the units that all must be of.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="What they were made of: then every part must be whole.")] = None,
) -> None:
    """Read every shard and name every broken rule; exit 1 if there is one.

    Example: smoltolk shards validate shards --units units
    """
    from rich.console import Console

    from smoltolk.cli.shard_tables import validation_table
    from smoltolk.data.shards.validation import validate_shards
    from smoltolk.speech.units.kinds import load_unit_tokenizer

    fingerprint = None if units is None else load_unit_tokenizer(units).fingerprint
    reports = validate_shards(shards, fingerprint=fingerprint, corpus=corpus)
    Console().print(validation_table(reports))
    problems = [(report.name, problem) for report in reports for problem in report.problems]
    for name, problem in problems:
        print(f"{name}: {problem}")
    if problems:
        raise typer.Exit(1)
