"""MFCC: what its numbers are, and that units can be made of them."""

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech.units.codebook import fit_codebook
from smoltolk.speech.units.encoder_units import EncoderUnitTokenizer
from smoltolk.speech.units.mfcc import MfccEncoder, mfcc


def test_cepstra_of_a_mel_spectrum_by_hand() -> None:
    """One cosine over the bands is one cepstrum; a ramp over time has a constant slope and no second one."""
    bands = np.cos(np.pi * 3 * (np.arange(80) + 0.5) / 80)
    ramp = np.arange(100.0)
    made = mfcc(bands[:, None] * ramp[None])
    assert made.shape == (100, 39) and made.dtype == np.float32
    assert np.corrcoef(made[:, 3], ramp)[0, 1] > 0.9999
    moving = np.abs(made).max(0) > 0.1
    assert moving[3] and not moving[[k for k in range(13) if k != 3]].any()
    # Before normalisation the slope is 1 inside and less at the ends: afterwards it is flat but there.
    assert np.ptp(made[10:90, 13 + 3]) < 1e-3 and np.ptp(made[10:90, 26 + 3]) < 1e-3


def test_features_take_loudness_and_colour_out(clear_speech: list[np.ndarray]) -> None:
    encoder = MfccEncoder()
    normal = encoder.features(clear_speech)
    assert [len(one) for one in normal] == [len(waveform) // 640 for waveform in clear_speech]
    assert all(one.shape[1] == encoder.dim == 39 for one in normal)
    louder = encoder.features([waveform * 2 for waveform in clear_speech])
    # Silence lies on the floor of the spectrum and does not get louder.
    assert all(float((a - b).abs().mean()) < 0.1 for a, b in zip(normal, louder, strict=True))
    alone = [encoder.features([waveform])[0] for waveform in clear_speech]
    assert all(torch.equal(a, b) for a, b in zip(normal, alone, strict=True))
    assert len(MfccEncoder(50.0).features(clear_speech[:1])[0]) == len(clear_speech[0]) // 320


def test_units_tell_sentences_apart(clear_speech: list[np.ndarray]) -> None:
    encoder = MfccEncoder()
    frames = torch.cat(encoder.features(clear_speech)).numpy()
    tokenizer = EncoderUnitTokenizer(encoder, fit_codebook(frames, 20, steps=30))
    units = tokenizer.encode(clear_speech)
    assert all(one.num_frames == len(waveform) // 640 for one, waveform in zip(units, clear_speech, strict=True))
    assert len(np.unique(np.concatenate([one.units for one in units]))) > 15


def test_what_has_no_frame(clear_speech: list[np.ndarray]) -> None:
    encoder = MfccEncoder()
    with pytest.raises(InputError, match="640 samples"):
        encoder.features([np.zeros(639, dtype=np.float32)])
    for bad in (np.zeros(0), np.full(9000, np.inf), np.zeros((8, 9000))):
        with pytest.raises(InputError):
            encoder.features([bad])
    assert encoder.features([np.zeros(9000, dtype=np.float32)])[0].abs().max() < 1e-6
    with pytest.raises(InputError, match="20 Hz"):
        MfccEncoder(30.0)
    with pytest.raises(InputError, match="knows the CPU only"):
        encoder.to("cuda")
