"""Verbs that talk with a model, item by item: say, hear, continue, ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
    Source,
    Speaker,
    UnitsDirectory,
    VocoderDirectory,
    load_given,
    place_of_sound,
    print_json,
    recordings_of,
    speaker_of,
    tell_if_empty,
    texts_of,
    told,
)
from smoltolk.common.errors import InputError

if TYPE_CHECKING:
    from smoltolk.inference.answers import Answer, Speech
    from smoltolk.inference.speech_text import SpeechText

app = typer.Typer()

Out = Annotated[
    Path | None,
    typer.Option(help="Sound file (wav, flac, ogg, mp3); a directory for several; -: wav on stdout, as in a pipe."),
]
To = Annotated[str, typer.Option(help="speech or text.")]
Audio = list[Path] | None
# What an answer of a model without a bundle may have: longer than a continuation, and the likeliest.
_MOST_UNITS, _MOST_TOKENS = 400, 200


@app.command()
def say(
    place: Place,
    text: Annotated[list[str], typer.Argument(help="What to say; several texts, or -: each line of stdin.")],
    out: Out = None,
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
    from smoltolk.cli.printing import check_sound_place, check_text, sampling_of, tell_if_cut
    from smoltolk.common.rejection import Rejected, do_together

    texts = texts_of(text)
    if len(texts) == 1:
        check_text(texts[0])
    source = Source(place, units, vocoder, int8=int8, device=device)
    options: dict[str, Any] = {"speaker": speaker_of(speaker), "sampling": sampling_of(temperature)}
    names = [f"{number:04d}" for number in range(1, len(texts) + 1)]
    sounds = Sounds(check_sound_place(place_of_sound(out)), names, as_json=as_json)
    loader = source.check(speaks=True)
    talker = loader.load()
    sounds.check_reader()
    rejected: list[Rejected] = []

    def speak(numbers: Sequence[int]) -> list[Speech]:
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
            tell_if_empty(speech, texts[number])
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
    from smoltolk.cli.printing import check_recordings, tell_if_cut, tell_if_strange
    from smoltolk.common.rejection import Rejected, do_each, do_together

    check_recordings(audio)
    loader = Source(place, units, int8=int8, device=device).check(hears=True)
    with recordings_of(audio) as paths:
        talker = loader.load()
        rejected: list[Rejected] = []
        heard = 0
        for begin in range(0, len(paths), BATCH):
            some = paths[begin : begin + BATCH]

            def write_down(items: Sequence[tuple[Path, Any]]) -> list[Answer]:
                return talker.recognize([waveform for _, waveform in items])

            # Where there is but one recording, its error is the command's.
            if len(paths) == 1:
                loaded = [(path, load_given(path, talker.hearing_rate)) for path in some]
                answers = list(zip(loaded, write_down(loaded), strict=True))
            else:
                loaded = list(do_each(some, lambda path: load_given(path, talker.hearing_rate), told, rejected))
                answers = do_together(loaded, write_down, lambda item: told(item[0]), rejected)
            for (path, waveform), answer in answers:
                heard += 1
                tell_if_strange(talker.strangeness(waveform), told(path))
                if as_json:
                    row = {"file": told(path), "text": answer.text, "ended": answer.ended, "empty": answer.is_empty}
                    print_json(row)
                else:
                    print(answer.text if len(paths) == 1 else f"{told(path)}: {answer.text}", flush=True)
                tell_if_empty(answer, told(path))
                tell_if_cut(answer.ended, "recognition")
        _end(heard, rejected)


@app.command("continue")
def continue_(
    place: Place,
    audio: Annotated[Audio, typer.Argument(help="Recordings to continue, -: one on stdin; or give --text.")] = None,
    text: Annotated[str | None, typer.Option(help="A text to continue; -: each line of stdin.")] = None,
    to: To = "speech",
    units: UnitsDirectory = None,
    vocoder: VocoderDirectory = None,
    out: Out = None,
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
    from smoltolk.cli.printing import check_answer

    if bool(audio) == (text is not None):
        found = "both" if audio else "neither"
        raise InputError("a continuation has one beginning: a recording or --text", found, "give one of them")
    check_answer(to, most, seconds)
    source = Source(place, units, vocoder, int8=int8, device=device)
    answers = _Answers(source, to, out, most=most, temperature=temperature, speaker=speaker, as_json=as_json, seed=seed)

    answers.give(audio, text, lambda talker: partial(talker.generate, max_seconds=seconds))


@app.command()
def ask(
    place: Place,
    audio: Annotated[Audio, typer.Argument(help="Spoken questions, -: one on stdin; or give --text.")] = None,
    text: Annotated[
        str | None, typer.Option(help="A written question, -: each line of stdin; or what stands before a spoken one.")
    ] = None,
    to: To = "speech",
    units: UnitsDirectory = None,
    vocoder: VocoderDirectory = None,
    out: Out = None,
    most: Annotated[
        int | None, typer.Option(help="Most units or tokens; default: the bundle's, or 400 or 200.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of sampling; 0: always the most likely id; default: the bundle's, or 0.")
    ] = None,
    speaker: Speaker = None,
    as_json: Json = False,
    int8: Int8 = False,
    device: Device = None,
    seed: Seed = 0,
) -> None:
    """Ask a model that was tuned on dialogues, aloud or in writing; each question by itself.

    Examples:

    smoltolk ask bundle question.wav --out answer.wav

    smoltolk ask tuned question.wav --units units --vocoder vocoder --out answer.wav
    """
    if not audio and text is None:
        raise InputError("a question is a recording, or --text, or both", "neither", "give one of them")
    source = Source(place, units, vocoder, int8=int8, device=device)
    answers = _Answers(source, to, out, most=most, temperature=temperature, speaker=speaker, as_json=as_json, seed=seed)
    before = text if audio else None

    def asking(talker: SpeechText) -> Callable[..., Answer]:
        from smoltolk.cli.printing import tell_if_cut
        from smoltolk.inference.bundle import BundleSettings

        own = talker.settings if source.is_bundle else BundleSettings(None, _MOST_UNITS, _MOST_TOKENS)
        talker.settings = replace(own, tuned=True)  # a question stands in a prompt of its own, whatever a bundle says

        def answer(prompt: Any, **options: Any) -> Answer:
            made = talker.dialogue(**options).ask(prompt if before is None else [before, prompt])
            tell_if_cut(made.ended, "answering aloud" if to == "speech" else "answering in writing")
            return made

        return answer

    answers.give(audio, None if audio else text, asking)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What is wanted of the answers to many prompts.

    Attributes:
        source: of the model.
        to: speech or text.
        out: where sound goes.
        most, temperature, speaker, as_json, seed: options of the verbs.
    """

    source: Source
    to: str
    out: Path | None
    most: int | None
    temperature: float | None
    speaker: str | None
    as_json: bool
    seed: int

    def give(
        self,
        audio: Sequence[Path] | None,
        text: str | None,
        answering: Callable[[SpeechText], Callable[..., Answer]],
    ) -> None:
        """Answer recordings, or texts, one by one.

        Args:
            audio: recordings, or none.
            text: a text, or ``-``, where there are none.
            answering: given the model, what answers a prompt with options of ``SpeechText.generate``.

        Raises:
            InputError: what does not fit together; of a single prompt also what is wrong with it.
            typer.Exit: there is no answer at all.
        """
        from smoltolk.cli.printing import check_answer, check_recordings, check_sound_place, check_text, tell_if_strange
        from smoltolk.common.rejection import Rejected, do_each

        check_answer(self.to, self.most)
        options = self._options()
        check_recordings(audio or [])
        texts = [] if text is None else texts_of([text])
        if len(texts) == 1:
            check_text(texts[0])
        speaks, sounds = self.to == "speech", None
        if speaks:
            names = [path.stem if str(path) != PIPE else "stdin" for path in audio or []]
            names += [f"{number:04d}" for number in range(1, len(texts) + 1)]
            sounds = Sounds(check_sound_place(place_of_sound(self.out)), names, as_json=self.as_json)
        loader = self.source.check(hears=bool(audio), speaks=speaks)
        with recordings_of(audio or []) as paths:
            items: list[Path | str] = [*paths, *texts]
            talker = loader.load()
            if sounds is not None:
                sounds.check_reader()
            answer_of = answering(talker)

            def name(number: int) -> str:
                item = items[number]
                return item if isinstance(item, str) else told(item)

            def go_on(number: int) -> Answer:
                item = items[number]
                prompt = item if isinstance(item, str) else load_given(item, talker.hearing_rate)
                if not isinstance(prompt, str):
                    tell_if_strange(talker.strangeness(prompt), name(number))
                return answer_of(prompt, seed=self.seed + number, **options)

            done, rejected, numbers = 0, list[Rejected](), range(len(items))
            answers = do_each(numbers, go_on, name, rejected) if len(items) > 1 else ((n, go_on(n)) for n in numbers)
            for number, answer in answers:
                done += 1
                about = {"text" if isinstance(items[number], str) else "file": name(number)}
                if answer.speech is not None and sounds is not None:
                    sounds.write(number, answer.speech, {"prompt": about})
                elif self.as_json:
                    row = {"prompt": about, "text": answer.text, "ended": answer.ended, "empty": answer.is_empty}
                    print_json(row)
                else:
                    print(answer.text if len(items) == 1 else f"{name(number)}: {answer.text}", flush=True)
                tell_if_empty(answer, name(number))
            _end(done, rejected)

    def _options(self) -> dict[str, Any]:
        from smoltolk.cli.printing import sampling_of

        options: dict[str, Any] = {"to": self.to, "max_new": self.most}
        if self.temperature is not None:
            options["sampling"] = sampling_of(self.temperature)
        if self.to == "speech":
            options["speaker"] = speaker_of(self.speaker)
        return options


def _all_say_something(spoken: list[Speech]) -> list[Speech]:
    """Of several, one that says nothing is refused: then each is done alone, and it is named.

    Raises:
        InputError: one has no units.
    """
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
