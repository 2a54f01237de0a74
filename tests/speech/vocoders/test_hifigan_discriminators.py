"""Discriminators: as many as published, losses that are zero where they should be."""

import torch

from smoltolk.speech.vocoders.hifigan_discriminators import (
    NUM_SCALES,
    PERIODS,
    Discriminators,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)


def test_every_one_judges_every_waveform() -> None:
    torch.manual_seed(0)
    discriminators = Discriminators(1)
    scores, layers = discriminators(torch.randn(2, 1601) * 0.1)
    assert len(scores) == len(layers) == len(PERIODS) + NUM_SCALES
    assert all(len(score) == 2 and bool(score.isfinite().all()) for score in scores)
    assert [len(one) for one in layers] == [6] * len(PERIODS) + [8] * NUM_SCALES


def test_a_waveform_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    discriminators = Discriminators(1).eval()
    waveforms = torch.randn(2, 800) * 0.1
    both, alone = discriminators(waveforms)[0], discriminators(waveforms[1:])[0]
    for first, second in zip(both, alone, strict=True):
        torch.testing.assert_close(first[1:], second)


def test_losses_are_least_squares() -> None:
    real = ([torch.ones(2, 3)], [[torch.zeros(2, 4), torch.ones(2, 4)]])
    made = ([torch.zeros(2, 3)], [[torch.full((2, 4), 0.5), torch.ones(2, 4)]])
    assert discriminator_loss(real, made) == 0 and discriminator_loss(made, real) == 2
    assert adversarial_loss(made) == 1 and adversarial_loss(real) == 0
    assert feature_loss(real, made) == 0.5 and feature_loss(real, real) == 0


def test_the_published_size() -> None:
    with torch.device("meta"):
        count = sum(one.numel() for one in Discriminators(32).parameters())
    assert 70.6e6 < count < 70.8e6
