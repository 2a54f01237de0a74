"""Utterances as units, in memory: flat columns with access by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smoltolk.data.shards.columns import Coded, Ragged, Strings, offsets
from smoltolk.speech.segments import Segment

SCHEMA_VERSION = 1
WORD = pa.struct([("text", pa.string()), ("start", pa.float32()), ("end", pa.float32())])


@dataclass(frozen=True, slots=True)
class ShardMetadata:
    """What the units of a shard mean.

    Attributes:
        frame_rate: frames per second; durations count these frames.
        fingerprint: hex string of the unit tokenizer (encoder and codebook).
        num_units: size of the codebook, or of each of several; every unit is below it.
        schema_version: of the file format.
        num_codebooks: Q, units of a frame.
    """

    frame_rate: float
    fingerprint: str
    num_units: int
    schema_version: int = SCHEMA_VERSION
    num_codebooks: int = 1


@dataclass(frozen=True, slots=True)
class UnitUtterance:
    """One utterance as units.

    Attributes:
        words: in order, times in seconds (kept as float32).
        units: uint16 [n], no two neighbours equal; of several codebooks [n, Q], one row a frame, as they are.
        durations: uint16 [n], frames of each unit, >= 1; of several codebooks all 1.
        seconds: length of the recording.
    """

    id: str
    text: str
    words: tuple[Segment, ...]
    units: np.ndarray
    durations: np.ndarray
    speaker: str
    language: str
    source: str
    seconds: float


class UnitCorpus(Sequence[UnitUtterance]):
    """Shards in memory as flat columns: about 8 bytes a unit and 12 a word, picklable, read only.

    ``corpus[i]`` builds a :class:`UnitUtterance`; the methods give single columns without building one.

    Attributes:
        metadata: of the units.
        seconds: float64 [num_utterances].
    """

    def __init__(self, metadata: ShardMetadata, tables: Sequence[pa.Table]):
        table = pa.concat_tables(tables)
        self.metadata = metadata
        self.seconds: np.ndarray = table["seconds"].to_numpy()
        self._ids, self._texts = Strings(table["id"]), Strings(table["text"])
        self._speakers, self._languages, self._sources = (
            Coded(table[name]) for name in ("speaker", "language", "source")
        )
        self._units, self._durations = Ragged(table["units"]), Ragged(table["durations"])
        words = pa.chunked_array([chunk.flatten() for chunk in table["words"].chunks], type=WORD)
        self._word_offsets = offsets(pc.list_value_length(table["words"]))
        self._word_texts = Coded(pc.struct_field(words, "text"))
        self._word_starts, self._word_ends = (pc.struct_field(words, n).to_numpy() for n in ("start", "end"))

    def __len__(self) -> int:
        return len(self.seconds)

    def __getitem__(self, index: int) -> UnitUtterance:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(f"utterance {index} of {len(self)}")
        index %= len(self)
        texts, starts, ends = self.words(index)
        return UnitUtterance(
            id=self.id(index),
            text=self.text(index),
            words=tuple(Segment(t, float(s), float(e)) for t, s, e in zip(texts, starts, ends, strict=True)),
            units=self.units(index),
            durations=self.durations(index),
            speaker=self._speakers[index],
            language=self._languages[index],
            source=self._sources[index],
            seconds=float(self.seconds[index]),
        )

    def __iter__(self) -> Iterator[UnitUtterance]:
        return (self[index] for index in range(len(self)))

    def id(self, index: int) -> str:
        """Identifier of one utterance."""
        return self._ids[index]

    def text(self, index: int) -> str:
        """Text of one utterance."""
        return self._texts[index]

    def source(self, index: int) -> str:
        """Name of the corpus that one utterance comes from."""
        return self._sources[index]

    @property
    def source_names(self) -> list[str]:
        """Names of all corpora."""
        return self._sources.values

    @property
    def source_codes(self) -> np.ndarray:
        """int32 [num_utterances]: of each utterance, the place of its corpus in :attr:`source_names`."""
        return self._sources.codes

    def units(self, index: int) -> np.ndarray:
        """uint16 [n], or [n, Q] of several codebooks, a view."""
        return self._units[index]

    def durations(self, index: int) -> np.ndarray:
        """uint16 [n] frames, a view."""
        return self._durations[index]

    def words(self, index: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        """``(texts [w], starts float32 [w], ends float32 [w])`` of one utterance, times in seconds."""
        start, stop = self._word_offsets[index], self._word_offsets[index + 1]
        return (
            [self._word_texts[position] for position in range(start, stop)],
            self._word_starts[start:stop],
            self._word_ends[start:stop],
        )

    @property
    def num_units_each(self) -> np.ndarray:
        """int64 [num_utterances]: units of each utterance; of several codebooks, frames."""
        return np.diff(self._units.offsets)

    @property
    def num_words_each(self) -> np.ndarray:
        """int64 [num_utterances]: words of each utterance."""
        return np.diff(self._word_offsets)
