"""The verb that shows what a model will see: inspect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def inspect(
    shards: Annotated[Path, typer.Argument(help="Directory of shards.")],
    row: Annotated[int | None, typer.Option(help="Number of a row; without it the mixture is shown.")] = None,
    task: Annotated[str, typer.Option(help="A task, or several with weights: speech=1,interleaved=2.")] = "interleaved",
    text_model: Annotated[str | None, typer.Option(help="Whose tokens; default: a token for each word.")] = None,
    length: Annotated[int, typer.Option(help="Ids of a row.")] = 2048,
    spans: Annotated[str | None, typer.Option(help="Words in runs of text and of speech, e.g. 2-6,2-6.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Documents of a row see each other.")] = False,
    seed: Annotated[int, typer.Option(help="Of the rows.")] = 0,
    index: Annotated[Path | None, typer.Option(help="As for `train`: where large shards have their index.")] = None,
    full: Annotated[bool, typer.Option("--full", help="All ids of every run.")] = False,
    html: Annotated[Path | None, typer.Option(help="Draw the row on a time line into this file.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="For --html: the recordings.")] = None,
    vocoder: Annotated[Path | None, typer.Option(help="For --html: a vocoder, or the codec, of the units.")] = None,
) -> None:
    """Print a row of training, or the mixture that rows are drawn from.

    A row: its documents, runs, words, times, ids, and what is predicted. With
    --html they are in the page. The mixture: shares, utterances, token counts.

    Example: smoltolk inspect shards --row 7 --html row.html --corpus speech
    """
    from rich.console import Console

    from smoltolk.cli.shard_tables import document_table, mixture_tree, row_head
    from smoltolk.common.errors import InputError
    from smoltolk.data.rows.aligned import AlignedCorpus
    from smoltolk.data.rows.index import index_shards, stays_on_disk
    from smoltolk.data.rows.inspection import plain_space, view_row, words_tokenizer
    from smoltolk.data.rows.interleave import SpanLengths
    from smoltolk.data.rows.mixture import Stream, Task
    from smoltolk.data.rows.mixture_view import view_mixture
    from smoltolk.data.rows.row_source import RowSettings, RowSource
    from smoltolk.data.shards.parquet import read_shards
    from smoltolk.data.shards.shard_set import look_over
    from smoltolk.data.shards.stored_units import StoredUnits
    from smoltolk.training.backbone import load_tokenizer
    from smoltolk.training.changes import parse_mixture, parse_spans

    if html is not None and (row is None or (corpus is not None and vocoder is not None)):
        raise InputError(
            "--html draws one --row, with the sound of --corpus or of --vocoder", "other options", "choose"
        )
    held = look_over(shards)
    if held.warning is not None:
        print(f"  note: {held.warning}", file=sys.stderr)
    on_disk = stays_on_disk(held, index)
    units = StoredUnits(held) if on_disk else read_shards(shards)
    tokenizer = words_tokenizer(units) if text_model is None else load_tokenizer(text_model)
    aligned = (
        index_shards(held, tokenizer, index) if on_disk else AlignedCorpus(units, tokenizer, held.metadata.frame_rate)
    )
    weights = parse_mixture(task if "=" in task else f"{task}=1")
    settings = RowSettings(
        length=length,
        spans=SpanLengths() if spans is None else parse_spans(spans),
        separate=not stream,
        minimum=min(16, length),
    )
    streams = [Stream(Task(name), aligned, weight) for name, weight in weights.items() if weight > 0]
    space = plain_space(tokenizer, units.metadata.num_units, units.metadata.num_codebooks)
    source = RowSource(streams, space, seed=seed, settings=settings)
    console = Console()
    if row is None:
        console.print(mixture_tree(view_mixture(source, units), length))
        return
    view = view_row(source, row, tokenizer, units)
    console.print(row_head(view), highlight=False)
    if html is None:
        for number, document in enumerate(view.documents, 1):
            console.print("", document_table(document, number, full=full))
        return

    from smoltolk.data.rows.timeline import sound_of_codec, sound_of_corpus, sound_of_units, write_timeline
    from smoltolk.data.shards.parts import check_corpus
    from smoltolk.speech.units.kinds import load_unit_tokenizer
    from smoltolk.speech.vocoders.kinds import load_vocoder

    sound, note = None, "Give --corpus or --vocoder to hear it."
    if corpus is not None:
        check_corpus(held.directory, corpus)
        sound, note = sound_of_corpus(corpus, view), "Sound: the recordings. A click on a box plays it."
    elif vocoder is not None:
        note = "Sound: made of the units alone."
        if units.metadata.num_codebooks == 1:
            sound = sound_of_units(load_vocoder(vocoder), units)
        else:
            sound = sound_of_codec(load_unit_tokenizer(vocoder), units)
    write_timeline(view, html, title=f"Row {row} of {shards.name}: {view.task}", sound=sound, note=note)
    print(f"{html}: {html.stat().st_size / 1e6:.1f} MB")
