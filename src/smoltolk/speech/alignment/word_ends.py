"""Ends of words, carried on over sound that goes on as the word ended.

An aligner takes the fading end of a long vowel for silence as soon as silence fits it better: of a human voice a sixth
of the ends before a pause come more than 100 ms early. The sound there goes on as it was, only softer; another word
would sound otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from smoltolk.speech.alignment.aligned_words import AlignedWord
from smoltolk.speech.audio import num_frames
from smoltolk.speech.features import HOP, log_mel
from smoltolk.speech.pauses import LEVEL_RATE

_LONGEST = 30  # frames of 10 ms that an end is moved by at most; 0.28 s was the most that one lacked
_KNOWN = 4  # frames before an end that tell how the word ended
# Distance of shapes of spectra, in nats, at which sound is another one. Of right texts of one word, on recordings of a
# human voice, it must be 0.6 or more for the words to hold all that is loud; at 1.0 missing words are swallowed.
_OTHER_SOUND, _DRIFT = 0.7, 0.15
_BANDS = 20
_CONTEXT = 2  # frames on either side that a spectrum's window reaches into


def extend(words: Sequence[AlignedWord], waveform: np.ndarray, sounding: np.ndarray) -> None:
    """Move ends of words that come before a gap over the sound that goes on as they ended.

    Args:
        words: in order; their last phones are made longer in place.
        waveform: float [samples], 16 kHz.
        sounding: bool [frames of 10 ms], see :func:`smoltolk.speech.pauses.sounding_frames`.
    """
    for word, following in zip(words, [*(one.start for one in words[1:]), len(sounding) / LEVEL_RATE], strict=True):
        end = min(num_frames(word.end + 0.5 / LEVEL_RATE, LEVEL_RATE), len(sounding))
        stop = min(num_frames(following, LEVEL_RATE), end + _LONGEST, len(sounding))
        if end < _KNOWN or stop <= end or not sounding[end]:
            continue
        shapes = _shapes(waveform, end - _KNOWN, stop)
        reference, last = shapes[:_KNOWN].mean(0), end
        for shape in shapes[_KNOWN:]:
            if not sounding[last] or np.sqrt(np.mean((shape - reference) ** 2)) > _OTHER_SOUND:
                break
            reference += _DRIFT * (shape - reference)
            last += 1
        name, start, behind = word.phones[-1]
        word.phones[-1] = (name, start, max(behind, last / LEVEL_RATE))


def _shapes(waveform: np.ndarray, first: int, stop: int) -> np.ndarray:
    """Log spectra without their level, [frames, bands]."""
    before = min(first, _CONTEXT)
    samples = torch.from_numpy(waveform[(first - before) * HOP : (stop + _CONTEXT) * HOP].astype(np.float32))
    mel = log_mel(samples[None], before + stop - first)[0, :, before:].numpy()
    bands = mel.reshape(_BANDS, -1, mel.shape[-1]).mean(1).T
    return bands - bands.mean(1, keepdims=True)
