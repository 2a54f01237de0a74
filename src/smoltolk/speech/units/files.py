"""Units of audio files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.rejection import Rejected, do_each, do_together
from smoltolk.speech.audio import load
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer

_RECORDINGS, _SECONDS = 16, 600.0  # in memory at a time at most; one recording alone may be longer

Heard = tuple[Path, np.ndarray]


def encode_files(
    tokenizer: UnitTokenizer,
    paths: Sequence[Path],
    rejected: list[Rejected] | None = None,
    strange: Callable[[float | None, str], None] | None = None,
) -> Iterator[tuple[Path, Units]]:
    """Units of each file, in order.

    A recording is held whole: an hour takes 230 MB at 16 kHz, and up to three times as much again while its units are
    computed.

    Args:
        tokenizer: where it shall compute.
        paths: of audio, at any rate and with any number of channels.
        rejected: gets files that cannot be used, and the others are encoded; None: the first such file is an error.
        strange: told of each file how far it is from those that the units were learnt for.

    Raises:
        NotFoundError: no such file.
        InputError: a file is damaged, or too short for a frame; it says which file.
    """

    def encode(group: Sequence[Heard]) -> list[Units]:
        try:
            return tokenizer.encode([waveform for _, waveform in group])
        except InputError as error:
            if len(group) > 1:
                raise
            raise InputError(error.rule, f"{error.found} in {group[0][0]}", error.fix) from error

    for group in _groups(paths, tokenizer.sample_rate, rejected):
        if rejected is None:
            encoded = _all_or_first(group, encode)
        else:
            encoded = do_together(group, encode, lambda one: str(one[0]), rejected)
        for (path, waveform), units in encoded:
            if strange is not None:
                strange(tokenizer.strangeness(waveform), str(path))
            yield path, units


def _all_or_first(
    group: Sequence[Heard], encode: Callable[[Sequence[Heard]], list[Units]]
) -> list[tuple[Heard, Units]]:
    try:
        encoded = encode(group)
    except InputError:
        encoded = [encode([one])[0] for one in group]
    return list(zip(group, encoded, strict=True))


def _groups(paths: Sequence[Path], sample_rate: int, rejected: list[Rejected] | None) -> Iterator[list[Heard]]:
    group: list[Heard] = []
    held = 0
    if rejected is None:
        loaded: Iterator[Heard] = ((path, load(path, sample_rate)) for path in paths)
    else:
        loaded = do_each(paths, lambda path: load(path, sample_rate), str, rejected)
    for path, waveform in loaded:
        if group and (len(group) == _RECORDINGS or held + len(waveform) > _SECONDS * sample_rate):
            yield group
            group, held = [], 0
        group.append((path, waveform))
        held += len(waveform)
    if group:
        yield group
