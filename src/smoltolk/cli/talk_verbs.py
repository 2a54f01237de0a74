"""Verbs that talk with a model: say, hear, continue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smoltolk.cli.options import Seed

if TYPE_CHECKING:
    from smoltolk.inference.answers import Answer

app = typer.Typer()

Model = Annotated[Path, typer.Argument(help="Directory of a model, of `train`.")]
UnitsDirectory = Annotated[Path, typer.Option(help="Directory of the units that the model was trained with.")]
VocoderDirectory = Annotated[
    Path | None, typer.Option(help="Directory of a vocoder for the units; frames of a codec are spoken by the codec.")
]
Sound = Annotated[Path, typer.Option(help="Sound file to write: wav, flac, ogg or mp3.")]


@app.command()
def say(
    model: Model,
    text: Annotated[str, typer.Argument(help="What to say.")],
    out: Sound,
    vocoder: VocoderDirectory = None,
    units: Annotated[Path | None, typer.Option(help="Make sure that the vocoder is for these units.")] = None,
    temperature: Annotated[float, typer.Option(help="Of sampling; 0: always the most likely unit.")] = 0.0,
    seed: Seed = 0,
) -> None:
    """Let a model speak a text; synthesis must have been among its tasks.

    Examples:

    smoltolk say model "The dog eats bread." --vocoder vocoder --out dog.wav

    smoltolk say model "The dog eats bread." --units codec --out dog.wav
    """
    from smoltolk.cli.printing import check_given, check_speaks, sampling_of, tell_if_cut, write_sound

    check_given(model, text=text, out=out, units=units, vocoder=vocoder)
    check_speaks(units, vocoder, out)
    from smoltolk.inference.speech_text import SpeechText

    talker = SpeechText.load(model, units, vocoder)
    spoken = talker.say(text, sampling=sampling_of(temperature), seed=seed)
    write_sound(out, spoken.waveform, spoken.rate)
    tell_if_cut(spoken.ended, "synthesis")


@app.command()
def hear(
    model: Model,
    audio: Annotated[list[Path], typer.Argument(help="Recordings: wav, flac, mp3, m4a, ...")],
    units: UnitsDirectory,
) -> None:
    """Let a model write down what is said; recognition must have been among its tasks.

    Example: smoltolk hear model dog.wav --units units
    """
    from smoltolk.cli.printing import check_given, tell_if_cut, tell_if_strange, tell_rejected
    from smoltolk.common.rejection import Rejected, do_each
    from smoltolk.speech.audio import load

    check_given(model, audio=audio, units=units)
    from smoltolk.inference.speech_text import SpeechText

    talker = SpeechText.load(model, units)
    rejected: list[Rejected] = []

    def write_down(path: Path) -> Answer:
        waveform = load(path, talker.hearing_rate)
        answer = talker.recognize(waveform)
        tell_if_strange(talker.strangeness(waveform), str(path))
        return answer

    heard = 0
    for path, answer in do_each(audio, write_down, str, rejected):
        heard += 1
        print(answer.text if len(audio) == 1 else f"{path}: {answer.text}")
        tell_if_cut(answer.ended, "recognition")
    tell_rejected(rejected)
    if not heard:
        raise typer.Exit(1)


@app.command("continue")
def continue_(
    model: Model,
    audio: Annotated[Path | None, typer.Argument(help="A recording to continue; or give --text.")] = None,
    text: Annotated[str | None, typer.Option(help="A text to continue.")] = None,
    to: Annotated[str, typer.Option(help="speech or text.")] = "speech",
    units: Annotated[Path | None, typer.Option(help="Directory of the units; needed to hear.")] = None,
    vocoder: VocoderDirectory = None,
    out: Annotated[Path | None, typer.Option(help="Sound file to write; needed to speak.")] = None,
    most: Annotated[int | None, typer.Option(help="Most units or tokens; default: 150 or 40.")] = None,
    temperature: Annotated[float, typer.Option(help="Of sampling; 0: always the most likely id.")] = 0.8,
    seed: Seed = 0,
) -> None:
    """Let a model go on where a recording or a text ends.

    Examples:

    smoltolk continue model dog.wav --units units --vocoder vocoder --out more.wav

    smoltolk continue model --text "In Oslo, Mia has a dog." --vocoder vocoder --out more.wav

    smoltolk continue model dog.wav --to text --units units

    smoltolk continue model dog.wav --units codec --out more.wav
    """
    from smoltolk.cli.printing import (
        check_continuation,
        check_given,
        check_speaks,
        sampling_of,
        tell_if_strange,
        write_sound,
    )
    from smoltolk.speech.audio import load

    most = (150 if to == "speech" else 40) if most is None else most
    check_continuation(audio=audio, text=text, to=to, units=units, most=most)
    check_given(model, audio=[] if audio is None else [audio], text=text, out=out, units=units, vocoder=vocoder)
    if to == "speech":
        check_speaks(units, vocoder, out)
    from smoltolk.inference.speech_text import SpeechText

    talker = SpeechText.load(model, units, vocoder)
    prompt = load(audio, talker.hearing_rate) if audio is not None else text or ""
    if not isinstance(prompt, str):
        tell_if_strange(talker.strangeness(prompt), str(audio))
    sampling = sampling_of(temperature)
    if out is not None and to == "speech":
        spoken = talker.generate(prompt, to="speech", max_new=most, sampling=sampling, seed=seed).speech
        write_sound(out, spoken.waveform, spoken.rate)
    else:
        print(talker.generate(prompt, to="text", max_new=most, sampling=sampling, seed=seed).text)
