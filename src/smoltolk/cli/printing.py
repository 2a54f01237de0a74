"""What verbs print, and the small files they read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json, read_jsonl
from smoltolk.common.processes import is_main
from smoltolk.common.progress import Reached, bar

if TYPE_CHECKING:
    import numpy as np

    from smoltolk.data.corpora.corpus import Counts
    from smoltolk.inference.generation import Sampling


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


def show_counts(counts: Counts, out: Path) -> None:
    """How much of a corpus was used."""
    rows = {"utterances": f"{counts.num_utterances}, {counts.seconds / 3600:.2f} hours"}
    if counts.num_rejected:
        rows["rejected"] = f"{counts.num_rejected}, reasons in {out / 'rejected.jsonl'}"
    show(str(out), rows)


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


def read_units(path: Path, fingerprint: str) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
    """``(id, units, durations)`` of every line of a file of units.

    Raises:
        NotFoundError: no such file.
        InputError: a line that holds no units, or units of another tokenizer.
    """
    import numpy as np

    rows: list[tuple[str, np.ndarray, np.ndarray | None]] = []
    seen: set[str] = set()
    for number, row in enumerate(read_jsonl(path), 1):
        if not isinstance(row, dict):
            raise InputError("a line of units is a JSON object", f"{path}, line {number}", "correct the line")
        if row.get("fingerprint", fingerprint) != fingerprint:
            raise InputError(
                "a vocoder speaks the units of one tokenizer only",
                f"{path}, line {number}: units {row['fingerprint'][:16]}, the vocoder has {fingerprint[:16]}",
                "fit a vocoder for these units, or encode with the units it was made for",
            )
        name = str(row.get("id", number))
        if name in seen or Path(name).name != name:
            fix = "give every line a name of its own, without slashes"
            raise InputError("the id of a line becomes a file name", f"{path}, line {number}: {name!r}", fix)
        seen.add(name)
        try:
            durations = np.array(row["durations"]) if "durations" in row else None
            rows.append((name, np.array(row["units"]), durations))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                'a line of units is like {"id": "a", "units": [3, 1, 4]}',
                f"{path}, line {number}: {error!r}",
                "correct the line",
            ) from error
    if not rows:
        raise InputError("a file of units holds a line at least", f"{path} is empty", "encode some recordings")
    return rows


def sampling_of(temperature: float) -> Sampling | None:
    """Sampling at a temperature; None at 0.

    Raises:
        InputError: below 0.
    """
    from smoltolk.inference.generation import Sampling

    return Sampling(temperature=temperature) if temperature else None


def write_sound(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Write a waveform and say so."""
    from smoltolk.speech.audio import save

    save(path, waveform, sample_rate)
    print(f"{len(waveform) / sample_rate:.1f} s in {path}")


def tell_if_cut(ended: bool, task: str) -> None:
    """Point out what came to no end: a model that has learned a task ends by itself."""
    if not ended:
        fix = f"was {task} among the tasks of its training (--mixture), and long enough?"
        print(f"  note: it came to no end and was cut off; {fix}", file=sys.stderr)


def check_continuation(*, audio: Path | None, text: str | None, to: str, most: int, units: Path | None) -> None:
    """Hold the options of `continue` against each other.

    Raises:
        InputError: the first that does not fit.
    """
    if (audio is None) == (text is None):
        found = "both" if text is not None else "neither"
        raise InputError("a continuation has one beginning: a recording or --text", found, "give one of them")
    if to not in ("speech", "text"):
        raise InputError("--to is speech or text", repr(to), "choose one of them")
    if most < 1:
        raise InputError("a continuation has an id at least", f"--most {most}", "give 1 or more")
    if audio is not None and units is None:
        raise InputError("hearing needs the units of the model", "no --units", "give their directory")


def check_speaks(units: Path | None, vocoder: Path | None, out: Path | None) -> None:
    """Whether there is something to speak with, and a place for the sound.

    Raises:
        InputError: neither a vocoder nor the units of a codec, or no sound file.
    """
    says = vocoder is not None
    if units is not None and not says:
        described = units / "config.json"
        config = read_json(described) if described.is_file() else {"kind": "codec"}  # on the hub: it will be seen
        says = isinstance(config, dict) and config.get("kind") == "codec" and config.get("num_codebooks", 1) > 1
    missing = [name for name, there in (("--vocoder", says), ("--out", out is not None)) if not there]
    if missing:
        raise InputError(
            "speaking needs --out and a --vocoder, or --units of a codec of several codebooks, which speaks itself",
            f"no {', '.join(missing)}",
            "give them",
        )


def check_given(
    model: Path,
    *,
    audio: Sequence[Path] = (),
    text: str | None = None,
    out: Path | None = None,
    **directories: Path | None,
) -> None:
    """Tell mistakes in what a verb was given at once: loading a model takes seconds.

    Raises:
        NotFoundError: a recording or a directory that is not there.
        InputError: no word in the text, or a sound file of a kind that cannot be written.
    """
    from smoltolk.common.hub import check_place
    from smoltolk.speech.audio import check_sound_path

    check_place(model, "a SmolTolk model")
    for path in audio:
        if not path.is_file():
            raise NotFoundError("a recording is a file", f"no file {path}", "check the path")
    for name, place in directories.items():
        if place is not None and not place.is_dir() and place.parts[:1] != ("hf:",):
            raise NotFoundError(f"--{name} names a directory", f"no directory {place}", "check the path")
    if text is not None and not text.strip():
        raise InputError("a text needs a word", repr(text), "write something")
    if out is not None:
        check_sound_path(out)
