"""What the talking verbs share: where the parts come from, what goes in, and where the sound goes."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smoltolk.common.errors import InputError, SmolTolkError
from smoltolk.common.texts import split_lines

if TYPE_CHECKING:
    import numpy as np

    from smoltolk.inference.answers import Answer, Speech
    from smoltolk.inference.bundle import Bundle
    from smoltolk.inference.speech_text import SpeechText

PIPE = "-"
BATCH = 8  # items that are given to the model together
_BUNDLE_RECORD = "bundle.json"
_PIPED = ".smoltolk-stdin"  # no file of a user

Place = Annotated[str, typer.Argument(help="A bundle: directory or hub id; or a model, with its parts named.")]
UnitsDirectory = Annotated[Path | None, typer.Option(help="Of a model without a bundle: directory of its units.")]
VocoderDirectory = Annotated[
    Path | None,
    typer.Option(
        help="Of a model without a bundle: directory of a vocoder; frames of a codec are spoken by the codec."
    ),
]
Speaker = Annotated[str | None, typer.Option(help="Name or number of a voice, where the vocoder has several.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object a line for each item.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Weights of eight bits; it takes the extra int8.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")]


def is_bundle(place: str, *parts: Path | None) -> bool:
    """Whether a place is meant as a bundle: it is one, or it lies on the hub and no parts are named beside it.

    Raises:
        InputError: a bundle here, and parts beside it.
    """
    here = (Path(place) / _BUNDLE_RECORD).is_file()
    if here and any(part is not None for part in parts):
        raise InputError(
            "a bundle has its own units and vocoder", f"--units or --vocoder with {place}", "leave them out"
        )
    return here or not (any(part is not None for part in parts) or Path(place).is_dir())


@dataclass(frozen=True, slots=True)
class Source:
    """Where what talks comes from.

    Attributes:
        place: a bundle, or a model whose parts are named.
        units, vocoder: directories of the parts.
        int8: weights of eight bits.
        device: where it computes; None: a GPU if there is one.
    """

    place: str
    units: Path | None = None
    vocoder: Path | None = None
    int8: bool = False
    device: str | None = None

    @property
    def is_bundle(self) -> bool:
        """See :func:`is_bundle`."""
        return is_bundle(self.place, self.units, self.vocoder)

    def check(self, *, hears: bool = False, speaks: bool = False) -> Loader:
        """Tell what does not fit together, before anything large is imported; a bundle of the hub is fetched.

        Raises:
            NotFoundError: nothing there.
            InputError: no bundle and no model, a damaged one, parts of other units, or none where they are needed.
            MissingExtraError: ``int8`` without its extra.
        """
        from smoltolk.cli.printing import check_given, check_hears, check_speaks
        from smoltolk.common.errors import check_extra

        check_given(Path(self.place), units=self.units, vocoder=self.vocoder)
        if self.int8:
            check_extra("torchao", "weights of eight bits")
        if self.is_bundle:
            from smoltolk.inference.bundle import open_bundle

            return Loader(self, open_bundle(self.place))
        from smoltolk.inference.part_files import check_parts, read_model_units

        if hears:
            check_hears(self.units)
        if speaks:
            check_speaks(self.units, self.vocoder)
        model = read_model_units(self.place)
        if model is not None:
            check_parts(self.place, model, units=self.units, vocoder=self.vocoder)
        return Loader(self, None)


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads what was found to fit.

    Attributes:
        source: where it is.
        bundle: if it is one.
    """

    source: Source
    bundle: Bundle | None

    def load(self) -> SpeechText:
        """All parts; the import of what computes takes longest."""
        from smoltolk.common.progress import under_way

        own = self.source
        with under_way(f"loading {own.place} ..."):
            from smoltolk.inference.speech_text import SpeechText

            if self.bundle is not None:
                return SpeechText.from_pretrained(self.bundle, own.device, own.int8)
            return SpeechText.load(own.place, own.units, own.vocoder, own.device, own.int8)


def speaker_of(given: str | None) -> str | int | None:
    """A voice by its number where it is one."""
    return int(given) if given is not None and given.isdigit() else given


def texts_of(given: Sequence[str]) -> list[str]:
    """Texts of arguments; ``-`` stands for the lines of stdin.

    Raises:
        InputError: none at all.
    """
    texts: list[str] = []
    for one in given:
        texts += split_lines(sys.stdin.read().removesuffix("\n")) if one == PIPE else [one]
    if not any(texts):
        raise InputError("there must be something to say", "no text", "give a text, or lines on stdin with -")
    return texts


@contextmanager
def recordings_of(given: Sequence[Path]) -> Iterator[list[Path]]:
    """Files of arguments; ``-`` is the one on stdin, which is kept while the block runs.

    Raises:
        InputError: it is the only one, and stdin is empty.
    """
    if not any(str(path) == PIPE for path in given):
        yield list(given)
        return
    with tempfile.TemporaryDirectory() as directory:
        piped = Path(directory) / _PIPED
        with piped.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
            if not file.tell() and len(given) == 1:
                raise nothing_piped("a recording")
        yield [piped if str(path) == PIPE else path for path in given]


