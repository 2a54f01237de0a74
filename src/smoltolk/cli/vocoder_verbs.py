"""Verbs of vocoders: fit, say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()
vocoder_app = typer.Typer(no_args_is_help=True, help="Vocoders: units to sound.")
app.add_typer(vocoder_app, name="vocoder")

Seed = Annotated[int, typer.Option(help="Of every random choice.")]


@vocoder_app.command("fit")
def vocoder_fit(
    corpus: Annotated[Path, typer.Argument(help="Corpus with recordings.")],
    units: Annotated[Path, typer.Argument(help="Directory of the units it is to speak.")],
    out: Annotated[Path, typer.Argument(help="The vocoder's directory.")],
    speaker: Annotated[str | None, typer.Option(help="Whose voice; default: who speaks longest.")] = None,
    steps: Annotated[int, typer.Option(help="Of training; 500 take about two minutes.")] = 500,
    utterances: Annotated[int, typer.Option(help="Most to learn from; they are held in memory.")] = 300,
    judge: Annotated[bool, typer.Option(help="Let the offline recogniser listen to held-out utterances.")] = True,
    seed: Seed = 0,
) -> None:
    """Train a vocoder on one speaker of a corpus.

    A recogniser tells how well its speech is understood.

    Example: smoltolk vocoder fit speech units vocoder
    """
    from smoltolk.cli.printing import kept, show
    from smoltolk.common.files import atomic_directory
    from smoltolk.common.made import made_before, record
    from smoltolk.common.progress import bar
    from smoltolk.data.corpora import check_complete
    from smoltolk.data.speech_models import fit_corpus_vocoder
    from smoltolk.speech.units import load_unit_tokenizer

    info, tokenizer = check_complete(corpus), load_unit_tokenizer(units)
    command: dict[str, Any] = {
        "verb": "vocoder fit",
        "corpus": info.digest,
        "units": tokenizer.fingerprint,
        "speaker": speaker,
    }
    command |= {"steps": steps, "utterances": utterances, "judge": judge, "seed": seed}
    figures = made_before(out, command)
    if figures is None:
        with bar("vocoder", steps, "steps") as progress:
            fitted = fit_corpus_vocoder(
                corpus, tokenizer, speaker=speaker, steps=steps, most=utterances, judge=judge, seed=seed,
                progress=progress,
            )  # fmt: skip
        figures = {"speaker": fitted.speaker, "utterances": fitted.num_utterances}
        figures |= {f"wer_{name}": error.wer for name, error in fitted.errors.items()}
        figures |= {"judged": max((error.num_utterances for error in fitted.errors.values()), default=0)}
        with atomic_directory(out) as directory:
            fitted.vocoder.save(directory)
            record(directory, command, figures)
    else:
        kept(out)
    rows = {"voice": figures["speaker"], "learned from": f"{figures['utterances']} utterances"}
    titles = {"wer_natural": "as recorded", "wer_copy": "its spectrogram inverted", "wer_units": "spoken from units"}
    rows |= {f"word errors, {title}": f"{figures[name]:.1%}" for name, title in titles.items() if name in figures}
    show(f"vocoder in {out}", rows)


@vocoder_app.command("say")
def vocoder_say(
    units: Annotated[Path, typer.Argument(help="A .jsonl file as `units encode` writes it.")],
    vocoder: Annotated[Path, typer.Argument(help="Directory of the vocoder.")],
    out: Annotated[Path, typer.Argument(help="Directory for ID.wav of each line.")],
    keep_durations: Annotated[bool, typer.Option(help="Use the durations of the file, not the vocoder's.")] = False,
    seed: Seed = 0,
) -> None:
    """Turn units into sound.

    Example: smoltolk vocoder say units.jsonl vocoder spoken
    """
    from smoltolk.cli.printing import read_units
    from smoltolk.common.progress import bar
    from smoltolk.speech.audio import save
    from smoltolk.speech.vocoder import Vocoder

    speaker = Vocoder.load(vocoder)
    rows = read_units(units, speaker.unit_fingerprint)
    with bar("speak", len(rows), "recordings") as progress:
        for name, sequence, durations in rows:
            waveform = speaker.synthesize(sequence, durations if keep_durations else None, seed)
            save(out / f"{name}.wav", waveform, speaker.sample_rate)
            progress.advance()
    print(f"{len(rows)} recordings in {out}")
