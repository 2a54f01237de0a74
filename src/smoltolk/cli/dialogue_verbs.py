"""The verb that talks in turns."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from smoltolk.cli.options import Seed
from smoltolk.cli.talking import (
    PIPE,
    Device,
    Int8,
    Json,
    Place,
    Source,
    Speaker,
    UnitsDirectory,
    VocoderDirectory,
    load_given,
    nothing_piped,
    print_json,
    recordings_of,
    row_of_speech,
    speaker_of,
    tell_if_empty,
)
from smoltolk.common.errors import InputError, NotFoundError, SmolTolkError
from smoltolk.common.texts import check_encodable

if TYPE_CHECKING:
    from smoltolk.cli.microphone import Devices
    from smoltolk.inference.answers import Answer, Speech
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
    microphone. Lines may come from a pipe, and so may a recording: it is one turn.

    Example: smoltolk talk quickstart/bundle
    """
    from smoltolk.cli.printing import check_answer, sampling_of

    check_answer(to, most)
    options: dict[str, Any] = {"max_new": most, "seed": seed, "speaker": speaker_of(speaker)}
    if temperature is not None:
        options["sampling"] = sampling_of(temperature)
    loader = Source(place, units, vocoder, int8=int8, device=device).check(speaks=to == "speech")
    devices = _devices()
    talker = loader.load()
    dialogue, number, refused = talker.dialogue(cast(Literal["speech", "text"], to), **options), 0, 0
    if sys.stdin.isatty():
        print(_HELP, file=sys.stderr)
    for line in _lines():
        command = line.strip() if isinstance(line, str) else ""
        if command == "/quit":
            break
        if command in ("/text", "/speech"):
            dialogue.to = command[1:]  # type: ignore[assignment]
        elif command == "/new":
            dialogue = talker.dialogue(dialogue.to, **options)
        elif command.startswith("/") and " " not in command and not _is_file(command):
            print(_HELP, file=sys.stderr)
        else:
            try:
                dropped = dialogue.dropped
                answer = dialogue.ask(_asked(line, talker, devices))
            except SmolTolkError as error:  # of this turn alone
                print(f"error: {error}", file=sys.stderr)
                refused += 1
                continue
            number += 1
            if answer.dropped > dropped:
                print(f"  note: {answer.dropped - dropped} of the oldest turns were forgotten", file=sys.stderr)
            _tell(answer, number, out, as_json=as_json)
            if devices is not None and answer.speech is not None:
                _play(devices, answer.speech)
    # As of any command none of whose items could be done. Who sits at a terminal has seen it.
    if refused and not number and not sys.stdin.isatty():
        raise typer.Exit(1)


def _play(devices: Devices, speech: Speech) -> None:
    """Play what was said; a loudspeaker that fails is not asked again, and the talk goes on."""
    try:
        devices.play(speech.waveform, speech.rate)
    except SmolTolkError as error:
        print(f"  note: what is said is not played: {error.found}", file=sys.stderr)
        devices.plays = False


def _lines() -> Iterator[str | Path]:
    """Lines that are typed or piped; or the file that keeps a recording, where one was piped in place of lines.

    Raises:
        InputError: a pipe without a byte.
    """
    from smoltolk.speech.decoding.kinds import begins_like_sound

    if not sys.stdin.isatty():
        head = cast(io.BufferedReader, sys.stdin.buffer).peek(1)
        if not head:
            raise nothing_piped("the lines of a talk, or a recording")
        if begins_like_sound(head):
            with recordings_of([Path(PIPE)]) as recordings:
                yield from recordings
            return
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


def _asked(line: str | Path, talker: SpeechText, devices: Devices | None) -> Any:
    """A text, a recording of a file, or one of the microphone.

    Raises:
        NotFoundError: the name of a recording that is not there.
        InputError: an empty line, and no microphone; no text that is UTF-8; or what was piped is no recording.
    """
    from smoltolk.speech.decoding.kinds import SUFFIXES

    if isinstance(line, Path):
        return load_given(line, talker.hearing_rate), talker.hearing_rate
    given = line.strip()
    check_encodable(given, "the text")
    if given and _is_file(given):
        return Path(given)
    if " " not in given and Path(given).suffix.lower() in SUFFIXES:
        raise NotFoundError("a recording must exist", f"no file {given}", "check the path")
    if given:
        return line
    if not sys.stdin.isatty():
        found = "an empty line in a pipe"
        raise InputError("a piped turn is a text or the path of a recording", found, "leave empty lines out")
    if devices is None or not devices.records:
        raise InputError(
            "a turn is a text, the path of a recording, or a recording of the microphone",
            "an empty line, and no microphone that can be used",
            "type something; for a microphone: pip install 'smoltolk[microphone]', and PortAudio",
        )
    print("  recording; Enter ends it", file=sys.stderr)
    return devices.record(talker.hearing_rate, sys.stdin.readline), talker.hearing_rate


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than the name of any file
        return False


def _tell(answer: Answer, number: int, out: Path, *, as_json: bool) -> None:
    about: dict[str, Any] = {"turn": number, "dropped": answer.dropped}
    if answer.speech is None:
        row = {**about, "text": answer.text, "ended": answer.ended, "empty": answer.is_empty}
        print_json(row) if as_json else print(answer.text, flush=True)
    else:
        path = out / f"{number:04d}.wav"
        answer.speech.save(path)
        if as_json:
            print_json({**about, "out": str(path), **row_of_speech(answer.speech)})
        else:
            print(f"{answer.speech.seconds:.1f} s in {path}", flush=True)
    tell_if_empty(answer, f"turn {number}")
