"""Quiet and loud parts by their level."""

import numpy as np

from smoltolk.speech.pauses import loud_frames, quiet_frames


def recording(noise: float) -> np.ndarray:
    """A second each of room, speech-loud hum, room."""
    random = np.random.default_rng(0)
    tone = 0.3 * np.sin(np.arange(16_000) * 2 * np.pi * 200 / 16_000)
    signal = np.concatenate([np.zeros(16_000), tone, np.zeros(16_000)])
    return (signal + noise * random.standard_normal(len(signal))).astype(np.float32)


def test_a_still_room_is_quiet_and_speech_is_loud() -> None:
    for noise in (0.0, 1e-4, 2e-3):
        quiet, loud = quiet_frames(recording(noise)), loud_frames(recording(noise))
        assert quiet[:100].all() and not quiet[101:199].any() and quiet[201:].all()
        assert not loud[:100].any() and loud[101:199].all() and not loud[201:].any()


def test_in_a_noisy_room_nothing_is_called_quiet() -> None:
    waveform = recording(0.05)
    assert not quiet_frames(waveform).any()
    assert loud_frames(waveform)[101:199].all()


def test_no_samples() -> None:
    assert len(quiet_frames(np.zeros(0, np.float32))) == len(loud_frames(np.zeros(100, np.float32))) == 0
