import math

import numpy as np
import pytest
import torch

from smoltolk.speech import features


@pytest.fixture(scope="module")
def speech(clear_speech: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(clear_speech[0])[None]


def test_every_filter_hears_something_and_none_but_speech_frequencies() -> None:
    filters = features.mel_filters()
    assert filters.shape == (80, 257)
    torch.testing.assert_close(filters.sum(1), torch.ones(80))
    peaks = filters.argmax(1)
    assert (peaks.diff() > 0).all()


@pytest.mark.parametrize(("samples", "hops"), [(1, 1), (160, 1), (161, 2), (640, 4), (16_000, 100)])
def test_hops_cover_all_samples(samples: int, hops: int) -> None:
    assert features.hops_of(samples) == hops
    assert features.log_mel(torch.zeros(1, samples)).shape == (1, 80, hops)


def test_a_frame_hears_its_own_samples() -> None:
    click = torch.zeros(1, 16_000)
    click[0, 50 * 160 + 80] = 1.0  # the middle of hop 50
    loud = features.magnitudes(click).sum(1)[0]
    assert loud.argmax() == 50
    assert (loud.nonzero().squeeze(1) - 50).abs().max() <= 2


def test_asking_for_fewer_or_more_hops_changes_none_of_them(speech: torch.Tensor) -> None:
    whole = features.log_mel(speech)
    torch.testing.assert_close(features.log_mel(speech, 40)[..., :38], whole[..., :38])
    longer = features.log_mel(speech, whole.shape[-1] + 5)
    torch.testing.assert_close(longer[..., : whole.shape[-1]], whole)


def test_normalising_takes_loudness_and_constant_colour_out(speech: torch.Tensor) -> None:
    mel = features.log_mel(speech).clamp(min=-6)  # the floor of digital silence is no colour
    coloured = mel + 0.5 + torch.linspace(-0.1, 0.1, 80)[:, None]
    first, second = features.normalise_mel(mel), features.normalise_mel(coloured)
    assert (first - second).abs().mean() < 0.05
    assert first.mean(-1).abs().max() < 1e-4
    assert abs(float(first.square().mean()) - 1) < 1e-3


def test_normalising_ignores_padding(speech: torch.Tensor) -> None:
    mel = features.log_mel(speech)
    hops = mel.shape[-1]
    padded = torch.nn.functional.pad(mel, (0, 30), value=3.0)
    mask = (torch.arange(hops + 30) < hops)[None]
    normalised = features.normalise_mel(padded, mask)
    torch.testing.assert_close(normalised[..., :hops], features.normalise_mel(mel))
    assert (normalised[..., hops:] == 0).all()


def test_silence_stays_finite() -> None:
    assert (features.normalise_mel(features.log_mel(torch.zeros(1, 8_000))) == 0).all()


def test_griffin_lim_finds_samples_for_a_spectrogram(speech: torch.Tensor) -> None:
    mel = features.log_mel(speech)
    found = features.griffin_lim(mel, iterations=16)
    assert found.shape == (1, 160 * mel.shape[-1])
    audible = mel > mel.max() - 5
    error = (features.log_mel(found) - mel).abs()[audible].mean()
    assert error < 0.25  # nats, 2 dB
    assert error < 0.8 * (features.log_mel(features.griffin_lim(mel, iterations=0)) - mel).abs()[audible].mean()


def test_griffin_lim_repeats_itself_and_rows_do_not_meet(speech: torch.Tensor) -> None:
    mel = features.log_mel(speech)[..., :80]
    once = features.griffin_lim(mel, iterations=4, seed=1)
    both = features.griffin_lim(torch.cat([mel, mel - 1]), iterations=4, seed=1)
    torch.testing.assert_close(both[:1], once)
    assert not torch.equal(once, features.griffin_lim(mel, iterations=4, seed=2))


def test_a_search_for_phases_goes_on_where_sound_is_known() -> None:
    """A tone whose beginning is known stays in step behind it; by itself its phase is anyone's guess."""
    samples = torch.sin(torch.arange(80 * features.HOP) * 2 * math.pi * 440 / features.SAMPLE_RATE)[None]
    mel, known = features.log_mel(samples), 40 * features.HOP
    behind = slice(known, known + 2 * features.HOP)

    def in_step(made: torch.Tensor) -> float:
        return float(torch.nn.functional.cosine_similarity(made[:, behind], samples[:, behind]))

    assert in_step(features.griffin_lim(mel, said_BN=samples[:, :known])) > 0.9
    assert min(in_step(features.griffin_lim(mel, seed=seed)) for seed in range(4)) < 0.5
    assert in_step(features.griffin_lim(mel, said_BN=samples[:, :known], iterations=2)) > 0.9
    assert in_step(features.griffin_lim(mel, said_BN=samples[:, :known], iterations=0)) > 0.9  # where it begins
    few = features.griffin_lim(mel, said_BN=samples[:, :100])  # less than a window: as if nothing were known
    assert few.shape == samples.shape


def test_what_no_sound_reaches_stays_finite() -> None:
    """A network that has hardly been trained may write it, and samples must be numbers all the same."""
    mel = torch.randn(1, 80, 30, generator=torch.Generator().manual_seed(0)) * 100
    assert features.griffin_lim(mel, iterations=4).isfinite().all()
    square = torch.sign(torch.sin(torch.arange(16_000) * 0.17))[None]
    assert features.log_mel(square).max() < features.LOUDEST / 2  # and what sounds is left as it is
