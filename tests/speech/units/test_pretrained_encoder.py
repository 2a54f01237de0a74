"""Encoders of transformers: the states it computes, whatever else is computed beside them."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
)

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.units.pretrained_encoder import PretrainedEncoder

SMALL: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}
EIGHT = {"conv_dim": (8,) * 8, "conv_kernel": (10, 3, 3, 3, 3, 2, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2, 2)}
SEVEN = {"conv_dim": (8,) * 7}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
MODELS: dict[str, Callable[[], Any]] = {
    "mhubert 25 Hz": lambda: HubertModel(HubertConfig(**SMALL, **EIGHT)),
    "hubert, layer norm": lambda: HubertModel(HubertConfig(**SMALL, **SEVEN, **STABLE)),
    "wavlm": lambda: WavLMModel(WavLMConfig(**SMALL, **SEVEN)),
    "wav2vec2": lambda: Wav2Vec2Model(Wav2Vec2Config(**SMALL, **SEVEN)),
    "data2vec": lambda: Data2VecAudioModel(Data2VecAudioConfig(**SMALL, **SEVEN)),
    "wav2vec2-bert": lambda: Wav2Vec2BertModel(Wav2Vec2BertConfig(**SMALL, add_adapter=True, output_hidden_size=24)),
}
FBANK = {key: value for key, value in SeamlessM4TFeatureExtractor().to_dict().items() if not isinstance(value, list)}


def make(name: str, layer: int = 2, **options: Any) -> tuple[PretrainedEncoder, Any]:
    """An encoder, and the whole model it was made of."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    extractor = FBANK if name == "wav2vec2-bert" else None
    return PretrainedEncoder(copy.deepcopy(model), layer, extractor=extractor, **options), model


@pytest.fixture(scope="module")
def noises() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [(random.standard_normal(n) * 0.1).astype(np.float32) for n in (9000, 16_321, 30_000, 5000, 720)]


def gap(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(first, second, strict=True))


@torch.inference_mode()
def states_of(model: Any, waveform: np.ndarray, layer: int) -> torch.Tensor:
    """As a user of transformers gets them."""
    if isinstance(model, Wav2Vec2BertModel):
        inputs = SeamlessM4TFeatureExtractor()(waveform, sampling_rate=16_000, return_tensors="pt")
    else:
        inputs = {"input_values": torch.from_numpy(waveform)[None]}
    return model(**inputs, output_hidden_states=True).hidden_states[layer][0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_states_are_those_of_the_whole_model(name: str, layer: int, noises: list[np.ndarray]) -> None:
    encoder, model = make(name, layer)
    assert len(encoder.model.encoder.layers) == max(layer, 1)
    found = encoder.features(noises)
    expected = [states_of(model, one, layer) for one in noises]
    # The extractor of wav2vec2-BERT adds a frame that is half padding.
    assert all(0 <= len(b) - len(a) <= (name == "wav2vec2-bert") for a, b in zip(found, expected, strict=True))
    assert gap(found, [b[: len(a)] for a, b in zip(found, expected, strict=True)]) < 1e-4
    assert [one.shape[1] for one in found] == [encoder.dim] * 5


def test_rates_and_least_lengths(noises: list[np.ndarray]) -> None:
    for name, rate, least in (("mhubert 25 Hz", 25, 720), ("wavlm", 50, 400), ("wav2vec2-bert", 50, 560)):
        encoder, _ = make(name)
        assert (encoder.frame_rate, encoder.receptive, encoder.sample_rate) == (rate, least, 16_000)
        assert len(encoder.features([noises[0][:least]])[0]) == 1
        with pytest.raises(InputError, match=f"one frame at least .{least} samples"):
            encoder.features([noises[0], noises[0][: least - 1]])


@pytest.mark.parametrize("name", ["mhubert 25 Hz", "hubert, layer norm", "wavlm", "data2vec", "wav2vec2-bert"])
def test_features_are_bit_for_bit_those_of_a_recording_alone(name: str, noises: list[np.ndarray]) -> None:
    encoder, _ = make(name)
    alone = [encoder.features([one])[0] for one in noises]
    torch.set_num_threads(3)
    try:
        together = encoder.features(noises)
        reversed_ = encoder.features(noises[::-1])[::-1]
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(alone, together, reversed_, strict=True))


