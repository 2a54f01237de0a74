"""A corpus gets word times: the same recordings and texts, aligned, in a new corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import read_jsonl, write_json
from smoltolk.common.lock import hold
from smoltolk.data.corpora.collecting import make_corpus
from smoltolk.data.corpora.corpus import Counts, check_complete, read_corpus, read_info
from smoltolk.data.corpora.making import Making, file_state
from smoltolk.data.corpora.said import Said, said_of
from smoltolk.data.corpora.timing import OFFLINE
from smoltolk.data.corpora.utterances import Utterance
from smoltolk.speech.audio import load

REPORT = "alignment.json"


@dataclass(frozen=True)
class _Known:
    """An utterance of another corpus, taken without its words."""

    utterance: Utterance

    @property
    def id(self) -> str:
        return self.utterance.id

    @property
    def names(self) -> dict[str, str]:
        return {name: getattr(self.utterance, name) for name in ("speaker", "language", "source")}

    @property
    def place(self) -> str:
        return str(self.utterance.audio)

    @property
    def origin(self) -> str:
        return self.utterance.origin

    @property
    def original(self) -> Path | None:
        return self.utterance.audio

    def identity(self) -> tuple[str | int | float, ...]:
        one = self.utterance
        state = file_state(one.audio) if one.audio is not None else ()
        return self.id, one.text, one.seconds, one.speaker, one.language, one.source, one.origin, *state

    def said(self) -> Said:
        return said_of(" ".join(self.utterance.text.split()), (), (), f"utterance {self.id}")

    def sound(self) -> np.ndarray:
        if self.utterance.audio is None:
            raise NotFoundError("words are found in a recording", "it has none", "give it one")
        return load(self.utterance.audio)


@dataclass(frozen=True)
class _Utterances:
    corpus: Path

    def __iter__(self) -> Iterator[_Known]:
        return (_Known(utterance) for utterance in read_corpus(self.corpus))


def align_corpus(
    corpus: Path | str,
    out_dir: Path | str,
    *,
    aligner: str = OFFLINE,
    language: str = "en",
    phones: bool = True,
    lowest_confidence: float | None = None,
    longest: float | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Find the words of every utterance of a corpus, and their confidence, and write a corpus that has them.

    Words that the corpus has are found anew. Its recordings are linked, not copied, where the file system can; those
    that are cut are written as flac. What is dropped goes to ``rejected.jsonl``, and is counted in
    ``alignment.json``.

    Args:
        corpus: stays as it is.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        aligner: see :func:`smoltolk.data.corpora.timing.aligner_of`.
        language: of the texts, ISO 639-1: the aligner spells numbers out in it.
        phones: find the phones too, where the aligner can; phone units are fitted on them.
        lowest_confidence: alignments below it are dropped; None: the aligner's usual limit.
        longest: seconds; longer recordings are cut at pauses, and pieces that do not say their text are dropped.
        workers: processes; None means one per processor, 0 this one.

    Returns:
        the report; see :func:`report_on`.

    Raises:
        NotFoundError: no corpus, or parts of it are missing.
        InputError: ``out_dir`` is the corpus itself or holds another one, or nothing could be aligned.
        MissingExtraError: the aligner is not installed.
        WorkerError: a worker was killed; the same call continues.
    """
    corpus, out_dir = Path(corpus), Path(out_dir)
    info = check_complete(corpus)
    if corpus.resolve() == out_dir.resolve():
        raise InputError("an aligned corpus is another one", f"{out_dir} twice", "give another place")
    making = Making(
        source=info.source,
        language=language,
        aligner=aligner,
        phones=phones,
        lowest_confidence=lowest_confidence,
        longest=longest,
        sound="hardlink",
    )
    limit = making.get_limits().confidence
    with hold(out_dir):
        counts = make_corpus(_Utterances(corpus), out_dir, making, place=corpus, workers=workers)
        report = {"aligner": aligner, "lowest_confidence": limit, **report_on(out_dir, counts)}
        write_json(out_dir / REPORT, report)
    return report


def report_on(corpus: Path, counts: Counts) -> dict[str, Any]:
    """What an alignment found and what it dropped.

    Args:
        corpus: an aligned one.
        counts: its own.

    Returns:
        ``asked``: recordings; ``utterances``, ``hours``, ``words``: kept; ``confidence``: what 5, 50 and 95 of
        100 words stay below; ``dropped``: how many for each reason.
    """
    sure = np.concatenate([np.zeros(0), *(utterance.confidences for utterance in read_corpus(corpus))])
    known = sure[np.isfinite(sure)]
    rejected = read_jsonl(corpus / "rejected.jsonl")
    reasons = Counter(row["reason"].splitlines()[0] for row in rejected)
    return {
        "asked": read_info(corpus).num_utterances,
        "utterances": counts.num_utterances,
        "hours": counts.seconds / 3600,
        "words": len(sure),
        "confidence": {f"p{q}": float(np.percentile(known, q)) for q in (5, 50, 95)} if len(known) else {},
        "dropped": dict(reasons.most_common()),
    }
