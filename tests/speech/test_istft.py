"""The inverse transform: exact, differentiable, as many hops as frames."""

import pytest
import torch

from smoltolk.speech.istft import inverse_stft, overlap_add, samples_of_frames


@pytest.mark.parametrize(("window", "hop"), [(512, 160), (64, 16), (64, 32)])
def test_what_went_forth_comes_back(window: int, hop: int) -> None:
    waveform = torch.randn(2, 40 * hop, generator=torch.Generator().manual_seed(0))
    side = (window - hop) // 2
    padded = torch.nn.functional.pad(waveform, (side, side))
    spectrum = torch.stft(padded, window, hop, window=torch.hann_window(window), center=False, return_complex=True)
    assert spectrum.shape[-1] == 40
    made = inverse_stft(spectrum, hop)
    assert made.shape == waveform.shape
    torch.testing.assert_close(made[:, side:-side], waveform[:, side:-side], atol=1e-5, rtol=0)


def test_frames_add_where_they_overlap() -> None:
    summed = overlap_add(torch.ones(1, 4, 3), 2)
    assert summed.tolist() == [[1, 1, 2, 2, 2, 2, 1, 1]]


def test_gradients_reach_the_spectrum() -> None:
    phase = torch.zeros(1, 33, 5, requires_grad=True)
    made = inverse_stft(torch.polar(torch.ones_like(phase), phase), 16)
    (made * torch.randn(made.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert phase.grad is not None and phase.grad.abs().sum() > 0


@pytest.mark.parametrize(("window", "hop"), [(512, 160), (16, 8), (20, 6)])
def test_frames_beside_each_other_sum_to_the_same_samples(window: int, hop: int) -> None:
    frames = torch.randn(2, 7, window)
    side = (window - hop) // 2
    wanted = overlap_add(frames.transpose(1, 2), hop)[:, side:][:, : 7 * hop]
    torch.testing.assert_close(samples_of_frames(frames, hop), wanted)
