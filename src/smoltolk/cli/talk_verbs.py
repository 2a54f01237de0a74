"""Verbs that talk with a model: say, hear, continue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smoltolk.cli.options import Seed
from smoltolk.cli.talking import (
    BATCH,
    PIPE,
    Device,
    Int8,
    Json,
    Place,
    Sounds,
    Speaker,
    UnitsDirectory,
    VocoderDirectory,
    is_bundle,
    open_talker,
    print_json,
    recordings_of,
    speaker_of,
    texts_of,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smoltolk.inference.answers import Answer, Speech

app = typer.Typer()

Out = Annotated[Path, typer.Option(help="Sound file (wav, flac, ogg, mp3); a directory for several; -: wav on stdout.")]


@app.command()
def say(
    place: Place,
    text: Annotated[list[str], typer.Argument(help="What to say; several texts, or -: each line of stdin.")],
    out: Out,
    vocoder: VocoderDirectory = None,
    units: Annotated[Path | None, typer.Option(help="Make sure that the vocoder is for these units.")] = None,
    temperature: Annotated[float, typer.Option(help="Of sampling; 0: always the most likely unit.")] = 0.0,
    speaker: Speaker = None,
    as_json: Json = False,
    int8: Int8 = False,
    device: Device = None,
    seed: Seed = 0,
) -> None:
    """Let a model speak a text; synthesis must have been among its tasks.

    Examples:

    smoltolk say bundle "The dog eats bread." --out dog.wav

    cat lines.txt | smoltolk say bundle - --out spoken

    smoltolk say model "The dog eats bread." --vocoder vocoder --out dog.wav

    smoltolk say model "The dog eats bread." --units codec --out dog.wav
    """
    from smoltolk.cli.printing import check_given, check_speaks, sampling_of, tell_if_cut
    from smoltolk.common.rejection import Rejected, do_together

    texts = texts_of(text)
    check_given(Path(place), text=texts[0] if len(texts) == 1 else None, units=units, vocoder=vocoder)
    if not is_bundle(place, units, vocoder):
        check_speaks(units, vocoder, out)
    sounds = Sounds(out, [f"{number:04d}" for number in range(1, len(texts) + 1)], as_json=as_json)
    talker = open_talker(place, units, vocoder, int8=int8, device=device)
    rejected: list[Rejected] = []

    def speak(numbers: Sequence[int]) -> list[Speech]:
        options: dict[str, Any] = {"speaker": speaker_of(speaker), "sampling": sampling_of(temperature)}
        if len(numbers) == 1:
            return [talker.say(texts[numbers[0]], seed=seed + numbers[0], **options)]
        spoken = talker.say([texts[n] for n in numbers], seed=[seed + n for n in numbers], **options)
        return _all_say_something(spoken)

    done = 0
    for begin in range(0, len(texts), BATCH):
        numbers = list(range(begin, min(begin + BATCH, len(texts))))
        # Where there is but one text, its error is the command's.
        spoken = (
            do_together(numbers, speak, lambda n: texts[n], rejected)
            if len(texts) > 1
            else zip(numbers, speak(numbers), strict=True)
        )
        for number, speech in spoken:
            done += 1
            sounds.write(number, speech, {"text": texts[number]})
            tell_if_cut(speech.ended, "synthesis")
    _end(done, rejected)


@app.command()
def hear(
    place: Place,
    audio: Annotated[list[Path], typer.Argument(help="Recordings: wav, flac, mp3, m4a, ...; -: one on stdin.")],
    units: UnitsDirectory = None,
    as_json: Json = False,
    int8: Int8 = False,
    device: Device = None,
) -> None:
    """Let a model write down what is said; recognition must have been among its tasks.

    Examples:

    smoltolk hear bundle dog.wav cat.wav

    cat dog.wav | smoltolk hear bundle -

    smoltolk hear model dog.wav --units units
    """
    from smoltolk.cli.printing import check_given, check_hears, tell_if_cut, tell_if_strange
    from smoltolk.common.rejection import Rejected, do_each, do_together
    from smoltolk.speech.audio import load

    with recordings_of(audio) as paths:
        check_given(Path(place), audio=paths, units=units)
        if not is_bundle(place, units):
            check_hears(units)
        talker = open_talker(place, units, int8=int8, device=device)
        rejected: list[Rejected] = []
        heard = 0
        for begin in range(0, len(paths), BATCH):
            loaded = do_each(paths[begin : begin + BATCH], lambda path: load(path, talker.hearing_rate), told, rejected)
            together = [(path, waveform) for path, waveform in loaded]

            def write_down(items: Sequence[tuple[Path, Any]]) -> list[Answer]:
                return talker.recognize([waveform for _, waveform in items])

            for (path, waveform), answer in do_together(together, write_down, lambda item: told(item[0]), rejected):
                heard += 1
                tell_if_strange(talker.strangeness(waveform), told(path))
                if as_json:
                    print_json({"file": told(path), "text": answer.text, "ended": answer.ended})
                else:
                    print(answer.text if len(paths) == 1 else f"{told(path)}: {answer.text}", flush=True)
                tell_if_cut(answer.ended, "recognition")
        _end(heard, rejected)


@app.command("continue")
def continue_(
    place: Place,
    audio: Annotated[
        list[Path] | None, typer.Argument(help="Recordings to continue, -: one on stdin; or give --text.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="A text to continue; -: each line of stdin.")] = None,
    to: Annotated[str, typer.Option(help="speech or text.")] = "speech",
    units: UnitsDirectory = None,
    vocoder: VocoderDirectory = None,
    out: Annotated[
        Path | None, typer.Option(help="Sound file, needed to speak; a directory for several; -: wav on stdout.")
    ] = None,
    most: Annotated[int | None, typer.Option(help="Most units or tokens; default: the bundle's, or 150 or 40.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Most seconds of speech.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of sampling; 0: always the most likely id; default: the bundle's, or 0.8.")
    ] = None,
    speaker: Speaker = None,
    as_json: Json = False,
    int8: Int8 = False,
    device: Device = None,
    seed: Seed = 0,
) -> None:
    """Let a model go on where a recording or a text ends.

    Examples:

    smoltolk continue bundle dog.wav --out more.wav

    smoltolk continue bundle --text "In Oslo, Mia has a dog." --to text

    smoltolk continue model dog.wav --units units --vocoder vocoder --out more.wav

    smoltolk continue model dog.wav --units codec --out more.wav
    """
    from smoltolk.cli.printing import (
        check_continuation,
        check_given,
        check_speaks,
        sampling_of,
        tell_if_strange,
    )
    from smoltolk.common.rejection import Rejected, do_each
    from smoltolk.speech.audio import load

    bundled = is_bundle(place, units, vocoder)
    check_continuation(audio=audio, text=text, to=to, has_units=bundled or units is not None, most=most)
    texts = [] if text is None else texts_of([text])
    with recordings_of(audio or []) as paths:
        check_given(Path(place), audio=paths, text=texts[0] if len(texts) == 1 else None, units=units, vocoder=vocoder)
        if to == "speech":
            check_speaks(units, vocoder, out, bundled=bundled)
        items: list[Path | str] = [*paths, *texts]
        names = [path.stem if told(path) != PIPE else "stdin" for path in paths]
        names += [f"{number:04d}" for number in range(1, len(texts) + 1)]
        sounds = None if out is None or to == "text" else Sounds(out, names, as_json=as_json)
        talker = open_talker(place, units, vocoder, int8=int8, device=device)
        rejected: list[Rejected] = []
        options: dict[str, Any] = {"to": to, "max_new": most}
        if temperature is not None:
            options["sampling"] = sampling_of(temperature)
        if to == "speech":
            options |= {"max_seconds": seconds, "speaker": speaker_of(speaker)}

        def go_on(number: int) -> Answer:
            item = items[number]
            prompt = item if isinstance(item, str) else load(item, talker.hearing_rate)
            if not isinstance(prompt, str):
                tell_if_strange(talker.strangeness(prompt), name(number))
            return talker.generate(prompt, seed=seed + number, **options)

        def name(number: int) -> str:
            item = items[number]
            return item if isinstance(item, str) else told(item)

        done = 0
        numbers = range(len(items))
        answers = do_each(numbers, go_on, name, rejected) if len(items) > 1 else ((n, go_on(n)) for n in numbers)
        for number, answer in answers:
            done += 1
            about = {"text" if isinstance(items[number], str) else "file": name(number)}
            if answer.speech is not None and sounds is not None:
                sounds.write(number, answer.speech, {"prompt": about})
            elif as_json:
                print_json({"prompt": about, "text": answer.text, "ended": answer.ended})
            else:
                print(answer.text if len(items) == 1 else f"{name(number)}: {answer.text}", flush=True)
        _end(done, rejected)


def _all_say_something(spoken: list[Speech]) -> list[Speech]:
    """Of several, one that says nothing is refused: then each is done alone, and it is named.

    Raises:
        InputError: one has no units.
    """
    from smoltolk.common.errors import InputError

    if any(len(one.units) == 0 for one in spoken):
        raise InputError("there must be something to say", "the model ended at once", "try another text or seed")
    return spoken


def _end(done: int, rejected: Sequence[Any]) -> None:
    """Tell what was rejected.

    Raises:
        typer.Exit: nothing was done.
    """
    from smoltolk.cli.printing import tell_rejected

    tell_rejected(rejected)
    if not done:
        raise typer.Exit(1)
