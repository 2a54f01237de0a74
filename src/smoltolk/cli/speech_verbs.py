"""The verb that speaks texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoltolk.cli.options import Continuing, Seed, Workers

app = typer.Typer()

_VOICES = 12


@app.command(cls=Continuing)
def speak(
    texts: Annotated[Path, typer.Argument(help=".txt (a text a line) or .jsonl (id, text, voice).")],
    out: Annotated[Path, typer.Argument(help="The corpus directory; an interrupted one goes on.")],
    voices: Annotated[int | None, typer.Option(help="Voices that take turns; default: 12, if there are.")] = None,
    seed: Seed = 0,
    unseen: Annotated[bool, typer.Option(help="Voices of the other split: for tests.")] = False,
    synthesizer: Annotated[str, typer.Option(help="espeak, flite, or hub id or directory of a model.")] = "espeak",
    language: Annotated[str, typer.Option(help="Of the texts; espeak and flite speak English.")] = "en",
    aligner: Annotated[str, typer.Option(help="Finds the words a model says: pocketsphinx or a CTC model.")] = (
        "pocketsphinx"
    ),
    speakers: Annotated[Path | None, typer.Option(help=".npy of speaker embeddings, for SpeechT5.")] = None,
    spectrogram_vocoder: Annotated[str | None, typer.Option(help="Of a model that writes spectrograms.")] = None,
    workers: Workers = None,
) -> None:
    """Speak texts into a corpus, with the times of words.

    espeak (64 voices, 32 of them unseen) and flite tell the times of phones too.
    The words of a model's speech are found by the aligner; what does not say its
    text goes to OUT/rejected.jsonl. Texts take the voices in turn; a line of
    .jsonl may name its own as a number, "voice": 3.

    Example: smoltolk speak world/spoken.jsonl speech --voices 16
    """
    from smoltolk.cli.printing import show_counts
    from smoltolk.common.errors import InputError
    from smoltolk.data.corpora.speak import speak as speak_texts
    from smoltolk.data.texts.reading import read_texts
    from smoltolk.speech.synthesis.synthesizers import synthesizer_named

    rows = read_texts(texts)
    if voices is not None and voices < 1:
        raise InputError("someone must speak", f"--voices {voices}", "give 1 or more")
    named = synthesizer_named(
        synthesizer, aligner=aligner, language=language, speakers=speakers, vocoder=spectrogram_vocoder
    )
    split = "unseen" if unseen else "seen"
    count = min(_VOICES, named.num_voices(split)) if voices is None else voices
    drawn = named.voices(count, seed, split)
    if not drawn:
        raise InputError("someone must speak", f"{synthesizer} has no {split} voices", "use the other split")
    numbers = [row.get("voice", index) for index, row in enumerate(rows)]
    strange = [number for number in numbers if not isinstance(number, int)]
    if strange:
        raise InputError("the voice of a line is a number", f"{strange[0]!r}", "number the voices")
    spoken = [(row["id"], row["text"], drawn[number % count]) for row, number in zip(rows, numbers, strict=True)]
    counts = speak_texts(spoken, out, source=texts.stem, synthesizer=named, workers=workers, language=language)
    show_counts(counts, out)
