"""Spoken corpora on disk: recordings with their words, in parts that are written whole.

::

    DIR/corpus.json                       what it is, how many parts
    DIR/parts/00000/utterances.jsonl      one utterance a line, in order
    DIR/parts/00000/part.json             counts and seconds of the part
    DIR/parts/00000/rejected.jsonl        what could not be used, with its reason
    DIR/parts/00000/items.json            what it was made of, see smoltolk.data.corpora.mending
    DIR/parts/00000/ID.flac               the recordings
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_json, read_jsonl, write_json, write_jsonl
from smoltolk.data.corpora.names import printable
from smoltolk.data.corpora.utterances import Utterance, from_row, problems_with, to_row

CORPUS_VERSION = 1
_UTTERANCE = "a line must be an utterance: id, text, seconds, words [[text, start, end], ...]"
INFO, UTTERANCES, REJECTED, ITEMS = "corpus.json", "utterances.jsonl", "rejected.jsonl", "items.json"
_PART = "part.json"


@dataclass(frozen=True, slots=True)
class CorpusInfo:
    """What ``corpus.json`` holds.

    Attributes:
        source: name of the corpus.
        digest: hex string of what was asked for; two corpora with one digest have the same content.
        num_parts: directories under ``parts``.
        num_utterances: asked for, rejected ones included.
        settings: hex string of how and of which place it was made; two corpora with one such string differ in their
            items alone. Empty: it cannot be mended.
    """

    source: str
    digest: str
    num_parts: int
    num_utterances: int
    version: int = CORPUS_VERSION
    settings: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was done: utterances kept, utterances rejected, seconds of speech kept."""

    num_utterances: int = 0
    num_rejected: int = 0
    seconds: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.num_utterances + other.num_utterances,
            self.num_rejected + other.num_rejected,
            self.seconds + other.seconds,
        )


def digest_of(rows: Iterable[Sequence[str | int | float]]) -> str:
    """Hex string that depends on every value of every row and their order."""
    state = hashlib.blake2b(digest_size=16)
    for row in rows:
        state.update(json.dumps(row, ensure_ascii=False).encode(errors="surrogatepass") + b"\n")
    return state.hexdigest()


def part_path(corpus: Path | str, part: int) -> Path:
    """Directory of one part."""
    return Path(corpus) / "parts" / f"{part:05d}"


def read_info(corpus: Path | str) -> CorpusInfo:
    """Read ``corpus.json``.

    Raises:
        NotFoundError: there is none.
        InputError: it is of another version.
    """
    path = Path(corpus) / INFO
    if not path.is_file():
        fix = "make one with `smoltolk corpus folder` or `smoltolk speak`, or name the one they wrote"
        raise NotFoundError("a corpus is a directory with corpus.json", f"{corpus} has none", fix)
    held = read_json(path)
    kinds = {"source": str, "digest": str, "num_parts": int, "num_utterances": int, "version": int, "settings": str}
    whole = isinstance(held, dict) and {*kinds} - {"settings"} <= held.keys() <= {*kinds}
    if not whole or held["version"] != CORPUS_VERSION or any(type(held[name]) is not kinds[name] for name in held):
        raise InputError(
            f"a corpus must have version {CORPUS_VERSION}",
            f"{path}: {str(held)[:200]}",
            "write it again with this version",
        )
    return CorpusInfo(**held)


def write_part(directory: Path, utterances: Sequence[Utterance], rejected: Sequence[dict[str, str]]) -> Counts:
    """Write the files of a part (but for its recordings) into a directory that is not yet in its place."""
    return write_rows(directory, [to_row(utterance, directory) for utterance in utterances], rejected)


def write_rows(directory: Path, rows: Sequence[dict[str, Any]], rejected: Sequence[dict[str, str]]) -> Counts:
    """The same of utterances that are rows already."""
    write_jsonl(directory / UTTERANCES, rows)
    write_jsonl(directory / REJECTED, ({key: printable(text) for key, text in row.items()} for row in rejected))
    counts = Counts(len(rows), len(rejected), sum(row["seconds"] for row in rows))
    write_json(directory / _PART, asdict(counts))
    return counts


