from pathlib import Path

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech.phones import PHONES
from smoltolk.speech.segments import Segment
from smoltolk.speech.units import phone_encoder
from smoltolk.speech.units.phone_encoder import LabelledSpeech, PhoneUnitTokenizer, fit_phone_units, phone_frames


def test_frames_get_the_phone_at_their_middle() -> None:
    phones = (Segment("sil", 0.0, 0.05), Segment("AA", 0.05, 0.13), Segment("B", 0.14, 0.17))
    # Middles of the first five frames: 0.02, 0.06, 0.10, 0.14, 0.18 s.
    labels = phone_frames(phones, ("sil", "AA", "B"), 5, 25.0)
    assert labels.tolist() == [0, 1, 1, 2, 0]


def test_phones_beyond_the_inventory_are_named() -> None:
    with pytest.raises(InputError, match="XX"):
        phone_frames((Segment("XX", 0.0, 1.0),), ("sil", "AA"), 25, 25.0)
    with pytest.raises(InputError, match="sil"):
        phone_frames((), ("AA",), 25, 25.0)


def test_units_cover_every_whole_frame(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> None:
    waveform = clear_speech[0]
    for samples in (640, 641, 1279, 1280, 20_000):
        (units,) = tokenizer.encode([waveform[:samples]])
        assert units.num_frames == samples // 640
        assert units.units.min() >= 0 and units.units.max() < tokenizer.num_units


def test_units_do_not_depend_on_the_batch(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> None:
    together = tokenizer.encode(clear_speech)
    for waveform, units in zip(clear_speech[::-1], together[::-1], strict=True):
        (alone,) = tokenizer.encode([waveform])
        np.testing.assert_array_equal(alone.frames(), units.frames())


def test_units_do_not_depend_on_threads(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = tokenizer.scores(clear_speech[0])
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert torch.equal(two, tokenizer.scores(clear_speech[0]))
    finally:
        torch.set_num_threads(before)


def test_windows_change_no_score(
    tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    waveform = np.concatenate(clear_speech[:4])
    whole = tokenizer.scores(waveform)
    monkeypatch.setattr(phone_encoder, "WINDOW_SECONDS", 2)
    torch.testing.assert_close(tokenizer.scores(waveform), whole, rtol=1e-4, atol=1e-4)


def test_long_recordings_keep_their_length(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> None:
    waveform = np.tile(np.concatenate(clear_speech), 4)  # more than one window and one piece of log-mel
    (units,) = tokenizer.encode([waveform])
    assert len(waveform) > 60 * 16_000
    assert units.num_frames == len(waveform) // 640


def test_loudness_does_not_matter(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> None:
    waveform = clear_speech[1] + 1e-3 * np.random.default_rng(0).standard_normal(len(clear_speech[1]))
    loud, soft = tokenizer.encode([waveform, 0.25 * waveform])
    assert (loud.frames() == soft.frames()).mean() > 0.99


def test_too_short_and_broken_recordings_are_refused(tokenizer: PhoneUnitTokenizer) -> None:
    with pytest.raises(InputError, match="640 samples"):
        tokenizer.encode([np.zeros(639, dtype=np.float32)])
    with pytest.raises(InputError, match="at least one sample"):
        tokenizer.encode([np.zeros(0, dtype=np.float32)])
    with pytest.raises(InputError, match="finite"):
        tokenizer.encode([np.full(1000, np.nan, dtype=np.float32)])


def test_inputs_are_not_changed(tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray]) -> None:
    before = clear_speech[0].copy()
    tokenizer.encode(clear_speech[:1])
    np.testing.assert_array_equal(clear_speech[0], before)


def test_a_minute_of_speech_teaches_the_phones_of_its_voices(
    tokenizer: PhoneUnitTokenizer, labelled: list[LabelledSpeech]
) -> None:
    frames = [units.frames() for units in tokenizer.encode([u.waveform for u in labelled])]
    truth = [phone_frames(u.phones, PHONES, len(f), 25.0) for u, f in zip(labelled, frames, strict=True)]
    assert (np.concatenate(frames) == np.concatenate(truth)).mean() > 0.6  # a guess: 0.13 (silence)


class CountingBar:
    def __init__(self) -> None:
        self.count, self.notes = 0.0, []

    def advance(self, count: float = 1) -> None:
        self.count += count

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_training_is_a_function_of_data_and_seed(labelled: list[LabelledSpeech]) -> None:
    bar = CountingBar()
    first = fit_phone_units(labelled[:4], steps=3, seed=1, progress=bar)
    torch.rand(5)  # the global generator has no say
    assert fit_phone_units(labelled[:4], steps=3, seed=1).fingerprint == first.fingerprint
    assert fit_phone_units(labelled[:4], steps=3, seed=2).fingerprint != first.fingerprint
    assert bar.count == 3 and bar.notes[0].startswith("loss ")


def test_training_says_what_it_needs(labelled: list[LabelledSpeech]) -> None:
    with pytest.raises(InputError, match="no utterances"):
        fit_phone_units([])
    with pytest.raises(InputError, match="steps = 0"):
        fit_phone_units(labelled[:1], steps=0)
    with pytest.raises(InputError, match="are not"):
        fit_phone_units(labelled[:1], steps=1, inventory=("sil", "AA"))


def test_a_recording_without_sound_is_silence(tokenizer: PhoneUnitTokenizer) -> None:
    for level in (0.0, 0.25):
        units = tokenizer.encode([np.full(40_000, level, dtype=np.float32)])[0]
        assert units.units.tolist() == [tokenizer.phones.index("sil")] and units.durations.tolist() == [62]


def test_recordings_unlike_those_measured_are_strange(
    tokenizer: PhoneUnitTokenizer, clear_speech: list[np.ndarray], tmp_path: Path
) -> None:
    known = PhoneUnitTokenizer(tokenizer.phones, tokenizer.network)
    assert known.strangeness(clear_speech[0]) is None
    known.measure_doubt(clear_speech)
    strangeness = [known.strangeness(one) or 0.0 for one in clear_speech]
    assert min(strangeness) > 0 and max(strangeness) < 1
    length = min(map(len, clear_speech))
    babble = np.sum([one[:length] for one in clear_speech[:4]], axis=0)
    assert (known.strangeness(babble) or 0.0) > 1.3 * np.mean(strangeness)
    known.save(tmp_path / "units")
    loaded = PhoneUnitTokenizer.load(tmp_path / "units")
    assert loaded.strangeness(babble) == known.strangeness(babble)
    assert loaded.fingerprint == tokenizer.fingerprint
