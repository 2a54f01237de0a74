"""What verbs print, and the small files they read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import is_file_name, parse_line, read_json, read_lines
from smoltolk.common.processes import is_main
from smoltolk.common.progress import Reached, bar
from smoltolk.common.quantities import duration
from smoltolk.common.rejection import Rejected, do_each
from smoltolk.common.texts import check_encodable

if TYPE_CHECKING:
    import numpy as np

    from smoltolk.data.corpora.corpus import Counts
    from smoltolk.inference.sampling import Sampling


def show(title: str, rows: Mapping[str, Any]) -> None:
    """A title, and a name and a value a line; of several processes only the first prints."""
    if not is_main():
        return
    print(title)
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        print(f"  {name:<{width}}  {value}")


def kept(out: Path) -> None:
    """Say that nothing had to be done."""
    print(f"{out} is already there, made by the same command")


def show_counts(counts: Counts, out: Path, left_alone: str = "") -> None:
    """How much of a corpus was used, and which files were not looked at."""
    rows = {"utterances": f"{counts.num_utterances}, {duration(counts.seconds)}"}
    if counts.num_rejected:
        rows["rejected"] = f"{counts.num_rejected}, reasons in {out / 'rejected.jsonl'}"
    if left_alone:
        rows["left alone"] = left_alone
    show(str(out), rows)


def tell_rejected(rejected: Sequence[Rejected], listed: Path | None = None) -> None:
    """A line for each item that could not be used, and their count.

    Args:
        rejected: those items.
        listed: the file that holds them all: then only the first five are printed.
    """
    for one in rejected if listed is None else rejected[:5]:
        print(f"  {one.line()}", file=sys.stderr)
    if rejected:
        where = "" if listed is None else f", all of them in {listed}"
        print(f"  {len(rejected)} rejected{where}", file=sys.stderr)


class Job(Protocol):
    """What :func:`run_job` needs of a training."""

    out: Path
    figures: dict[str, Any] | None

    @property
    def num_steps(self) -> int: ...

    def run(self, report: Callable[[float, str], None] | None = None) -> dict[str, Any]:
        """Do it, and return its figures."""


def run_job(job: Job, title: str) -> dict[str, Any]:
    """Run a training behind a progress bar, unless it was done before; return its figures."""
    if job.figures is not None:
        kept(job.out)
        return job.figures
    if not is_main():  # one bar is enough
        return job.run()
    with bar(title, job.num_steps, "steps") as progress:
        return job.run(Reached(progress))


SaidUnits = tuple[str, "np.ndarray", "np.ndarray | None"]


def read_units(path: Path, fingerprint: str, rejected: list[Rejected]) -> list[SaidUnits]:
    """``(id, units, durations)`` of every good line of a file of units.

    Args:
        path: of the file.
        fingerprint: of the units that a vocoder speaks.
        rejected: gets the lines that hold none of these units.

    Raises:
        NotFoundError: no such file.
        InputError: it has no lines.
    """
    seen: set[str] = set()

    def units_of(line: tuple[int, bytes]) -> SaidUnits:
        number, text = line
        row = parse_line(text, path, number)
        found = _units_of(row, f"{path}, line {number}", str(number), fingerprint)
        if found[0] in seen:
            fix = "give every line a name of its own"
            raise InputError("the id of a line becomes a file name", f"{path}, line {number}: {found[0]!r} again", fix)
        seen.add(found[0])
        return found

    rows = [found for _, found in do_each(read_lines(path), units_of, lambda line: f"line {line[0]}", rejected)]
    if not rows and not rejected:
        raise InputError("a file of units holds a line at least", f"{path} is empty", "encode some recordings")
    return rows


def _units_of(row: Any, place: str, number: str, fingerprint: str) -> SaidUnits:
    import numpy as np

    if not isinstance(row, dict):
        raise InputError("a line of units is a JSON object", place, "correct the line")
    if row.get("fingerprint", fingerprint) != fingerprint:
        raise InputError(
            "a vocoder speaks the units of one tokenizer only",
            f"{place}: units {str(row['fingerprint'])[:16]}, the vocoder has {fingerprint[:16]}",
            "fit a vocoder for these units, or encode with the units it was made for",
        )
    name = str(row.get("id", number))
    if not is_file_name(name):
        fix = "give every line a name of its own: short, without slashes"
        raise InputError("the id of a line becomes a file name", f"{place}: {name!r}", fix)
    try:
        units = np.array(row["units"])
        durations = np.array(row["durations"]) if "durations" in row else None
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            'a line of units is like {"id": "a", "units": [3, 1, 4]}', f"{place}: {error!r}", "correct the line"
        ) from error
    for array in (units, durations):
        if array is not None and (array.dtype.kind not in "iu" or array.ndim != 1):
            found = f"{place}: an array of {array.dtype} {list(array.shape)}"
            raise InputError("units and durations are lists of whole numbers", found, "correct the line")
    return name, units, durations


def sampling_of(temperature: float) -> Sampling | None:
    """Sampling at a temperature; None at 0.

    Raises:
        InputError: below 0.
    """
    from smoltolk.inference.sampling import Sampling

    return Sampling(temperature=temperature) if temperature else None


def write_sound(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Write a waveform and say so."""
    from smoltolk.speech.audio import save

    save(path, waveform, sample_rate)
    print(f"{len(waveform) / sample_rate:.1f} s in {path}")


