"""The verb that looks inside models: analyse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli.options import Continuing, check_seed

app = typer.Typer()


@app.command(cls=Continuing)
def analyse(
    models: Annotated[list[str], typer.Argument(help="One model, or up to four side by side.", metavar="MODEL...")],
    shards: Annotated[Path, typer.Option(help="Shards that no model was trained on, with words.")],
    out: Annotated[Path, typer.Option(help="Directory of figures, tables and drawings.")],
    corpus: Annotated[Path | None, typer.Option(help="Recordings of the shards, for the phone probe.")] = None,
    parts: Annotated[str | None, typer.Option(help="Some parts, e.g. lens,retrieval; default: all.")] = None,
    items: Annotated[int, typer.Option(min=40, help="Most words, sentences and units looked at.")] = 1000,
    batch_tokens: Annotated[int, typer.Option(min=64, help="Ids of a batch.")] = 4096,
    seed: Annotated[int, typer.Option(callback=check_seed, help="Of every choice and interval.")] = 0,
) -> None:
    """Look inside models, layer by layer.

    alignment: CKA and mutual nearest neighbours of speech and text. geometry:
    dimension and shared directions. lens: the text head on each layer. probes:
    phones, words, sentences. retrieval: speech by text and back. selector: its
    weights; boundaries: the word boundaries they mark. What is there is kept.

    Example: smoltolk analyse late early --shards test --out inside
    """
    from smoltolk.analysis.request import PARTS, check_request

    chosen = PARTS if parts is None else tuple(part.strip() for part in parts.split(","))
    check_request(models, shards, out, chosen, corpus)  # before anything large is loaded
    from smoltolk.analysis.run import analyse as run
    from smoltolk.analysis.tables import counts_of
    from smoltolk.cli.printing import show

    result = run(
        models, shards, out, parts=chosen, num_items=items, seed=seed, corpus=corpus, batch_tokens=batch_tokens
    )  # fmt: skip
    for name, model in result["models"].items():
        for part, found in model.items():
            if isinstance(found, dict) and isinstance(found.get("left_out"), str):
                print(f"  {name}: no {part}, {found['left_out']}")
    counts = counts_of(result)
    looked_at = {"looked at": f"{counts}, of {items:,} each that were asked for"} if counts else {}
    rows = {"tables": out / "analysis.md", "figures": out / "analysis.json", "drawings": out / "*.svg, *.png"}
    show(str(out), looked_at | rows)