def load_given(path: Path, rate: int) -> np.ndarray:
    """The samples of one of :func:`recordings_of`, float32 [samples] at ``rate``.

    Raises:
        NotFoundError, InputError, MissingExtraError: as for :func:`smoltolk.speech.audio.load`; of what came on stdin
            nobody need know where it was kept.
    """
    from smoltolk.speech.audio import load

    if path.name != _PIPED:
        return load(path, rate)
    if not path.stat().st_size:
        raise nothing_piped("a recording")
    try:
        return load(path, rate)
    except SmolTolkError as error:
        said = (one.replace(str(path), "standard input") for one in (error.rule, error.found, error.fix))
        raise type(error)(*said) from error


def nothing_piped(wanted: str) -> InputError:
    """What is said of a stdin without a byte: most often the command before the pipe has failed."""
    found = "standard input is empty: the command before the pipe said nothing"
    return InputError(f"standard input holds {wanted}", found, "see what that command says, or name a file")


def told(path: Path) -> str:
    """The name of a recording, as the user gave it."""
    return PIPE if path.name == _PIPED else str(path)


def place_of_sound(out: Path | None) -> Path | None:
    """Where sound goes: where it is told to, else to stdout unless that is a terminal; None: nowhere."""
    return Path(PIPE) if out is None and not sys.stdout.isatty() else out


class Sounds:
    """Where what is said goes: a file, a directory of files for several, or stdout as wav.

    Args:
        out: file, directory, or ``-``.
        names: of the items, each the stem of its file in a directory.
        as_json: whether lines on stdout are JSON.

    Raises:
        InputError: several sounds for one file or for stdout, or a file of another kind.
    """

    def __init__(self, out: Path, names: Sequence[str], *, as_json: bool = False):
        from smoltolk.speech.audio import check_sound_path

        self.is_pipe = str(out) == PIPE
        several = len(names) > 1
        is_directory = not self.is_pipe and (out.is_dir() or not out.suffix)
        if several and not is_directory:
            raise InputError(
                "several sounds go into a directory", f"{len(names)} items, --out {out}", "name a directory"
            )
        if self.is_pipe and as_json:
            raise InputError("stdout takes sound or JSON", "--json and --out -", "write the sound to a file")
        if is_directory and not several and not out.is_dir():
            check_sound_path(out)  # which says what a file is called
        taken = {name for name in names if names.count(name) > 1}
        stems = [f"{name}-{n}" if name in taken else name for n, name in enumerate(names, 1)]
        self._paths = (
            [out / f"{stem}.wav" for stem in stems]
            if is_directory
            else [out if self.is_pipe else check_sound_path(out)]
        )
        self._as_json = as_json

    def check_reader(self) -> None:
        """Tell before the long work that nobody would hear it.

        Raises:
            InputError: sound goes into a pipe, and its reader has ended.
        """
        if self.is_pipe and _has_no_reader():
            raise _nobody_reads()

    def write(self, number: int, speech: Speech, about: dict[str, Any]) -> None:
        """Write what was said of item ``number``, and say so on stdout, unless that is the sound.

        Raises:
            InputError: the sound goes into a pipe whose reader has ended.
        """
        if self.is_pipe:
            import soundfile

            held = io.BytesIO()
            soundfile.write(held, speech.waveform, speech.rate, format="WAV")
            try:
                sys.stdout.buffer.write(held.getvalue())
                sys.stdout.buffer.flush()
            except BrokenPipeError as error:
                # What is left in the buffer goes nowhere: Python would try again at its end, and print a traceback.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, sys.stdout.fileno())
                os.close(nowhere)
                raise _nobody_reads() from error
            return
        speech.save(self._paths[number])
        if self._as_json:
            print_json({**about, "out": str(self._paths[number]), **row_of_speech(speech)})
        else:
            print(f"{speech.seconds:.1f} s in {self._paths[number]}", flush=True)


def _has_no_reader() -> bool:
    """Whether stdout is a pipe that nobody reads any more; False where that cannot be told."""
    import select

    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # errors are told without being asked for
        return any(events & select.POLLERR for _, events in poll.poll(0))
    except (AttributeError, OSError):  # a system without it, or a stdout that is no file
        return False


def _nobody_reads() -> InputError:
    fix = "see what it says, or write the sound to a file with --out FILE"
    return InputError("sound in a pipe goes to a command that reads it", "the command behind the pipe has ended", fix)


def row_of_speech(speech: Speech) -> dict[str, Any]:
    """What is told of something said, for JSON."""
    return {
        "seconds": round(speech.seconds, 3), "units": speech.units.tolist(), "ended": speech.ended,
        "empty": speech.is_empty,
    }  # fmt: skip


def tell_if_empty(answer: Answer | Speech, name: str) -> None:
    """Point out an answer that says nothing, or next to nothing."""
    if answer.is_empty:
        fix = "another seed or prompt may help, or longer training"
        print(f"  note: {name}: an empty answer, the model came to its end at once; {fix}", file=sys.stderr)


def print_json(row: dict[str, Any]) -> None:
    """A line of JSON, at once: who reads a pipe need not wait."""
    print(json.dumps(row, ensure_ascii=False), flush=True)
