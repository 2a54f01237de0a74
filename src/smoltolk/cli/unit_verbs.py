"""Verbs of units: fit, encode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
units_app = typer.Typer(no_args_is_help=True, help="Units: what a model reads and writes instead of sound.")
app.add_typer(units_app, name="units")

Seed = Annotated[int, typer.Option(help="Of every random choice.")]


@units_app.command("fit")
def units_fit(
    corpus: Annotated[Path, typer.Argument(help="Corpus with phones: of `speak`, or of `corpus`.")],
    out: Annotated[Path, typer.Argument(help="The units' directory.")],
    steps: Annotated[int, typer.Option(help="Of training; 600 take about two minutes.")] = 600,
    utterances: Annotated[int, typer.Option(help="Most to learn from; they are held in memory.")] = 1000,
    seed: Seed = 0,
) -> None:
    """Train phone units on a corpus and print their quality on utterances held out.

    They are supervised: the phones of the synthesizer or the aligner are labels.

    Example: smoltolk units fit speech units
    """
    from smoltolk.cli.printing import kept, show
    from smoltolk.common.files import atomic_directory
    from smoltolk.common.made import made_before, record
    from smoltolk.common.progress import bar
    from smoltolk.data.corpora import check_complete
    from smoltolk.data.speech_models import fit_units

    info = check_complete(corpus)
    command = {"verb": "units fit", "corpus": info.digest, "steps": steps, "utterances": utterances, "seed": seed}
    figures = made_before(out, command)
    if figures is None:
        with bar("units", steps, "steps") as progress:
            fitted = fit_units(corpus, steps=steps, most=utterances, seed=seed, progress=progress)
        figures = {"num_units": fitted.tokenizer.num_units, "fingerprint": fitted.tokenizer.fingerprint}
        figures |= {"utterances": fitted.num_utterances, **fitted.quality.as_dict()}
        figures = {name: value for name, value in figures.items() if value == value}  # NaN: not measured
        with atomic_directory(out) as directory:
            fitted.tokenizer.save(directory)
            record(directory, command, figures)
    else:
        kept(out)
    show(
        f"units in {out}",
        {
            "units": f"{figures['num_units']}, fingerprint {figures['fingerprint'][:16]}",
            "learned from": f"{figures['utterances']} utterances",
            "purity": f"{figures['purity']:.3f}",
            "PNMI": f"{figures['pnmi']:.3f}",
            "units a second": f"{figures['units_per_second']:.1f}",
            "bits a second": f"{figures['bits_per_second']:.0f}",
        },
    )


@units_app.command("encode")
def units_encode(
    audio: Annotated[list[Path], typer.Argument(help="Recordings: wav, flac, ogg, mp3.")],
    units: Annotated[Path, typer.Option(help="Directory of the units.")],
    out: Annotated[Path | None, typer.Option(help="A .jsonl file; default: the terminal.")] = None,
) -> None:
    """Print the units of recordings, a JSON line each.

    A line has id, units, durations (in frames) and the units' fingerprint.

    Example: smoltolk units encode a.wav --units units --out units.jsonl
    """
    import json
    from collections import Counter

    from smoltolk.common.files import write_jsonl
    from smoltolk.speech.audio import load
    from smoltolk.speech.units import load_unit_tokenizer

    tokenizer = load_unit_tokenizer(units)

    stems = Counter(path.stem for path in audio)

    def row(path: Path) -> dict[str, object]:
        found = tokenizer.encode([load(path, tokenizer.sample_rate)])[0]
        name = path.stem if stems[path.stem] == 1 else "-".join(path.with_suffix("").parts).strip("/-.")
        numbers = {"units": found.units.tolist(), "durations": found.durations.tolist()}
        return {"id": name, **numbers, "fingerprint": tokenizer.fingerprint}

    rows = (row(path) for path in audio)
    if out is not None:
        print(f"{write_jsonl(out, rows)} recordings in {out}")
        return
    for one in rows:
        print(json.dumps(one))
