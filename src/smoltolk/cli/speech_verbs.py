"""Verbs between sound and units: speak, units, vocoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()
units_app = typer.Typer(no_args_is_help=True, help="Units: what a model reads and writes instead of sound.")
vocoder_app = typer.Typer(no_args_is_help=True, help="Vocoders: units to sound.")
app.add_typer(units_app, name="units")
app.add_typer(vocoder_app, name="vocoder")

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
