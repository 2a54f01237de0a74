"""Units of a task's recordings: made once and kept by what is heard and by whom, or looked up among shards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from smoltolk.common.errors import InputError, SmolTolkError, first_line
from smoltolk.common.progress import Bar
from smoltolk.data.shards.lookup import units_by_id
from smoltolk.data.shards.parquet import common_metadata, shard_paths
from smoltolk.data.shards.unit_cache import UnitCache, digest_of
from smoltolk.evaluation.tasks.items import Segment, Sound, SoundFile, Spoken
from smoltolk.speech.audio import load, resample
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer

Failed = str  # why a recording has no units
_AT_ONCE = 16  # recordings


class UnitSource(Protocol):
    """Where units come from.

    Attributes:
        fingerprint: of their tokenizer.
        num_units, num_codebooks: of their codebook.
        frame_rate: frames a second.
    """

    fingerprint: str
    num_units: int
    num_codebooks: int
    frame_rate: float

    def describe(self) -> dict[str, Any]:
        """For results files."""

    def of(self, groups: Sequence[tuple[Sound, ...]], progress: Bar | None = None) -> list[Units | Failed]:
        """Units of each group of recordings, which are joined in time; or why there are none."""


class EncodedUnits:
    """Units that are made from recordings.

    They are kept under ``CACHE/FINGERPRINT``, named by the content of the recordings: the same recordings are never
    encoded again, wherever they lie.

    Args:
        tokenizer: makes them.
        synthesizer: a name, as ``smoltolk speak`` takes it, of what speaks texts that have no recording; None: none.
        cache: default: ``$SMOLTOLK_CACHE/units``.
    """

    def __init__(self, tokenizer: UnitTokenizer, synthesizer: str | None = None, cache: Path | None = None):
        self._tokenizer, self._synthesizer = tokenizer, synthesizer
        self._speaks: Any = None
        self._voices: Sequence[Any] = ()
        self.fingerprint, self.num_units = tokenizer.fingerprint, tokenizer.num_units
        self.num_codebooks, self.frame_rate = tokenizer.num_codebooks, tokenizer.frame_rate
        self._cache = UnitCache(self.fingerprint, cache)
        self.num_made = 0

    def describe(self) -> dict[str, Any]:
        """Fingerprint and kind."""
        about = {"fingerprint": self.fingerprint, "kind": self._tokenizer.KIND, "num_units": self.num_units}
        return about | ({"synthesizer": self._synthesizer} if self._synthesizer else {})

    def of(self, groups: Sequence[tuple[Sound, ...]], progress: Bar | None = None) -> list[Units | Failed]:
        """See :class:`UnitSource`. Recordings that cannot be read are told, not raised."""
        found: dict[tuple[Sound, ...], Units | Failed] = {}
        waiting: list[tuple[tuple[Sound, ...], str, np.ndarray]] = []
        for group in dict.fromkeys(groups):
            try:
                digest = self._digest_of(group)
                kept = self._cache.read(digest)
                if kept is None:
                    waiting.append((group, digest, np.concatenate([self._waveform(sound) for sound in group])))
                else:
                    found[group] = kept
            except (SmolTolkError, OSError) as error:
                found[group] = first_line(error)
            if len(waiting) == _AT_ONCE:
                found |= self._made(waiting)
                waiting = []
            if progress is not None:
                progress.advance()
        found |= self._made(waiting)
        return [found[group] for group in groups]

    def check_synthesizer(self) -> None:
        """Load what speaks.

        Raises:
            MissingExtraError, NotFoundError, InputError: there is none of that name here.
        """
        if self._speaks is None and self._synthesizer is not None:
            from smoltolk.speech.synthesis.synthesizers import synthesizer_named

            self._speaks = synthesizer_named(self._synthesizer)
            self._voices = self._speaks.voices(1, 0, "seen")

    def _digest_of(self, group: tuple[Sound, ...]) -> str:
        parts = [sound.content() for sound in group]
        if any(isinstance(sound, Spoken) for sound in group):
            parts.append(f"spoken by {self._synthesizer}".encode())
        return digest_of(b"\x1e".join(parts) if len(parts) > 1 else parts[0])

    def _waveform(self, sound: Sound) -> np.ndarray:
        rate = self._tokenizer.sample_rate
        if isinstance(sound, SoundFile):
            return load(sound.path, rate)
        if isinstance(sound, Spoken):
            return self._spoken(sound, rate)
        with tempfile.NamedTemporaryFile() as file:
            file.write(sound.content())
            file.flush()
            return load(file.name, rate)

    def _spoken(self, sound: Spoken, rate: int) -> np.ndarray:
        if self._synthesizer is None:
            raise InputError(
                "a text that is to be heard needs a recording or a synthesizer", sound.name, "give --synthesizer espeak"
            )
        self.check_synthesizer()
        said = self._speaks.speak(sound.text, self._voices[sound.voice % len(self._voices)])
        return resample(said.waveform, said.sample_rate, rate)

    def _made(self, waiting: Sequence[tuple[tuple[Sound, ...], str, np.ndarray]]) -> dict[Any, Units | Failed]:
        if not waiting:
            return {}
        made: dict[Any, Units | Failed] = {}
        for (group, digest, _), units in zip(waiting, self._encoded([w for _, _, w in waiting]), strict=True):
            made[group] = units
            if not isinstance(units, str):
                self._cache.write(digest, units)
                self.num_made += 1
        return made

    def _encoded(self, waveforms: Sequence[np.ndarray]) -> list[Units | Failed]:
        """Units of each; what one of them lacks, e.g. a frame, is told of that one alone."""
        try:
            return list(self._tokenizer.encode(waveforms))
        except SmolTolkError as error:
            if len(waveforms) == 1:
                return [first_line(error)]
        return [units for waveform in waveforms for units in self._encoded([waveform])]


class StoredUnits:
    """Units of shards: of each recording the utterance that is called as ``smoltolk corpus folder`` would call it.

    Args:
        shards: a directory.
        names: of all recordings that will be asked for.

    Raises:
        NotFoundError, InputError: no shards, a damaged one, or shards of several tokenizers.
    """

    def __init__(self, shards: Path | str, names: Iterable[str]):
        metadata = common_metadata(shard_paths(shards), None)
        self.fingerprint, self.num_units = metadata.fingerprint, metadata.num_units
        self.num_codebooks, self.frame_rate = metadata.num_codebooks, metadata.frame_rate
        self._shards, self._found = shards, units_by_id(shards, set(names))

    def describe(self) -> dict[str, Any]:
        """Fingerprint and place."""
        return {"fingerprint": self.fingerprint, "kind": "stored", "num_units": self.num_units}

    def of(self, groups: Sequence[tuple[Sound, ...]], progress: Bar | None = None) -> list[Units | Failed]:
        """See :class:`UnitSource`."""
        units: list[Units | Failed] = []
        for group in groups:
            if len(group) > 1:
                units.append("stored units cannot be joined in time: they need joint=kept or joint=collapsed")
            else:
                units.append(self._found.get(group[0].name, f"no utterance {group[0].name!r} among the shards"))
        return units


def sounds_in(segments: Iterable[Segment]) -> list[Sound]:
    """Those of segments that are heard and have no units yet."""
    return [segment.sound for segment in segments if segment.sound is not None and segment.units is None]
