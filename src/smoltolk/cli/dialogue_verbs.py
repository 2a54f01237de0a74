"""The verb that talks in turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from smoltolk.cli.options import Seed
from smoltolk.cli.talking import (
    Device,
    Int8,
    Json,
    Place,
    Speaker,
    UnitsDirectory,
    VocoderDirectory,
    is_bundle,
    open_talker,
    print_json,
    speaker_of,
)
from smoltolk.common.errors import InputError, NotFoundError, SmolTolkError

if TYPE_CHECKING:
    from smoltolk.cli.microphone import Devices
    from smoltolk.inference.answers import Answer
    from smoltolk.inference.speech_text import SpeechText

app = typer.Typer()

_HELP = """\
  a line           is a text; the path of a sound file is heard
  an empty line    records, where there is a microphone, until Enter
  /text, /speech   what it answers in
  /new             forget the turns so far
  /quit            or Ctrl-D"""


@app.command()
def talk(
    place: Place,
    to: Annotated[str, typer.Option(help="What it answers in: speech or text.")] = "speech",
    out: Annotated[Path, typer.Option(help="Directory of what it says, a file a turn.")] = Path("talk"),
    units: UnitsDirectory = None,
    vocoder: VocoderDirectory = None,
    most: Annotated[int | None, typer.Option(help="Most units or tokens of an answer.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of sampling; 0: the most likely id.")] = None,
    speaker: Speaker = None,
    as_json: Json = False,
    int8: Int8 = False,
    device: Device = None,
    seed: Seed = 0,
) -> None:
    """Talk with a model in turns; it remembers them as far as its positions reach.

    Type a text, or the path of a recording; an empty line records, where there is a
    microphone. Lines may come from a pipe.

    Example: smoltolk talk quickstart/bundle
    """
    from smoltolk.cli.printing import check_given, sampling_of

    if to not in ("speech", "text"):
        raise InputError("--to is speech or text", repr(to), "choose one of them")
    check_given(Path(place), units=units, vocoder=vocoder)
    is_bundle(place, units, vocoder)
    devices = _devices()
    talker = open_talker(place, units, vocoder, int8=int8, device=device)
    options: dict[str, Any] = {"max_new": most, "seed": seed, "speaker": speaker_of(speaker)}
    if temperature is not None:
        options["sampling"] = sampling_of(temperature)
    dialogue, number = talker.dialogue(cast(Literal["speech", "text"], to), **options), 0
    if sys.stdin.isatty():
        print(_HELP, file=sys.stderr)
    for line in _lines():
        command = line.strip()
        if command == "/quit":
            break
        if command in ("/text", "/speech"):
            dialogue.to = command[1:]  # type: ignore[assignment]
        elif command == "/new":
            dialogue = talker.dialogue(dialogue.to, **options)
        elif command.startswith("/") and " " not in command and not Path(command).exists():
            print(_HELP, file=sys.stderr)
        else:
            try:
                dropped = dialogue.dropped
                answer = dialogue.ask(_asked(line, talker, devices))
            except SmolTolkError as error:  # of this turn alone
                print(f"error: {error}", file=sys.stderr)
                continue
            number += 1
            if answer.dropped > dropped:
                print(f"  note: {answer.dropped - dropped} of the oldest turns were forgotten", file=sys.stderr)
            _tell(answer, number, out, as_json=as_json)
            if devices is not None and answer.speech is not None:
                devices.play(answer.speech.waveform, answer.speech.rate)


def _lines() -> Iterator[str]:
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line.rstrip("\n")


def _devices() -> Devices | None:
    """A microphone or a loudspeaker; None where there is none, or nobody sits there."""
    if not sys.stdin.isatty():
        return None
    from smoltolk.cli.microphone import Devices

    try:
        return Devices()
    except SmolTolkError:  # texts and files do without
        return None


def _asked(line: str, talker: SpeechText, devices: Devices | None) -> Any:
    """A text, a recording of a file, or one of the microphone.

    Raises:
        NotFoundError: the name of a recording that is not there.
        InputError: an empty line, and no microphone.
    """
    from smoltolk.speech.decoding.kinds import SUFFIXES

    given = line.strip()
    if given and Path(given).is_file():
        return Path(given)
    if " " not in given and Path(given).suffix.lower() in SUFFIXES:
        raise NotFoundError("a recording must exist", f"no file {given}", "check the path")
    if given:
        return line
    if devices is None or not devices.records:
        raise InputError(
            "a turn is a text, the path of a recording, or a recording of the microphone",
            "an empty line, and no microphone that can be used",
            "type something; for a microphone: pip install 'smoltolk[microphone]', and PortAudio",
        )
    print("  recording; Enter ends it", file=sys.stderr)
    return devices.record(talker.hearing_rate, sys.stdin.readline), talker.hearing_rate


def _tell(answer: Answer, number: int, out: Path, *, as_json: bool) -> None:
    about: dict[str, Any] = {"turn": number, "ended": answer.ended, "dropped": answer.dropped}
    if answer.speech is None:
        print_json({**about, "text": answer.text}) if as_json else print(answer.text, flush=True)
        return
    path = out / f"{number:04d}.wav"
    answer.speech.save(path)
    seconds = answer.speech.seconds
    if as_json:
        print_json({**about, "out": str(path), "seconds": round(seconds, 3), "units": answer.speech.units.tolist()})
    else:
        print(f"{seconds:.1f} s in {path}", flush=True)