@pytest.mark.parametrize("name", ["mhubert 25 Hz", "hubert, layer norm", "wavlm", "wav2vec2", "wav2vec2-bert"])
def test_padded_batches_change_nothing(name: str, noises: list[np.ndarray]) -> None:
    encoder, _ = make(name, window_seconds=3.0, overlap_seconds=0.5)
    inputs = [encoder._inputs(torch.from_numpy(one), encoder.num_frames(len(one))) for one in noises]
    frames = [encoder.num_frames(len(one)) for one in noises]
    with torch.inference_mode():
        rung = max(frames) + 2
        beside = encoder._batch(inputs[:4], rung)
        for row in range(4):
            others = encoder._batch([inputs[row], inputs[4]], rung)[0]
            assert torch.equal(beside[row, : frames[row]], others[: frames[row]])
    alone = encoder.features(noises[:4])
    assert gap(alone, [beside[row, : frames[row]] for row in range(4)]) < 1e-4


def test_long_recordings_pass_in_windows() -> None:
    encoder, model = make("mhubert 25 Hz", window_seconds=2.0, overlap_seconds=0.4)
    noise = (np.random.default_rng(1).standard_normal(16_000 * 7 + 123) * 0.1).astype(np.float32)
    found = encoder.features([noise])[0]
    assert len(found) == (len(noise) - 720) // 640 + 1 == len(states_of(model, noise, 2))
    # The first window is the recording's first 50 frames, of which 45 are kept.
    first = states_of(model, noise[: 49 * 640 + 720], 2)
    assert gap([found[:45]], [first[:45]]) < 1e-4
    # The last one ends with the recording, with all samples that are left.
    last = states_of(model, noise[(len(found) - 50) * 640 :], 2)
    assert gap([found[-5:]], [last[-5:]]) < 1e-4
    assert make("wavlm")[0].config()["window_seconds"] == 30.0
    with pytest.raises(InputError, match="longer than their overlap"):
        make("wavlm", window_seconds=1.0, overlap_seconds=1.0)


def test_normalised_recordings_are_the_same_at_any_loudness(noises: list[np.ndarray]) -> None:
    encoder, model = make("wavlm", normalize=True)
    quiet = encoder.features([noises[1] * 0.01 + 0.3])[0]
    normal = (noises[1] - noises[1].mean()) / noises[1].std()
    assert gap([quiet], [states_of(model, normal.astype(np.float32), 2)]) < 1e-2
    assert gap([quiet], make("wavlm")[0].features([noises[1] * 0.01 + 0.3])) > 0.1


def test_bfloat16_computes_beside_weights_that_stay(noises: list[np.ndarray]) -> None:
    exact, _ = make("mhubert 25 Hz")
    half, _ = make("mhubert 25 Hz", dtype="bfloat16")
    found = half.features(noises[:2])
    assert found[0].dtype == torch.float32 and half.model.dtype == torch.float32
    assert 0 < gap(found, exact.features(noises[:2])) < 0.2
    with pytest.raises(InputError, match="float32 or bfloat16"):
        make("wavlm", dtype="int8")


def test_saved_models_are_loaded_by_directory(tmp_path: Path, noises: list[np.ndarray]) -> None:
    torch.manual_seed(0)
    model = MODELS["mhubert 25 Hz"]().eval()
    model.save_pretrained(tmp_path / "a")
    loaded = PretrainedEncoder.from_pretrained(str(tmp_path / "a"), 2)
    assert not loaded.normalize
    assert gap(loaded.features(noises[:1]), [states_of(model, noises[0], 2)]) < 1e-4
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "a")
    assert PretrainedEncoder.from_pretrained(str(tmp_path / "a"), 2).normalize
    assert not PretrainedEncoder.from_pretrained(str(tmp_path / "a"), 2, normalize=False).normalize
    MODELS["wav2vec2-bert"]().save_pretrained(tmp_path / "b")
    SeamlessM4TFeatureExtractor().save_pretrained(tmp_path / "b")
    assert PretrainedEncoder.from_pretrained(str(tmp_path / "b"), 2).config()["extractor"]["stride"] == 2


def test_what_is_no_encoder(tmp_path: Path, noises: list[np.ndarray]) -> None:
    with pytest.raises(NotFoundError, match="no directory"):
        PretrainedEncoder.from_pretrained(str(tmp_path / "none"), 1)
    with pytest.raises(InputError, match="from 0 to 3"):
        make("wavlm", layer=4)
    size = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    whisper = WhisperModel(WhisperConfig(**size, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16))
    with pytest.raises(InputError, match=r"wav2vec 2\.0 family"):
        PretrainedEncoder(whisper, 1)
    encoder, _ = make("wavlm")
    for bad in (np.zeros(0), np.zeros((2, 9000)), np.full(9000, np.nan)):
        with pytest.raises(InputError):
            encoder.features([noises[0], bad])
    with pytest.raises(InputError, match="a device must be there"):
        encoder.to("cuda:99")
    assert torch.isfinite(encoder.features([np.zeros(9000, dtype=np.float32)])[0]).all()
