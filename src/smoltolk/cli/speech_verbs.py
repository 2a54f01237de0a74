"""The verb that speaks texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Workers = Annotated[int | None, typer.Option(help="Processes; default: one per processor; 0: no others.")]
Seed = Annotated[int, typer.Option(help="Of every random choice.")]


@app.command()
def speak(
    texts: Annotated[Path, typer.Argument(help=".txt (a text a line) or .jsonl (id, text, voice).")],
    out: Annotated[Path, typer.Argument(help="The corpus directory; an interrupted one goes on.")],
    voices: Annotated[int, typer.Option(help="Voices that take turns, 1 to 64.")] = 12,
    seed: Seed = 0,
    unseen: Annotated[bool, typer.Option(help="Voices of the other split, 1 to 32: for tests.")] = False,
    workers: Workers = None,
) -> None:
    """Speak texts into a corpus, with exact times of words and phones (English).

    Texts take the voices in turn; a line of .jsonl may name its own as a number,
    "voice": 3.

    Example: smoltolk speak world/spoken.jsonl speech --voices 16
    """
    from smoltolk.cli.printing import show_counts
    from smoltolk.common.errors import InputError
    from smoltolk.data.speak import speak as speak_texts
    from smoltolk.data.texts import read_texts
    from smoltolk.speech.synthesis import voices as draw_voices

    rows = read_texts(texts)
    if voices < 1:
        raise InputError("someone must speak", f"--voices {voices}", "give 1 or more")
    speakers = draw_voices(voices, seed, "unseen" if unseen else "seen")
    numbers = [row.get("voice", index) for index, row in enumerate(rows)]
    strange = [number for number in numbers if not isinstance(number, int)]
    if strange:
        raise InputError("the voice of a line is a number", f"{strange[0]!r}", "number the voices")
    spoken = [(row["id"], row["text"], speakers[number % voices]) for row, number in zip(rows, numbers, strict=True)]
    show_counts(speak_texts(spoken, out, source=texts.stem, workers=workers), out)
