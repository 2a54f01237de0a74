"""Verbs of vocoders: fit, import, say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from smoltolk.cli.options import Continuing, HoldOut, Seed, read_ids

app = typer.Typer()
_INTERVALS = ("one alone has no interval", "in brackets 95% intervals")
vocoder_app = typer.Typer(no_args_is_help=True, help="Vocoders: units to sound.")
app.add_typer(vocoder_app, name="vocoder")


@vocoder_app.command("fit", cls=Continuing)
def vocoder_fit(
    corpus: Annotated[Path, typer.Argument(help="Corpus with recordings.")],
    units: Annotated[Path, typer.Argument(help="Directory of the units it is to speak.")],
    out: Annotated[Path, typer.Argument(help="The vocoder's directory; checkpoints lie in OUT.work meanwhile.")],
    kind: Annotated[str, typer.Option(help="griffinlim (a minute), vocos (four) or hifigan (a GPU).")] = "griffinlim",
    speaker: Annotated[
        str | None,
        typer.Option(
            "--speaker", "--speakers", help="Whose voice; all: hifigan learns every one; default: who speaks longest."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of training; default by kind: 500, 600 or 20000.")] = None,
    utterances: Annotated[int, typer.Option(help="Most to learn from; they are held in memory.")] = 300,
    size: Annotated[str, typer.Option(help="Of a hifigan: tiny, small or standard (as published).")] = "small",
    start: Annotated[Path | None, typer.Option(help="A hifigan to begin with, e.g. an imported one.")] = None,
    shards: Annotated[Path | None, typer.Option(help="Take units from them; default: encode anew.")] = None,
    device: Annotated[str, typer.Option(help="For training: cpu or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    judge: Annotated[
        str,
        typer.Option(help="Hears held-out utterances: pocketsphinx (English), or a hub id or directory."),
    ] = "pocketsphinx",
    no_judge: Annotated[bool, typer.Option("--no-judge", help="Nobody listens.")] = False,
    hold_out: HoldOut = None,
    seed: Seed = 0,
) -> None:
    """Train a vocoder on one speaker of a corpus, or on all.

    A judge that knows the words but not the sentences hears held-out recordings,
    inverted spectrograms, and units with true and predicted durations. Hold the
    same out of `units fit`. An interrupted run goes on; OUT/samples has samples.

    Several voices: smoltolk vocoder fit speech units vocoder --kind hifigan --speakers all

    Example: smoltolk vocoder fit speech units vocoder
    """
    import shutil

    from smoltolk.cli.printing import kept, show, tell_rejected
    from smoltolk.common.files import atomic_directory, write_jsonl
    from smoltolk.common.lock import hold
    from smoltolk.common.made import made_before, record
    from smoltolk.common.progress import bar
    from smoltolk.data.corpora.corpus import check_complete
    from smoltolk.data.fitting.vocoder_models import Choice, fit_corpus_vocoder
    from smoltolk.data.shards.shard_set import look_over
    from smoltolk.speech.units.kinds import load_unit_tokenizer
    from smoltolk.speech.vocoders.kinds import load_vocoder

    held_out = read_ids(hold_out)
    choice = Choice(kind, speaker, steps, utterances, size, start, device, precision, seed, held_out)
    info, tokenizer = check_complete(corpus), load_unit_tokenizer(units)
    command: dict[str, Any] = {
        "verb": "vocoder fit",
        "corpus": info.digest,
        "units": tokenizer.fingerprint,
        "kind": kind,
        "speaker": speaker,
        "steps": choice.num_steps,
        "utterances": utterances,
        "size": size,
        "shards": None if shards is None else look_over(shards).digest(),
        "start": None if start is None else load_vocoder(start).fingerprint,
        "precision": precision,
        "judge": None if no_judge else judge,
        "seed": seed,
        **({"held_out": list(held_out)} if held_out else {}),
    }
    with hold(out):
        figures, work = made_before(out, command), out.with_name(out.name + ".work")
        if figures is None:
            with bar("vocoder", choice.num_steps, "steps") as progress:
                fitted = fit_corpus_vocoder(
                    corpus, tokenizer, choice, shards=shards, judge=command["judge"], work=work, progress=progress,
                    warn=lambda text: print(f"  note: {text}", file=sys.stderr),
                )  # fmt: skip
            figures = {"voices": list(fitted.speakers), "utterances": fitted.num_utterances}
            figures |= {"minutes": fitted.seconds / 60}
            for name, error in fitted.errors.items():
                figures |= {f"wer_{name}": error.wer, f"wer_{name}_low": error.low, f"wer_{name}_high": error.high}
            figures |= {"judged": max((error.num_utterances for error in fitted.errors.values()), default=0)}
            figures |= {"judged_words": max((error.num_words for error in fitted.errors.values()), default=0)}
            figures |= {"rejected": len(fitted.rejected)}
            with atomic_directory(out) as directory:
                fitted.vocoder.save(directory)
                shutil.copytree(work / "samples", directory / "samples")
                write_jsonl(directory / "rejected.jsonl", (one.row() for one in fitted.rejected))
                record(directory, command, figures)
            tell_rejected(fitted.rejected, out / "rejected.jsonl")
        else:
            kept(out)
        shutil.rmtree(work, ignore_errors=True)
    voices = figures["voices"]
    rows = {"voices": ", ".join(voices[:3]) + (f" and {len(voices) - 3} more" if len(voices) > 3 else "")}
    rows |= {"learned from": f"{figures['utterances']} utterances, {figures['minutes']:.1f} minutes"}
    titles = {
        "wer_natural": "as recorded", "wer_copy": "its spectrogram inverted", "wer_units_true": "units, true durations",
        "wer_units": "units, predicted durations",
    }  # fmt: skip
    if figures["judged"]:
        words = f", {figures['judged_words']} words" if "judged_words" in figures else ""
        rows |= {"judged": f"{figures['judged']} utterances held out{words}; {_INTERVALS[figures['judged'] > 1]}"}
    rows |= {f"word errors, {title}": _interval(figures, name) for name, title in titles.items() if name in figures}
    if not no_judge and not figures["judged"]:
        rows |= {"word errors": "not measured: no utterance held out has a word that a judge could hear"}
    if figures.get("rejected"):
        rows |= {"rejected": f"{figures['rejected']}, reasons in {out / 'rejected.jsonl'}"}
    show(f"vocoder in {out}", rows)


def _interval(figures: dict[str, Any], name: str) -> str:
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    known = low is not None and figures["judged"] > 1
    return f"{figures[name]:.1%}" + (f" ({low:.1%} to {high:.1%})" if known else "")


@vocoder_app.command("import")
def vocoder_import(
    source: Annotated[str, typer.Argument(help="mhubert-25hz-lj, hubert-50hz-expresso, or a .pt file.")],
    units: Annotated[Path, typer.Argument(help="Directory of the units it was trained for.")],
    out: Annotated[Path, typer.Argument(help="The vocoder's directory.")],
    config: Annotated[Path | None, typer.Option(help="The .json of a .pt file.")] = None,
    speakers: Annotated[Path | None, typer.Option(help="A file with a speaker's name a line.")] = None,
    styles: Annotated[Path | None, typer.Option(help="A file with a style's name a line.")] = None,
) -> None:
    """Make a vocoder of a published unit HiFi-GAN (textless NLP).

    A known name is fetched once and checked; whether units are really those it was
    trained for cannot be: their number and rate are.

    Example: smoltolk vocoder import generator.pt units vocoder --config config.json
    """
    from smoltolk.cli.printing import show
    from smoltolk.common.errors import InputError
    from smoltolk.common.files import atomic_directory
    from smoltolk.common.lock import hold
    from smoltolk.common.made import made_before, record
    from smoltolk.speech.units.kinds import load_unit_tokenizer
    from smoltolk.speech.vocoders.hifigan_checkpoints import PUBLISHED, published_hifigan, read_hifigan

    tokenizer = load_unit_tokenizer(units)
    if source in PUBLISHED:
        vocoder = published_hifigan(source, tokenizer)
    elif config is None:
        raise InputError(
            "a published vocoder has a name, or a .pt file with its .json",
            f"{source!r} without --config",
            f"name one of {', '.join(PUBLISHED)}, or give --config",
        )
    else:
        vocoder = read_hifigan(source, config, tokenizer, speakers=speakers, styles=styles)
    command = {"verb": "vocoder import", "vocoder": vocoder.fingerprint}
    with hold(out):
        if made_before(out, command) is None:
            with atomic_directory(out) as directory:
                vocoder.save(directory)
                record(directory, command, {})
    rows = {"units": f"{vocoder.num_units} at {vocoder.frame_rate:g} Hz", "sample rate": f"{vocoder.sample_rate} Hz"}
    rows |= {"voices": ", ".join(vocoder.speakers[:5]) or "one"}
    show(f"vocoder in {out}", rows)


@vocoder_app.command("say")
def vocoder_say(
    units: Annotated[Path, typer.Argument(help="A .jsonl file as `units encode` writes it.")],
    vocoder: Annotated[Path, typer.Argument(help="Directory of the vocoder.")],
    out: Annotated[Path, typer.Argument(help="Directory for ID.wav of each line.")],
    speaker: Annotated[str | None, typer.Option(help="Which of its voices; default: its first.")] = None,
    keep_durations: Annotated[bool, typer.Option(help="Use the durations of the file, not the vocoder's.")] = False,
    seed: Seed = 0,
) -> None:
    """Turn units into sound.

    Example: smoltolk vocoder say units.jsonl vocoder spoken
    """
    from smoltolk.cli.printing import SaidUnits, read_units, tell_rejected
    from smoltolk.common.progress import bar
    from smoltolk.common.rejection import Rejected, do_each
    from smoltolk.speech.audio import save
    from smoltolk.speech.vocoders.kinds import load_vocoder

    speaks = load_vocoder(vocoder)
    voice = int(speaker) if speaker is not None and speaker.isdigit() and speaker not in speaks.speakers else speaker
    speaks.speaker_index(voice)  # a wrong one is told once
    rejected: list[Rejected] = []
    rows = read_units(units, speaks.unit_fingerprint, rejected)

    def say(row: SaidUnits) -> None:
        name, sequence, durations = row
        waveform = speaks.synthesize(sequence, durations if keep_durations else None, seed, speaker=voice)
        save(out / f"{name}.wav", waveform, speaks.sample_rate)
        progress.advance()

    with bar("speak", len(rows), "recordings") as progress:
        said = list(do_each(rows, say, lambda row: row[0], rejected))
    tell_rejected(rejected)
    print(f"{len(said)} recordings in {out}")
    if not said:
        raise typer.Exit(1)
