"""The unit HiFi-GAN: its voices, its settings, weight normalisation."""

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.speech.vocoders.hifigan import HifiGanVocoder
from smoltolk.speech.vocoders.hifigan_config import HifiGanConfig, upsampling
from smoltolk.speech.vocoders.hifigan_network import HifiGanNetwork, add_weight_norm, remove_weight_norm

UNITS = np.array([3, 1, 4, 1, 5])
SETTINGS = {
    "num_embeddings": 10,
    "embedding_dim": 4,
    "model_in_dim": 12,
    "upsample_rates": [5, 4],
    "upsample_kernel_sizes": [11, 8],
    "upsample_initial_channel": 8,
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilation_sizes": [[1, 3], [1, 5]],
    "multispkr": "from_input",
    "num_speakers": 3,
    "multistyle": True,
    "num_styles": 2,
    "sampling_rate": 500,
    "batch_size": 16,  # of the published training; nothing of ours
}


@pytest.fixture
def several() -> HifiGanVocoder:
    torch.manual_seed(0)
    return HifiGanVocoder(HifiGanConfig.from_dict(SETTINGS), "f" * 64, speakers=["anna", "bela", "carl"])


def test_speakers_and_styles_sound_different(several: HifiGanVocoder) -> None:
    durations = np.ones_like(UNITS)
    default = several.synthesize(UNITS, durations)
    assert len(default) == 20 * len(UNITS) and several.frame_rate == 25.0
    np.testing.assert_array_equal(several.synthesize(UNITS, durations, speaker="anna", style=0), default)
    bela = several.synthesize(UNITS, durations, speaker="bela")
    np.testing.assert_array_equal(several.synthesize(UNITS, durations, speaker=1), bela)
    assert not np.array_equal(bela, default)
    assert not np.array_equal(several.synthesize(UNITS, durations, style=1), default)
    both = several.synthesize_batch([UNITS, UNITS], [durations, durations], speakers=["bela", None])
    np.testing.assert_array_equal(both[0], bela)
    np.testing.assert_array_equal(both[1], default)
    with pytest.raises(InputError, match="anna, bela, carl"):
        several.synthesize(UNITS, durations, speaker="dora")
    with pytest.raises(InputError, match="one of the vocoder's"):
        several.synthesize(UNITS, durations, style=2)


def test_without_a_predictor_durations_must_be_given(several: HifiGanVocoder) -> None:
    with pytest.raises(InputError, match="predicts no durations"):
        several.synthesize(UNITS)


def test_voices_without_names_go_by_number() -> None:
    vocoder = HifiGanVocoder(HifiGanConfig.from_dict(SETTINGS), "f" * 64)
    durations = np.ones_like(UNITS)
    assert not np.array_equal(
        vocoder.synthesize(UNITS, durations, speaker=2), vocoder.synthesize(UNITS, durations, speaker=0)
    )
    with pytest.raises(InputError, match=r"3; there are 3 without names\n.*0 to 2"):
        vocoder.synthesize(UNITS, durations, speaker=3)


def test_names_must_fit_the_embedding() -> None:
    config = HifiGanConfig.from_dict(SETTINGS)
    with pytest.raises(InputError, match="4 names, 4 of them different, 3 rows"):
        HifiGanVocoder(config, "f" * 64, speakers=["a", "b", "c", "d"])
    with pytest.raises(InputError, match="2 names, 1 of them different"):
        HifiGanVocoder(config, "f" * 64, styles=["a", "a"])


def test_weight_norm_comes_and_goes_without_a_trace(several: HifiGanVocoder) -> None:
    network = several.network
    frames, first = torch.arange(6)[None], torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        before, names = network(frames, first, first), sorted(network.state_dict())
        add_weight_norm(network)
        assert any("parametrizations" in name for name in network.state_dict())
        torch.testing.assert_close(network(frames, first, first), before)
        remove_weight_norm(network)
        torch.testing.assert_close(network(frames, first, first), before)
    assert sorted(network.state_dict()) == names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"f0": True}, "pitch curve"),
        ({"embedder_params": {"dim": 3}}, "outer speaker encoder"),
        ({"model_in_dim": 5}, "model_in_dim 5, embedding_dim 4"),
        ({"upsample_kernel_sizes": [11]}, "must be as many"),
        ({"resblock_kernel_sizes": 3}, "published keys"),
        ({"dur_predictor_params": {"encoder_embed_dim": 4}}, r"dur_predictor_params\.var_pred_hidden_dim"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HifiGanConfig.from_dict(SETTINGS | changes)


def test_a_setting_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="embedding_dim"):
        HifiGanConfig.from_dict({name: value for name, value in SETTINGS.items() if name != "embedding_dim"})


@pytest.mark.parametrize("hop", [320, 640, 1280, 480, 1920])
def test_upsampling_reaches_the_hop(hop: int) -> None:
    rates, kernels = upsampling(hop)
    assert np.prod(rates) == hop
    settings = SETTINGS | {"upsample_rates": list(rates), "upsample_kernel_sizes": list(kernels)}
    network = HifiGanNetwork(HifiGanConfig.from_dict(settings | {"upsample_initial_channel": 2 ** len(rates)}))
    first = torch.zeros(1, dtype=torch.int64)
    assert network(torch.arange(3)[None], first, first).shape == (1, 3 * hop)


def test_a_hop_with_a_large_prime_is_refused() -> None:
    assert upsampling(640) == ((5, 4, 4, 4, 2), (11, 8, 8, 8, 4))
    with pytest.raises(InputError, match="602 samples"):
        upsampling(602)
