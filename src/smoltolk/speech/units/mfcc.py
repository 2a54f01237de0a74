"""MFCC: features without any training, for a codebook where there are neither labels nor a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smoltolk.common.errors import InputError
from smoltolk.speech import features
from smoltolk.speech.audio import check_waveform, num_frames
from smoltolk.speech.units.batching import on_threads
from smoltolk.speech.units.encoders import FrameEncoder, Reduce, too_short

NUM_CEPSTRA = 13
_REACH = 2  # hops on either side that a slope is fitted to
_PIECE = 6000  # hops that are transformed at once, to bound memory; each is transformed by itself


class MfccEncoder(FrameEncoder):
    """39 numbers a frame: 13 cepstra, their slopes and the slopes of these, each over its recording's mean and spread.

    Hops of 10 ms are averaged to frames. Recordings are computed whole, each by itself.

    Args:
        frame_rate: 100, 50, 25 or 20 Hz.

    Raises:
        InputError: another rate.
    """

    KIND = "mfcc"
    kind = KIND

    def __init__(self, frame_rate: float = 25.0):
        if frame_rate not in (100, 50, 25, 20):
            raise InputError("MFCC frames come at 100, 50, 25 or 20 Hz", f"{frame_rate}", "choose one of them")
        self.sample_rate = features.SAMPLE_RATE
        self.frame_rate = float(frame_rate)
        self.dim = 3 * NUM_CEPSTRA
        self.network = nn.Module()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MfccEncoder:
        """Of what :meth:`config` returned."""
        return cls(config["frame_rate"])

    def config(self) -> dict[str, Any]:
        return {"kind": self.KIND, "frame_rate": self.frame_rate, "num_cepstra": NUM_CEPSTRA, "windows": "none"}

    def features(self, waveforms: Sequence[np.ndarray], reduce: Reduce | None = None) -> list[Tensor]:
        def one(waveform: np.ndarray) -> Tensor:
            made = torch.from_numpy(self._of(waveform))
            return made if reduce is None else reduce(made)

        return on_threads(one, waveforms, [len(waveform) for waveform in waveforms])

    def _of(self, waveform: np.ndarray) -> np.ndarray:
        waveform = check_waveform(waveform)
        frames = num_frames(len(waveform) / self.sample_rate, self.frame_rate)
        per_frame = round(features.HOP_RATE / self.frame_rate)
        if frames == 0:
            raise too_short(len(waveform), per_frame * features.HOP)
        cepstra = mfcc(features.log_mel_of(waveform, frames * per_frame).numpy())
        return cepstra.reshape(frames, per_frame, -1).mean(1)


def mfcc(log_mel_MT: np.ndarray) -> np.ndarray:
    """Cepstra with slopes, float32 ``[hops, 39]``, of one recording's log-mel ``[80, hops]``.

    A DCT-II over mel bands, slopes by least squares over five hops, and zero mean and unit variance over the
    recording (Davis and Mermelstein 1980; Furui 1986).
    """
    import scipy.fft  # here: it takes longer than all else that this module needs, and most units are not made of these

    pieces = [log_mel_MT[:, start : start + _PIECE] for start in range(0, log_mel_MT.shape[1], _PIECE)]
    cepstra = np.concatenate(
        [scipy.fft.dct(piece.astype(np.float64), axis=0, norm="ortho")[:NUM_CEPSTRA].T for piece in pieces]
    )
    slopes = _slopes(cepstra)
    joined = np.concatenate([cepstra, slopes, _slopes(slopes)], axis=1)
    spread = joined.std(0)
    joined -= joined.mean(0)
    # What does not move (a silent file) stays zero instead of turning into amplified noise.
    joined /= np.maximum(spread, 1e-3)
    return joined.astype(np.float32)


def _slopes(values_TD: np.ndarray) -> np.ndarray:
    padded = np.pad(values_TD, ((_REACH, _REACH), (0, 0)), mode="edge")
    hops = len(values_TD)
    steps = range(1, _REACH + 1)
    rising = [k * (padded[_REACH + k :][:hops] - padded[_REACH - k :][:hops]) for k in steps]
    return np.sum(rising, axis=0) / (2 * sum(k * k for k in steps))