def tell_if_strange(strangeness: float | None, what: str) -> None:
    """Point out a recording that is unlike all that its units were learnt for."""
    if strangeness is not None and strangeness > 1:
        why = "is unlike the recordings that these units were learnt from: they say little of it"
        print(f"  note: {what} {why}; fit units on recordings like this one", file=sys.stderr)


def tell_if_cut(ended: bool, task: str) -> None:
    """Point out what came to no end: a model that has learned a task ends by itself."""
    if not ended:
        fix = f"was {task} among the tasks of its training (--mixture), and long enough?"
        print(f"  note: it came to no end and was cut off; {fix}", file=sys.stderr)


def check_answer(to: str, most: int | None, seconds: float | None = None) -> None:
    """Hold what is wanted of an answer against what there can be.

    Args:
        to: speech or text.
        most: units or tokens.
        seconds: of speech.

    Raises:
        InputError: neither speech nor text, nothing of it, or seconds of text.
    """
    if to not in ("speech", "text"):
        raise InputError("--to is speech or text", repr(to), "choose one of them")
    if most is not None and most < 1:
        raise InputError("an answer has an id at least", f"--most {most}", "give 1 or more")
    if seconds is not None and (to == "text" or not 0 < seconds < float("inf")):
        found = f"--seconds {seconds:g} of {to}"
        raise InputError("--seconds are those of speech, more than 0", found, "give others, or limit text by --most")


def check_hears(has_units: object) -> None:
    """Whether there is something to hear with.

    Raises:
        InputError: no units.
    """
    if not has_units:
        raise InputError(
            "hearing needs the units of the model", "no --units", "give their directory, or a bundle, which has them"
        )


def check_speaks(units: Path | None, vocoder: Path | None) -> None:
    """Whether there is something to speak with.

    Raises:
        InputError: neither a vocoder nor the units of a codec.
    """
    says = vocoder is not None
    if units is not None and not says:
        described = units / "config.json"
        config = read_json(described) if described.is_file() else {"kind": "codec"}  # on the hub: it will be seen
        says = isinstance(config, dict) and config.get("kind") == "codec" and config.get("num_codebooks", 1) > 1
    if not says:
        raise InputError(
            "speaking needs a --vocoder, or --units of a codec of several codebooks, which speaks itself; a bundle"
            " has them",
            "no --vocoder",
            "name the directory of one",
        )


def check_sound_place(out: Path | None) -> Path:
    """Where sound goes, if there is such a place.

    Raises:
        InputError: none.
    """
    if out is None:
        fix = "give --out FILE, or --out - and send stdout somewhere"
        raise InputError("sound goes into a file or a pipe", "no --out, and stdout is a terminal", fix)
    return out


def check_recordings(audio: Sequence[Path]) -> None:
    """Tell at once where none of the recordings is there; of several, those that are there are done.

    Raises:
        NotFoundError: none is.
    """
    if audio and not any(path.is_file() or str(path) == "-" for path in audio):
        raise NotFoundError("a recording is a file", f"no file {audio[0]}", "check the path")


def check_text(text: str) -> None:
    """Refuse a text that says nothing, or is none.

    Raises:
        InputError: no word in it, or not UTF-8.
    """
    check_encodable(text, "the text")
    if not text.strip():
        raise InputError("a text needs a word", repr(text), "write something")


def check_given(model: Path, **directories: Path | None) -> None:
    """Tell at once what is not there: loading a model takes seconds.

    Raises:
        NotFoundError: no model, or no such directory.
    """
    from smoltolk.common.hub import check_place

    check_place(model, "a SmolTolk model")
    for name, place in directories.items():
        if place is not None and not place.is_dir() and place.parts[:1] != ("hf:",):
            raise NotFoundError(f"--{name} names a directory", f"no directory {place}", "check the path")
