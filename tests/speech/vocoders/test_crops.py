"""Pieces of utterances: units, spectrogram and samples of one and the same stretch."""

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech.small_networks import torch_generator
from smoltolk.speech.units.tokenizer import deduplicate
from smoltolk.speech.vocoders.crops import Crops

HOP, HOPS = 160, 4


def crops_of(num_frames: int) -> tuple[Crops, np.ndarray, np.ndarray]:
    """One utterance whose samples and units both tell the time."""
    frames = np.arange(num_frames)
    waveform = np.repeat(frames, HOP * HOPS).astype(np.float32) / 1000
    return Crops([waveform], [deduplicate(frames)], 25.0, HOPS), frames, waveform


def test_units_and_samples_are_of_the_same_time() -> None:
    crops, _, _ = crops_of(60)
    batch = crops.draw(torch_generator(0), batch=5, seconds=0.4)
    assert batch.frames.shape == (5, 10) and batch.samples.shape == (5, 6400) and batch.log_mel.shape == (5, 80, 40)
    of_samples = (batch.samples[:, :: HOP * HOPS] * 1000).round().long()
    assert torch.equal(of_samples, batch.frames)
    assert bool(batch.hop_mask.all()) and batch.rows.tolist() == [0] * 5
    assert len(set(batch.frames[:, 0].tolist())) > 1


def test_short_utterances_are_padded_and_masked() -> None:
    crops, frames, waveform = crops_of(6)
    batch = crops.draw(torch_generator(0), batch=2, seconds=0.4)
    assert batch.frames[0].tolist() == [*frames, 0, 0, 0, 0]
    assert batch.hop_mask.sum(1).tolist() == [24, 24]
    np.testing.assert_array_equal(batch.samples[1, : len(waveform)].numpy(), waveform)
    assert not batch.samples[:, len(waveform) :].any()


def test_a_recording_may_end_within_its_last_frame() -> None:
    waveform = np.ones(640 * 3 - 100, np.float32)
    crops = Crops([waveform], [deduplicate(np.arange(3))], 25.0, HOPS)
    batch = crops.draw(torch_generator(0), batch=1, seconds=0.12)
    assert batch.samples.sum() == len(waveform)


def test_the_same_generator_draws_the_same() -> None:
    crops, _, _ = crops_of(60)
    first, second, other = (crops.draw(torch_generator(0, step), 3, 0.4) for step in (1, 1, 2))
    assert torch.equal(first.samples, second.samples) and not torch.equal(first.frames, other.frames)


def test_units_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="9 frames for an utterance of 6"):
        Crops([np.zeros(640 * 6, np.float32)], [deduplicate(np.arange(9))], 25.0, HOPS)
