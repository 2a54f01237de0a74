"""A spoken corpus -> shards of units, one for each part; a second run continues where the first stopped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from smoltolk.common.errors import InputError
from smoltolk.common.files import remove_leftovers
from smoltolk.common.lock import hold
from smoltolk.common.progress import bar
from smoltolk.data.corpora.corpus import Counts, check_complete, read_counts
from smoltolk.data.shards.doubtful_words import LOWEST
from smoltolk.data.shards.encoding import PartJob, encode_part, start_worker
from smoltolk.data.shards.engine import Engine, spread
from smoltolk.data.shards.parts import PartFiles, claim_shards, gather
from smoltolk.data.shards.unit_corpus import ShardMetadata
from smoltolk.speech.units.kinds import load_unit_tokenizer


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the work that one of several machines does: ``Share(2, 3)`` is the second of three.

    Attributes:
        number: from 1.
        count: how many machines.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise _wrong_share(f"{self.number}/{self.count}")

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read ``"2/3"``.

        Raises:
            InputError: not of this form, or outside ``1/n .. n/n``.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if found is None:
            raise _wrong_share(repr(text))
        return cls(int(found[1]), int(found[2]))

    def __contains__(self, part: int) -> bool:
        return part % self.count == self.number - 1


def prepare(
    corpus_dir: Path | str,
    tokenizer_dir: Path | str,
    out_dir: Path | str,
    *,
    workers: int | None = None,
    share: Share | None = None,
    engine: Engine = Engine.PROCESSES,
    device: str | None = None,
    word_confidence: float = LOWEST,
) -> Counts:
    """Turn every recording of a corpus into units.

    Writes ``part-00000.parquet`` and so on; what cannot be read goes to ``rejected.jsonl`` with its reason.
    Finished shards are skipped on a second run; the result does not depend on workers, shares or engine.

    Several machines can share the work, with one ``out_dir`` that all of them see or one each: every machine writes
    the shards of its parts and nothing else of the others. Where the directories differ, put their files into one
    and run without ``share``: that encodes nothing again, and brings ``rejected.jsonl`` together.

    Args:
        corpus_dir: as :mod:`smoltolk.data.corpora.corpus` describes.
        tokenizer_dir: a saved unit tokenizer.
        out_dir: a new directory, or one that an earlier, equal call has begun to fill.
        workers: processes, each with one thread; None means one per processor, 0 this one.
        share: which parts; None: all.
        engine: what runs the workers, see :func:`smoltolk.data.shards.engine.spread`.
        device: of the encoder, e.g. ``"cuda"``; None: where the tokenizer loads.
        word_confidence: words that the aligner found with less, 0 to 1, are joined to their neighbours, see
            :func:`smoltolk.data.shards.doubtful_words.join_doubtful`; 0: none.

    Returns:
        Counts over the parts finished in ``out_dir``, those of earlier runs and other machines included.

    Raises:
        NotFoundError: no corpus, no tokenizer, or parts of the corpus are missing.
        InputError: a confidence outside 0 to 1, ``out_dir`` holds units of another corpus or tokenizer, no recording
            could be used, or the tokenizer does not run on this device.
        WorkerError: a worker was killed; the same call continues.
        OSError: the disk is full; nothing half-written is left.
    """
    corpus_dir, out_dir = Path(corpus_dir), Path(out_dir)
    if not 0 <= word_confidence <= 1:
        raise InputError("a confidence lies between 0 and 1", f"{word_confidence:g}", "give e.g. 0.1")
    info = check_complete(corpus_dir)
    tokenizer = load_unit_tokenizer(tokenizer_dir)
    if device is not None and engine is Engine.PROCESSES:
        tokenizer.to(device)  # a wrong one is told before any worker starts; under Ray the GPUs may be elsewhere
    metadata = ShardMetadata(
        tokenizer.frame_rate, tokenizer.fingerprint, tokenizer.num_units, num_codebooks=tokenizer.num_codebooks
    )
    del tokenizer
    with hold(out_dir, "" if share is None else f"{share.number}-of-{share.count}"):
        wanted = {"corpus": info.digest, "source": info.source, "tokenizer": asdict(metadata)}
        claim_shards(out_dir, {**wanted, "word_confidence": word_confidence}, info.num_parts)
        jobs = [
            PartJob(corpus_dir, part, PartFiles.of(out_dir, part), metadata, word_confidence)
            for part in range(info.num_parts)
        ]
        mine = jobs if share is None else [job for job in jobs if job.part in share]
        for directory in (out_dir, out_dir / "rejected"):
            names = {name for job in mine for name in (job.files.shard.name, job.files.rejected.name)}
            remove_leftovers(directory, None if share is None else names)
        todo = [job for job in mine if not job.files.finished]
        _encode(todo, Path(tokenizer_dir), corpus_dir, workers=workers, engine=engine, device=device)
        return gather(out_dir, [job.files for job in jobs], metadata)


def _encode(
    todo: Sequence[PartJob],
    tokenizer_dir: Path,
    corpus_dir: Path,
    *,
    workers: int | None,
    engine: Engine,
    device: str | None,
) -> None:
    if not todo:
        return
    seconds = [read_counts(corpus_dir, job.part).seconds for job in todo]
    with bar(f"units of {corpus_dir.name}", sum(seconds), "s of speech") as progress:
        done = spread(
            encode_part,
            todo,
            engine=engine,
            workers=workers,
            initializer=start_worker,
            initargs=(tokenizer_dir, device, workers != 0),
            gpu=device is not None and device != "cpu",
        )
        spent = encoding = 0.0
        for part_seconds, times in zip(seconds, done, strict=True):
            spent, encoding = spent + times.seconds, encoding + times.encoder_seconds
            progress.note(f"{encoding / spent:.0%} of the time in the encoder")
            progress.advance(part_seconds)


def _wrong_share(found: str) -> InputError:
    return InputError("a share is i/n with 1 <= i <= n", found, "give 1/3, 2/3 and 3/3 to three machines")
