"""The verb that shows what a model will see: inspect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli.options import (
    Index,
    Mixture,
    PredictSwitch,
    PresetName,
    RowLength,
    Spans,
    Stage1Mixture,
    Text,
    changes_of,
    check_seed,
)

app = typer.Typer()


@app.command()
def inspect(
    shards: Annotated[Path, typer.Argument(help="Directory of shards.")],
    row: Annotated[int | None, typer.Option(help="Number of a row; without it the mixture is shown.")] = None,
    stage: Annotated[str, typer.Option(help="Whose rows: stage1 or stage2.")] = "stage2",
    text_model: Annotated[str | None, typer.Option(help="Whose tokens; default: a token for each word.")] = None,
    text: Text = None,
    preset: PresetName = None,
    row_length: RowLength = None,
    mixture: Mixture = None,
    stage1_mixture: Stage1Mixture = None,
    spans: Spans = None,
    predict_switch: PredictSwitch = False,
    index: Index = None,
    seed: Annotated[int, typer.Option(callback=check_seed, help="Of the training.")] = 0,
    full: Annotated[bool, typer.Option("--full", help="All ids of every run.")] = False,
    html: Annotated[Path | None, typer.Option(help="Draw the row on a time line into this file.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="For --html: the recordings.")] = None,
    vocoder: Annotated[Path | None, typer.Option(help="For --html: a vocoder, or the codec, of the units.")] = None,
) -> None:
    """Print a row of training, or the mixture that rows are drawn from.

    Row 7 is row 7 of `train` with the same options: its documents, runs, words,
    times, ids, and what is predicted. With --html they are in the page. The
    mixture: shares, utterances, token counts.

    Example: smoltolk inspect shards --row 7 --html row.html --corpus speech
    """
    from rich.console import Console

    from smoltolk.cli.shard_tables import document_table, mixture_tree, row_head
    from smoltolk.common.errors import InputError
    from smoltolk.data.rows.inspection import view_row
    from smoltolk.data.rows.mixture_view import view_mixture
    from smoltolk.training.row_view import training_rows

    if html is not None and (row is None or (corpus is not None and vocoder is not None)):
        raise InputError(
            "--html draws one --row, with the sound of --corpus or of --vocoder", "other options", "choose"
        )
    rows = training_rows(
        shards, stage=stage, text_model=text_model, text=text, preset=preset, seed=seed, index=index,
        changes=changes_of(
            row_length=row_length, mixture=mixture, stage1_mixture=stage1_mixture, spans=spans,
            predict_switch=predict_switch,
        ),
    )  # fmt: skip
    if rows.shards.warning is not None:
        print(f"  note: {rows.shards.warning}", file=sys.stderr)
    console, units = Console(), rows.units
    if row is None:
        console.print(mixture_tree(view_mixture(rows.source, units), rows.recipe.row_length))
        return
    view = view_row(rows.source, row, rows.tokenizer, units)
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
        check_corpus(rows.shards.directory, corpus)
        sound, note = sound_of_corpus(corpus, view), "Sound: the recordings. A click on a box plays it."
    elif vocoder is not None:
        note = "Sound: made of the units alone."
        if units.metadata.num_codebooks == 1:
            sound = sound_of_units(load_vocoder(vocoder), units)
        else:
            sound = sound_of_codec(load_unit_tokenizer(vocoder), units)
    write_timeline(view, html, title=f"Row {row} of {shards.name}: {view.task}", sound=sound, note=note)
    print(f"{html}: {html.stat().st_size / 1e6:.1f} MB")
