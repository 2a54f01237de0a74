"""Codecs: matrices of units, and sound again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    DacConfig,
    DacModel,
    EncodecConfig,
    EncodecModel,
    HubertConfig,
    HubertModel,
    MimiConfig,
    MimiModel,
)

from smoltolk.common.errors import InputError
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.tokenizer import check_one_codebook, load_unit_tokenizer


def mimi() -> Any:
    sizes = {"hidden_size": 16, "num_filters": 4, "num_residual_layers": 1, "upsampling_ratios": [8, 6, 5, 4]}
    more = {"codebook_size": 32, "codebook_dim": 8, "vector_quantization_hidden_dimension": 8, "num_quantizers": 6}
    layers = {"num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    return MimiModel(MimiConfig(**sizes, **more, **layers, head_dim=8, upsample_groups=16))


def encodec() -> Any:
    sizes = {"hidden_size": 8, "num_filters": 2, "codebook_size": 32, "codebook_dim": 8, "num_lstm_layers": 1}
    return EncodecModel(EncodecConfig(**sizes, target_bandwidths=[1.5, 3.0], upsampling_ratios=[8, 5, 4, 2]))


def dac() -> Any:
    sizes = {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "codebook_size": 32, "codebook_dim": 4}
    return DacModel(DacConfig(**sizes, n_codebooks=3, downsampling_ratios=[2, 4, 5, 8], upsampling_ratios=[8, 5, 4, 2]))


MODELS: dict[str, tuple[Callable[[], Any], int, int, int]] = {  # sample rate, hop, codebooks
    "mimi": (mimi, 24_000, 1920, 6),
    "encodec": (encodec, 24_000, 320, 8),
    "dac": (dac, 16_000, 320, 3),
}


def make(name: str, num_codebooks: int | None = None, **options: Any) -> CodecUnitTokenizer:
    torch.manual_seed(0)
    model = MODELS[name][0]().eval()
    for part, buffer in model.named_buffers():
        if "embed" in part and not buffer.any():
            torch.nn.init.normal_(buffer)  # codebooks that start at zero
    return CodecUnitTokenizer(model, num_codebooks, **options)


@pytest.fixture(scope="module")
def noises() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [(random.standard_normal(n) * 0.1).astype(np.float32) for n in (9600, 20_001, 700)]


@pytest.mark.parametrize("name", MODELS)
def test_units_are_a_matrix_and_sound_again(name: str, noises: list[np.ndarray]) -> None:
    tokenizer = make(name)
    _, rate, hop, codebooks = MODELS[name]
    assert (tokenizer.sample_rate, tokenizer.num_codebooks, tokenizer.num_units) == (rate, codebooks, 32)
    assert tokenizer.frame_rate == rate / hop
    for waveform, units in zip(noises, tokenizer.encode(noises), strict=True):
        frames = -(-len(waveform) // hop)
        assert units.units.shape == (frames, codebooks) and units.num_frames == frames
        assert units.frames().shape == units.units.shape and 0 <= units.units.min() <= units.units.max() < 32
        sound = tokenizer.decode(units.units)
        assert sound.shape == (frames * hop,) and sound.dtype == np.float32 and np.isfinite(sound).all()
    units = tokenizer.encode(noises)[1].units
    assert len(np.unique(units)) > 4
    other = units.copy()
    other[:, 0] = (other[:, 0] + 7) % 32
    assert np.abs(tokenizer.decode(other) - tokenizer.decode(units)).max() > 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_units_and_sound_are_those_of_the_model(name: str, noises: list[np.ndarray]) -> None:
    tokenizer = make(name)
    hop = MODELS[name][2]
    samples = torch.from_numpy(noises[0][: 5 * hop])[None, None]
    with torch.inference_mode():
        options = {"bandwidth": 3.0} if name == "encodec" else {}
        codes = tokenizer.model.encode(samples, **options).audio_codes
        scales = {"audio_scales": [None]} if name == "encodec" else {}
        sound = tokenizer.model.decode(audio_codes=codes, **scales).audio_values.flatten().numpy()
    units = tokenizer.encode([noises[0][: 5 * hop]])[0].units
    np.testing.assert_array_equal(units, codes.reshape(-1, 5).T.numpy())
    np.testing.assert_allclose(tokenizer.decode(units)[: len(sound)], sound, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_saved_codecs_say_the_same(name: str, noises: list[np.ndarray], tmp_path: Path) -> None:
    tokenizer = make(name, 2)
    tokenizer.save(tmp_path / "units")
    loaded = load_unit_tokenizer(tmp_path / "units")
    assert isinstance(loaded, CodecUnitTokenizer)
    assert loaded.fingerprint == tokenizer.fingerprint != make(name, 3).fingerprint
    first, second = tokenizer.encode(noises), loaded.encode(noises)
    assert all(np.array_equal(a.units, b.units) for a, b in zip(first, second, strict=True))
    # The first two codebooks of all: they refine each other in order.
    whole = make(name).encode(noises)
    assert all(np.array_equal(a.units, b.units[:, :2]) for a, b in zip(first, whole, strict=True))
    np.testing.assert_array_equal(loaded.decode(first[0].units), tokenizer.decode(first[0].units))


def test_units_do_not_depend_on_the_batch_and_windows_cover_all(noises: list[np.ndarray]) -> None:
    tokenizer = make("mimi", window_seconds=1.0, overlap_seconds=0.4)
    long = np.concatenate([noises[1]] * 4)
    together = tokenizer.encode([*noises, long])
    assert all(np.array_equal(tokenizer.encode([a])[0].units, b.units) for a, b in zip(noises, together, strict=False))
    assert together[-1].num_frames == -(-len(long) // 1920)
    assert len(tokenizer.decode(together[-1].units)) == together[-1].num_frames * 1920
    first = make("mimi").encode([long[: 12 * 1920]])[0].units
    np.testing.assert_array_equal(together[-1].units[:9], first[:9])


def test_one_codebook_is_a_sequence(noises: list[np.ndarray]) -> None:
    tokenizer = make("mimi", 1)
    units = tokenizer.encode(noises)[1]
    assert units.units.ndim == 1 and (np.diff(units.units) != 0).all()
    assert len(tokenizer.decode(units.frames())) == 11 * 1920
    check_one_codebook(tokenizer, "shards hold")
    with pytest.raises(InputError, match="units of 6 codebooks"):
        check_one_codebook(make("mimi"), "shards hold")


def test_what_cannot_be_encoded_or_decoded(noises: list[np.ndarray]) -> None:
    tokenizer = make("dac")
    for bad in (np.zeros(0), np.full(900, np.nan), np.zeros((2, 900))):
        with pytest.raises(InputError):
            tokenizer.encode([noises[0], bad])
    for units in (
        np.zeros((0, 3), int),
        np.zeros((4, 4), int),
        np.full((4, 3), 32),
        np.zeros((4, 3)),
        -np.ones((4, 3), int),
    ):
        with pytest.raises(InputError, match="units of a codec are"):
            tokenizer.decode(units)
    with pytest.raises(InputError, match="1 to 3 codebooks"):
        make("dac", 4)
    with pytest.raises(InputError, match="no encode and decode"):
        size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "conv_dim": (8,) * 7}
        CodecUnitTokenizer(HubertModel(HubertConfig(**size, num_conv_pos_embedding_groups=1)))
    with pytest.raises(InputError, match="several channels"):
        CodecUnitTokenizer(EncodecModel(EncodecConfig(audio_channels=2, num_filters=2, hidden_size=8, codebook_dim=8)))
