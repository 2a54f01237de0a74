"""Dialogues as ids: recordings become units, once each, and every dialogue a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.processes import num_processes, rank
from smoltolk.common.progress import Bar
from smoltolk.common.rejection import BAD_ITEM, Rejected, do_each, do_together
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.data.rows.turns import Segment, Turn, TurnDocument, turn_document
from smoltolk.data.shards.unit_cache import UnitCache, digest_of
from smoltolk.model.ids import IGNORE, IdSpace
from smoltolk.speech.audio import load
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.training.processes import wait_for_all
from smoltolk.training.tuning.dialogues import Dialogue
from smoltolk.training.tuning.messages import Message

_AT_ONCE = 16  # recordings


@dataclass(frozen=True, slots=True)
class Encoded:
    """A dialogue as ids.

    Attributes:
        chosen: with its answers; of a preference, with the better one.
        rejected: of a preference, with the worse one.
    """

    chosen: TurnDocument
    rejected: TurnDocument | None = None

    def __len__(self) -> int:
        """Of the longer document."""
        return max(len(self.chosen), 0 if self.rejected is None else len(self.rejected))


class Recordings:
    """Units of recordings, made once for each tokenizer and kept.

    Args:
        tokenizer: makes them.
        cache: as for :class:`~smoltolk.data.shards.unit_cache.UnitCache`.
    """

    def __init__(self, tokenizer: UnitTokenizer, cache: Path | None = None):
        self._tokenizer, self._cache = tokenizer, UnitCache(tokenizer.fingerprint, cache)
        self.num_made = 0

    def units_of(
        self, paths: Iterable[Path], rejected: list[Rejected], progress: Bar | None = None
    ) -> dict[Path, np.ndarray]:
        """Units [n] of each recording, of several codebooks frames [n, Q]; each is asked for once.

        Several processes make a share each, and read what the others have made.

        Args:
            paths: recordings.
            rejected: gets those that are none.
            progress: advanced by recordings.
        """
        wanted, found = list(dict.fromkeys(paths)), dict[Path, np.ndarray]()
        if num_processes() > 1:
            found = self._units_of(wanted[rank() :: num_processes()], [], progress)  # all tell of all that are none
            wait_for_all()
        return found | self._units_of([path for path in wanted if path not in found], rejected, progress)

    def _units_of(
        self, paths: Sequence[Path], rejected: list[Rejected], progress: Bar | None
    ) -> dict[Path, np.ndarray]:
        found: dict[Path, np.ndarray] = {}
        waiting: list[tuple[Path, str]] = []
        for path in paths:
            try:
                digest = digest_of(path.read_bytes())
            except (*BAD_ITEM, FileNotFoundError) as error:
                rejected.append(Rejected.because(str(path), error))
                continue
            kept = self._cache.read(digest)
            if kept is None:
                waiting.append((path, digest))
            else:
                found[path] = kept.units
            if len(waiting) == _AT_ONCE:
                found |= self._made(waiting, rejected)
                waiting = []
            if progress is not None:
                progress.advance()
        return found | self._made(waiting, rejected)

    def _made(self, waiting: Sequence[tuple[Path, str]], rejected: list[Rejected]) -> dict[Path, np.ndarray]:
        made = do_together(waiting, self._encode, lambda one: str(one[0]), rejected)
        for (_, digest), units in made:
            self._cache.write(digest, units)
        self.num_made += len(made)
        return {path: units.units for (path, _), units in made}

    def _encode(self, waiting: Sequence[tuple[Path, str]]) -> list[Units]:
        return self._tokenizer.encode([load(path, self._tokenizer.sample_rate) for path, _ in waiting])


def encode_dialogues(
    dialogues: Sequence[Dialogue],
    space: IdSpace,
    tokenizer: Any,
    units: dict[Path, np.ndarray],
    rejected: list[Rejected],
    *,
    longest: int,
    predict_switch: bool = False,
) -> list[Encoded]:
    """Dialogues as documents.

    Args:
        dialogues: as they were read.
        space: the id space.
        tokenizer: of the text.
        units: of their recordings.
        rejected: gets dialogues that are too long, or one of whose recordings has no units.
        longest: ids of a dialogue.
        predict_switch: as for :func:`~smoltolk.data.rows.turns.turn_document`.
    """
    words: dict[str, np.ndarray] = {}

    def segment(part: str | Path) -> Segment:
        if isinstance(part, Path):
            if part not in units or not len(units[part]):
                raise InputError("a recording has units", f"{part} has none", "see what was said of it, or replace it")
            return True, units[part]
        if part not in words:
            words[part] = np.asarray(plain_ids(tokenizer, part), np.int64)
        return False, words[part]

    def document(messages: Sequence[Message]) -> TurnDocument:
        turns = [Turn(one.is_answer, tuple(map(segment, one.parts)), one.is_learned) for one in messages]
        made = turn_document(space, turns, predict_switch=predict_switch)
        if len(made) > longest:
            raise InputError(
                "a dialogue fits into a row",
                f"{len(made):,} ids in rows of {longest:,}",
                "lengthen the rows (--row-length) up to what the model holds, or cut the dialogue",
            )
        return made

    def encoded(dialogue: Dialogue) -> Encoded:
        worse = None if dialogue.rejected is None else document(dialogue.rejected)
        return Encoded(document(dialogue.messages), worse)

    return [made for _, made in do_each(dialogues, encoded, lambda one: one.place, rejected)]


def answer_labels(document: TurnDocument) -> np.ndarray:
    """The labels of the last answer alone, int64 ``[length]``."""
    labels = document.labels.copy()
    labels[: document.asked] = IGNORE
    return labels
