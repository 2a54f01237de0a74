"""Units of audio files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.speech.audio import load
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer

_RECORDINGS, _SECONDS = 16, 600.0  # in memory at a time at most; one recording alone may be longer


def encode_files(tokenizer: UnitTokenizer, paths: Sequence[Path]) -> Iterator[tuple[Path, Units]]:
    """Units of each file, in order.

    A recording is held whole: an hour takes 230 MB at 16 kHz, and up to three times as much again while its units are
    computed.

    Args:
        tokenizer: where it shall compute.
        paths: of audio, at any rate and with any number of channels.

    Raises:
        NotFoundError: no such file.
        InputError: a file is damaged, or too short for a frame; it says which file.
    """
    for group in _groups(paths, tokenizer.sample_rate):
        try:
            encoded = tokenizer.encode([waveform for _, waveform in group])
        except InputError:
            encoded = [_alone(tokenizer, path, waveform) for path, waveform in group]
        yield from ((path, units) for (path, _), units in zip(group, encoded, strict=True))


def _groups(paths: Sequence[Path], sample_rate: int) -> Iterator[list[tuple[Path, np.ndarray]]]:
    group: list[tuple[Path, np.ndarray]] = []
    held = 0
    for path in paths:
        waveform = load(path, sample_rate)
        if group and (len(group) == _RECORDINGS or held + len(waveform) > _SECONDS * sample_rate):
            yield group
            group, held = [], 0
        group.append((path, waveform))
        held += len(waveform)
    if group:
        yield group


def _alone(tokenizer: UnitTokenizer, path: Path, waveform: np.ndarray) -> Units:
    try:
        return tokenizer.encode([waveform])[0]
    except InputError as error:
        raise InputError(error.rule, f"{error.found} in {path}", error.fix) from error
