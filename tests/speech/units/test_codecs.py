"""Codecs: matrices of units, and sound again."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    DacConfig,
    DacModel,
    EncodecConfig,
    EncodecModel,
    HiggsAudioV2TokenizerConfig,
    HiggsAudioV2TokenizerModel,
    HubertConfig,
    HubertModel,
    MimiConfig,
    MimiModel,
    NeuCodecConfig,
    NeuCodecFeatureExtractor,
    NeuCodecModel,
    PocketTTSAudioTokenizerConfig,
    PocketTTSAudioTokenizerModel,
    Xcodec2Config,
    Xcodec2FeatureExtractor,
    Xcodec2Model,
    XcodecConfig,
    XcodecModel,
)

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.tokenizer import check_one_codebook


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


def encodec_of_48_khz() -> Any:
    """Two channels, normalised loudness, pieces of a second."""
    sizes = {"hidden_size": 8, "num_filters": 2, "codebook_size": 32, "codebook_dim": 8, "num_lstm_layers": 1}
    sound = {"sampling_rate": 48_000, "audio_channels": 2, "normalize": True, "chunk_length_s": 1.0, "overlap": 0.01}
    more = {"use_causal_conv": False, "norm_type": "time_group_norm", "target_bandwidths": [1.5, 3.0]}
    return EncodecModel(EncodecConfig(**sizes, **sound, **more))


def parts(ratios: list[int]) -> dict[str, Any]:
    """A DAC and a HuBERT, which X-Codec and Higgs Audio v2 are made of."""
    dac = {"model_type": "dac", "encoder_hidden_size": 4, "hidden_size": 8, "decoder_hidden_size": 32}
    hubert = {"model_type": "hubert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    hubert |= {"intermediate_size": 16, "conv_dim": [8] * 7, "num_conv_pos_embedding_groups": 2}
    dac |= {"downsampling_ratios": ratios, "upsampling_ratios": ratios}
    return {"acoustic_model_config": dac, "semantic_model_config": hubert, "codebook_size": 32}


def xcodec() -> Any:
    return XcodecModel(XcodecConfig(**parts([8, 5, 4, 2]), target_bandwidths=[0.5, 1.0]))


def higgs() -> Any:
    options = {"codebook_dim": 8, "target_bandwidths": [0.25, 0.5]}
    return HiggsAudioV2TokenizerModel(HiggsAudioV2TokenizerConfig(**parts([8, 5, 4, 2, 3]), **options))


def read_by_features(kind: Any, config: Any) -> Any:
    bert = {"model_type": "wav2vec2-bert", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert |= {"intermediate_size": 16, "feature_projection_input_dim": 160}
    sizes = {"hidden_size": 64, "intermediate_size": 16, "num_hidden_layers": 1, "encoder_hidden_size": 2}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 8}
    levels = {"quantization_dim": 96, "quantization_levels": [4, 4, 2]}
    model = kind(config(**sizes, **heads, **levels, semantic_model_config=bert))
    model.fc_encoder.weight.data *= 40  # as they begin, every frame is one unit
    model.quantizer.project_in.weight.data *= 40
    return model


MODELS: dict[str, tuple[Callable[[], Any], int, int, int, int]] = {  # sample rate, hop in and out, codebooks
    "mimi": (mimi, 24_000, 1920, 1920, 6),
    "encodec": (encodec, 24_000, 320, 320, 8),
    "encodec of 48 kHz": (encodec_of_48_khz, 48_000, 320, 320, 4),
    "dac": (dac, 16_000, 320, 320, 3),
    "xcodec": (xcodec, 16_000, 320, 320, 4),
    "higgs": (higgs, 24_000, 960, 960, 4),
    "xcodec2": (lambda: read_by_features(Xcodec2Model, Xcodec2Config), 16_000, 320, 320, 1),
    "neucodec": (lambda: read_by_features(NeuCodecModel, NeuCodecConfig), 16_000, 320, 480, 1),
}
NEED_TORCHAUDIO = ("higgs", "xcodec2", "neucodec")


def make(name: str, num_codebooks: int | None = None, **options: Any) -> CodecUnitTokenizer:
    if name in NEED_TORCHAUDIO:
        pytest.importorskip("torchaudio")
    torch.manual_seed(0)
    model = MODELS[name][0]().eval()
    for part, buffer in model.named_buffers():
        if "embed" in part and not buffer.any():
            torch.nn.init.normal_(buffer)  # codebooks that start at zero
    return CodecUnitTokenizer(model, num_codebooks, **options)


def of_the_model(tokenizer: CodecUnitTokenizer, waveform: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Codes ``[codebooks, frames]`` and sound as transformers' own calls give them; one piece of whole frames."""
    model, name = tokenizer.model, type(tokenizer.model).__name__
    samples = torch.from_numpy(waveform)[None, None]
    with torch.inference_mode():
        if name in ("Xcodec2Model", "NeuCodecModel"):
            extractor = Xcodec2FeatureExtractor() if name == "Xcodec2Model" else NeuCodecFeatureExtractor()
            inputs = extractor(waveform, sampling_rate=16_000, return_tensors="pt")
            codes = model.encode(**inputs).audio_codes[..., : len(waveform) // 320]
            return codes[0], model.decode(codes).audio_values.flatten().numpy()
        if name == "EncodecModel":
            scales = [None]
            if model.config.normalize:
                samples, scales = samples.repeat(1, 2, 1), [torch.full((1, 1), 0.1)]
            codes = model.encode(samples, bandwidth=3.0).audio_codes[:1]
            return codes[0, 0], model.decode(codes, scales).audio_values[0].mean(0).numpy()
        codes = model.encode(samples).audio_codes
        return codes[0], model.decode(audio_codes=codes).audio_values.flatten().numpy()


@pytest.fixture(scope="module")
def noises() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [(random.standard_normal(n) * 0.1).astype(np.float32) for n in (9600, 20_001, 700)]


@pytest.mark.parametrize("name", MODELS)
def test_units_are_a_matrix_and_sound_again(name: str, noises: list[np.ndarray]) -> None:
    tokenizer = make(name)
    _, rate, hop, sound_hop, codebooks = MODELS[name]
    assert tokenizer.sound_rate == rate * sound_hop // hop
    assert (tokenizer.sample_rate, tokenizer.num_codebooks, tokenizer.num_units) == (rate, codebooks, 32)
    assert tokenizer.frame_rate == rate / hop
    for waveform, units in zip(noises, tokenizer.encode(noises), strict=True):
        frames = -(-len(waveform) // hop)
        assert units.frames().shape == ((frames, codebooks) if codebooks > 1 else (frames,))
        assert units.num_frames == frames and 0 <= units.units.min() <= units.units.max() < 32
        sound = tokenizer.decode(units.frames())
        assert sound.shape == (frames * sound_hop,) and sound.dtype == np.float32 and np.isfinite(sound).all()
    units = tokenizer.encode(noises)[1].frames()
    assert len(np.unique(units)) > 4
    other = units.copy()
    other[..., 0] = (other[..., 0] + 7) % 32
    assert np.abs(tokenizer.decode(other) - tokenizer.decode(units)).max() > 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_units_and_sound_are_those_of_the_model(name: str, noises: list[np.ndarray]) -> None:
    tokenizer = make(name)
    waveform = noises[0][: 5 * MODELS[name][2]]
    codes, sound = of_the_model(tokenizer, waveform)
    units = tokenizer.encode([waveform])[0].frames()
    np.testing.assert_array_equal(units.reshape(5, -1), codes.T.numpy())
    np.testing.assert_allclose(tokenizer.decode(units)[: len(sound)], sound[: len(units) * MODELS[name][3]], atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_saved_codecs_say_the_same(name: str, noises: list[np.ndarray], tmp_path: Path) -> None:
    few = min(2, MODELS[name][4])
    tokenizer = make(name, few)
    tokenizer.save(tmp_path / "units")
    loaded = load_unit_tokenizer(tmp_path / "units")
    assert isinstance(loaded, CodecUnitTokenizer)
    assert loaded.fingerprint == tokenizer.fingerprint
    assert few == 1 or tokenizer.fingerprint != make(name, 3).fingerprint
    first, second = tokenizer.encode(noises), loaded.encode(noises)
    assert all(np.array_equal(a.units, b.units) for a, b in zip(first, second, strict=True))
    # The first two codebooks of all: they refine each other in order.
    whole = make(name).encode(noises)
    assert few == 1 or all(np.array_equal(a.units, b.units[:, :2]) for a, b in zip(first, whole, strict=True))
    np.testing.assert_array_equal(loaded.decode(first[0].frames()), tokenizer.decode(first[0].frames()))


@pytest.mark.parametrize("name", MODELS)
def test_units_do_not_depend_on_the_batch(name: str, noises: list[np.ndarray]) -> None:
    tokenizer = make(name)
    together = tokenizer.encode(noises)
    alone = [tokenizer.encode([one])[0] for one in noises]
    assert all(np.array_equal(a.frames(), b.frames()) for a, b in zip(alone, together, strict=True))


def test_published_codecs_are_read_with_their_feature_extractor(noises: list[np.ndarray], tmp_path: Path) -> None:
    tokenizer = make("xcodec2")
    tokenizer.model.save_pretrained(tmp_path)
    Xcodec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="16000 and 8000 Hz"):
        CodecUnitTokenizer.from_pretrained(str(tmp_path))
    Xcodec2FeatureExtractor().save_pretrained(tmp_path)
    loaded = CodecUnitTokenizer.from_pretrained(str(tmp_path))
    np.testing.assert_array_equal(loaded.encode(noises[:1])[0].units, tokenizer.encode(noises[:1])[0].units)


@pytest.mark.skipif(importlib.util.find_spec("torchaudio") is not None, reason="torchaudio is installed")
def test_a_missing_library_is_named() -> None:
    with pytest.raises(MissingExtraError, match="Xcodec2FeatureExtractor requires the torchaudio library"):
        CodecUnitTokenizer(read_by_features(Xcodec2Model, Xcodec2Config))


def test_pieces_of_a_codec_are_its_windows(noises: list[np.ndarray]) -> None:
    """Of EnCodec of 48 kHz, a second each; how loud a recording was its units do not say."""
    tokenizer = make("encodec of 48 kHz")
    assert (tokenizer.window_seconds, tokenizer.overlap_seconds) == (1.0, 0.1)
    long = np.concatenate([noises[1]] * 5)[: 220 * 320]
    units = tokenizer.encode([long])[0].units
    # Of 220 frames the windows are 0-150 and 70-220: where they overlap, each keeps its half.
    np.testing.assert_array_equal(units[:110], of_the_model(tokenizer, long[: 150 * 320])[0].T[:110].numpy())
    np.testing.assert_array_equal(units[110:], of_the_model(tokenizer, long[70 * 320 :])[0].T[40:].numpy())
    np.testing.assert_array_equal(tokenizer.encode([0.5 * long])[0].units, units)
    sound = tokenizer.decode(units)
    assert len(sound) == 220 * 320 and np.isfinite(sound).all()


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
    with pytest.raises(InputError, match="names no codebook"):
        sizes = {"hidden_size": 16, "num_filters": 4, "num_hidden_layers": 1, "intermediate_size": 16}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "upsample_groups": 16}
        CodecUnitTokenizer(PocketTTSAudioTokenizerModel(PocketTTSAudioTokenizerConfig(**sizes, **heads)))


class Other(EncodecModel):
    """A codec that reads more than samples and features."""

    def encode(self, input_values: Tensor, speaker: Tensor) -> Any:
        raise NotImplementedError


class Silent(EncodecModel):
    """A codec whose codes have another name."""

    def encode(self, input_values: Tensor) -> Any:
        return {"codes": input_values}


def test_codecs_that_are_called_otherwise_are_refused() -> None:
    size = {"num_filters": 2, "hidden_size": 8, "codebook_dim": 8}
    with pytest.raises(InputError, match="gives no audio_codes"):
        CodecUnitTokenizer(Silent(EncodecConfig(**size)))
    with pytest.raises(InputError, match="encode needs input_values, speaker") as caught:
        CodecUnitTokenizer(Other(EncodecConfig(**size)))
    assert "X-Codec 2" in caught.value.fix
    with pytest.raises(InputError, match="for 6 channels"):
        CodecUnitTokenizer(EncodecModel(EncodecConfig(**size, audio_channels=6)))