def read_part(corpus: Path | str, part: int) -> Iterator[Utterance]:
    """Yield the utterances of one part.

    Raises:
        NotFoundError: the part is not there.
        InputError: a line that is not an utterance.
    """
    directory = part_path(corpus, part)
    for number, row in enumerate(read_jsonl(directory / UTTERANCES), 1):
        try:
            yield from_row(row, directory)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                _UTTERANCE,
                f"{directory / UTTERANCES}, line {number}: {error!r}",
                "delete the part and write it again",
            ) from error


def read_counts(corpus: Path | str, part: int) -> Counts:
    """Counts of a finished part.

    Raises:
        NotFoundError: it is not finished.
    """
    return Counts(**read_json(part_path(corpus, part) / _PART))


def read_rejected(corpus: Path | str, part: int) -> list[dict[str, str]]:
    """What could not be used of one part: ``{"id", "reason"}``."""
    return list(read_jsonl(part_path(corpus, part) / REJECTED))


def finished(corpus: Path | str, part: int) -> bool:
    """Whether a part is in its place; parts appear whole."""
    return part_path(corpus, part).is_dir()


def check_complete(corpus: Path | str) -> CorpusInfo:
    """The corpus's info, if all its parts are there.

    Raises:
        NotFoundError: no corpus, or parts are missing.
    """
    info = read_info(corpus)
    missing = [part for part in range(info.num_parts) if not finished(corpus, part)]
    if missing:
        raise NotFoundError(
            "all parts of a corpus must be written before it is read",
            f"{len(missing)} of {info.num_parts} are missing in {corpus}, the first is {missing[0]:05d}",
            "run the step that writes it again, it continues where it stopped",
        )
    return info


def read_corpus(corpus: Path | str) -> Iterator[Utterance]:
    """Yield all utterances, in order, one line in memory at a time.

    Raises:
        NotFoundError: no corpus, or parts are missing.
        InputError: a line that is not an utterance.
    """
    for part in range(check_complete(corpus).num_parts):
        yield from read_part(corpus, part)


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that one utterance breaks.

    Attributes:
        part: the part it lies in.
        id: of the utterance, or the number of its line where it has none.
        rule: what is wrong, as a sentence.
    """

    part: int
    id: str
    rule: str


def check_corpus(corpus: Path | str) -> Iterator[Problem | Utterance]:
    """Hold every utterance against the rules, one after the other; opens the head of each recording.

    Yields:
        all that is wrong with it, then the utterance itself; a line that holds none is only a problem.

    Raises:
        NotFoundError: no corpus, or parts are missing.
        InputError: a line that is not JSON, or no line at all.
    """
    seen: dict[str, int] = {}
    num_lines = 0
    num_parts = check_complete(corpus).num_parts
    for part in range(num_parts):
        directory = part_path(corpus, part)
        for number, row in enumerate(read_jsonl(directory / UTTERANCES), 1):
            num_lines += 1
            try:
                utterance = from_row(row, directory)
            except (KeyError, TypeError, ValueError) as error:
                name = row.get("id") if isinstance(row, dict) else None
                yield Problem(part, str(name or f"line {number}"), f"{_UTTERANCE}: {error!r}")
                continue
            if utterance.id in seen:
                yield Problem(part, utterance.id, f"its id occurs twice, first in part {seen[utterance.id]:05d}")
            seen.setdefault(utterance.id, part)
            for rule in problems_with(utterance):
                yield Problem(part, utterance.id, rule)
            yield utterance
    if not num_lines:
        num_rejected = sum(read_counts(corpus, part).num_rejected for part in range(num_parts))
        raise InputError(
            "a corpus must hold utterances",
            f"{corpus} holds none; {num_rejected} were rejected",
            f"see the reasons in {Path(corpus) / 'rejected.jsonl'}, then make it again",
        )


def validate_corpus(corpus: Path | str) -> Counts:
    """Hold every utterance against the rules; opens the head of each recording.

    Raises:
        NotFoundError: no corpus, or parts are missing.
        InputError: it holds no utterance; or naming how many break a rule, and the first ones with their rules.
    """
    counts, problems, wrong = Counts(), [], set()
    for found in check_corpus(corpus):
        if isinstance(found, Problem):
            wrong.add((found.part, found.id))
            problems.append(f"{found.id}: {found.rule}")
        else:
            counts += Counts(1, 0, found.seconds)
    if problems:
        raise InputError(
            "every utterance must have its recording, and words and phones in order within it",
            f"{len(wrong)} of {counts.num_utterances} do not: " + "; ".join(problems[:5]),
            "correct these utterances or write the corpus again",
        )
    return counts
