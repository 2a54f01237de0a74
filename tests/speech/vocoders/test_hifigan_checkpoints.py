"""Checkpoints with the published names and shapes, made here: they load, and say what a second reading says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.hifigan_checkpoints import PUBLISHED, plain_weights, published_hifigan, read_hifigan

SETTINGS: dict[str, Any] = {
    "resblock": "1",
    "batch_size": 16,
    "learning_rate": 0.0002,
    "upsample_rates": [5, 4, 4, 4, 2],
    "upsample_kernel_sizes": [11, 8, 8, 8, 4],
    "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "num_embeddings": 12,
    "embedding_dim": 8,
    "model_in_dim": 8,
    "segment_size": 8960,
    "code_hop_size": 640,
    "f0": False,
    "num_mels": 80,
    "sampling_rate": 16000,
    "dur_prediction_weight": 1.0,
    "dur_predictor_params": {
        "encoder_embed_dim": 8,
        "var_pred_hidden_dim": 8,
        "var_pred_kernel_size": 3,
        "var_pred_dropout": 0.5,
    },
}
UNITS = np.array([7, 3, 11, 0, 3])


class Units12(UnitTokenizer):
    """Twelve units at 25 Hz; encodes nothing."""

    sample_rate, frame_rate, num_units, num_codebooks, fingerprint = 16_000, 25.0, 12, 1, "a" * 64

    def encode(self, waveforms: Any) -> list[Units]:
        raise NotImplementedError

    def save(self, directory: Path | str) -> None:
        raise NotImplementedError


def published_state(settings: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Names and shapes as in the published checkpoints, written down from their description."""
    random = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random) * 0.2

    def normed(name: str, outputs: int, first: int, second: int, kernel: int) -> None:
        state[f"{name}.bias"] = draw(outputs)
        state[f"{name}.weight_g"] = draw(first, 1, 1).abs() + 0.1
        state[f"{name}.weight_v"] = draw(first, second, kernel)

    channels, dim = settings["upsample_initial_channel"], settings["embedding_dim"]
    normed("conv_pre", channels, channels, settings["model_in_dim"], 7)
    for i, kernel in enumerate(settings["upsample_kernel_sizes"]):
        normed(f"ups.{i}", channels // 2, channels, channels // 2, kernel)
        channels //= 2
        for j, size in enumerate(settings["resblock_kernel_sizes"]):
            for k in range(len(settings["resblock_dilation_sizes"][j])):
                for part in ("convs1", "convs2"):
                    number = i * len(settings["resblock_kernel_sizes"]) + j
                    normed(f"resblocks.{number}.{part}.{k}", channels, channels, channels, size)
    normed("conv_post", 1, 1, channels, 7)
    state["dict.weight"] = draw(settings["num_embeddings"], dim)
    if settings.get("multispkr"):
        state["spkr.weight"] = draw(5, dim)
    if settings.get("multistyle"):
        state["style.weight"] = draw(3, dim)
    if settings.get("dur_predictor_params"):
        hidden = settings["dur_predictor_params"]["var_pred_hidden_dim"]
        for layer, inputs in (("1", dim), ("2", hidden)):
            state[f"dur_predictor.conv{layer}.0.weight"] = draw(hidden, inputs, 3) * 3
            state[f"dur_predictor.conv{layer}.0.bias"] = draw(hidden)
            state[f"dur_predictor.ln{layer}.weight"] = draw(hidden) * 4
            state[f"dur_predictor.ln{layer}.bias"] = draw(hidden)
        state["dur_predictor.proj.weight"], state["dur_predictor.proj.bias"] = draw(1, hidden) * 3, draw(1) + 1
    return state


def second_reading(state: dict[str, Tensor], settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Durations and samples for UNITS, computed from the state dict with functions alone."""

    def weight(name: str) -> Tensor:
        direction = state[f"{name}.weight_v"]
        return state[f"{name}.weight_g"] * direction / direction.flatten(1).norm(dim=1)[:, None, None]

    x = state["dict.weight"][torch.from_numpy(UNITS)].T[None]
    h = x
    for layer in ("1", "2"):
        name = f"dur_predictor.conv{layer}.0"
        h = F.conv1d(h, state[f"{name}.weight"], state[f"{name}.bias"], padding=1).relu()
        norm = (state[f"dur_predictor.ln{layer}.weight"], state[f"dur_predictor.ln{layer}.bias"])
        h = F.layer_norm(h.transpose(1, 2), h.shape[1:2], *norm).transpose(1, 2)
    logs = F.linear(h.transpose(1, 2), state["dur_predictor.proj.weight"], state["dur_predictor.proj.bias"])[0, :, 0]
    durations = torch.clamp(torch.round(torch.exp(logs) - 1).long(), min=1)
    x = torch.repeat_interleave(x, durations, dim=2)
    x = F.conv1d(x, weight("conv_pre"), state["conv_pre.bias"], padding=3)
    for i, (rate, kernel) in enumerate(zip(settings["upsample_rates"], settings["upsample_kernel_sizes"], strict=True)):
        x = F.leaky_relu(x, 0.1)
        x = F.conv_transpose1d(x, weight(f"ups.{i}"), state[f"ups.{i}.bias"], rate, (kernel - rate) // 2)
        outputs = []
        for j, size in enumerate(settings["resblock_kernel_sizes"]):
            y = x
            for k, dilation in enumerate(settings["resblock_dilation_sizes"][j]):
                one, two = (f"resblocks.{3 * i + j}.{part}.{k}" for part in ("convs1", "convs2"))
                padding = (size * dilation - dilation) // 2
                z = F.conv1d(F.leaky_relu(y, 0.1), weight(one), state[f"{one}.bias"], 1, padding, dilation)
                y = y + F.conv1d(F.leaky_relu(z, 0.1), weight(two), state[f"{two}.bias"], 1, (size - 1) // 2)
            outputs.append(y)
        x = torch.stack(outputs).mean(0)
    x = F.conv1d(F.leaky_relu(x, 0.01), weight("conv_post"), state["conv_post.bias"], padding=3)
    return durations, torch.tanh(x)[0, 0]


def write(folder: Path, settings: dict[str, Any], checkpoint: Any) -> tuple[Path, Path]:
    torch.save(checkpoint, folder / "generator.pt")
    (folder / "config.json").write_text(json.dumps(settings))
    return folder / "generator.pt", folder / "config.json"


def test_a_published_checkpoint_says_what_its_tensors_say(tmp_path: Path) -> None:
    state = published_state(SETTINGS)
    vocoder = read_hifigan(*write(tmp_path, SETTINGS, {"generator": state}), Units12())
    durations, samples = second_reading(state, SETTINGS)
    assert durations.max() > 1
    np.testing.assert_array_equal(vocoder.predict_durations(UNITS), durations.numpy())
    made = vocoder.synthesize(UNITS)
    assert len(made) == 640 * durations.sum() and np.abs(made).std() > 0
    np.testing.assert_allclose(made, samples.numpy(), atol=1e-5)
    vocoder.save(tmp_path / "ours")
    loaded = type(vocoder).load(tmp_path / "ours", Units12.fingerprint)
    np.testing.assert_array_equal(loaded.synthesize(UNITS), made)


def test_speakers_and_styles_come_along(tmp_path: Path) -> None:
    settings = SETTINGS | {"multispkr": "from_path", "multistyle": True, "model_in_dim": 24}
    files = write(tmp_path, settings, {"generator": published_state(settings)})
    (tmp_path / "speakers.txt").write_text("ex01\nex02\n\nlj\n")
    vocoder = read_hifigan(*files, Units12(), speakers=tmp_path / "speakers.txt")
    assert vocoder.speakers == ("ex01", "ex02", "lj") and vocoder.config.num_speakers == 5
    ones = np.ones_like(UNITS)
    assert not np.array_equal(vocoder.synthesize(UNITS, ones, speaker="lj"), vocoder.synthesize(UNITS, ones))
    assert not np.array_equal(vocoder.synthesize(UNITS, ones, style=2), vocoder.synthesize(UNITS, ones))
    with pytest.raises(NotFoundError, match="list of names"):
        read_hifigan(*files, Units12(), speakers=tmp_path / "none.txt")


def test_plain_weights_load_as_well(tmp_path: Path) -> None:
    state = published_state(SETTINGS)
    first = read_hifigan(*write(tmp_path, SETTINGS, {"generator": state}), Units12())
    second = read_hifigan(*write(tmp_path, SETTINGS, {"generator": plain_weights(state)}), Units12())
    assert first.fingerprint == second.fingerprint


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("was_run"),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = write(tmp_path, SETTINGS, {"generator": published_state(SETTINGS), "more": Evil()})
    with pytest.raises(InputError, match="file of plain data"):
        read_hifigan(*files, Units12())
    assert not (tmp_path / "was_run").exists()


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    state = published_state(SETTINGS)
    with pytest.raises(NotFoundError, match="checkpoint"):
        read_hifigan(tmp_path / "none.pt", write(tmp_path, SETTINGS, {})[1], Units12())
    with pytest.raises(InputError, match="under 'generator'"):
        read_hifigan(*write(tmp_path, SETTINGS, {"model": state}), Units12())
    alone = {name: one for name, one in state.items() if name != "ups.0.weight_g"}
    with pytest.raises(InputError, match=r"ups\.0\.weight_v alone"):
        read_hifigan(*write(tmp_path, SETTINGS, {"generator": alone}), Units12())
    missing = {name: one for name, one in state.items() if name != "ups.0.bias"}
    with pytest.raises(InputError, match=r"ups\.0\.bias"):
        read_hifigan(*write(tmp_path, SETTINGS, {"generator": missing}), Units12())
    files = write(tmp_path, SETTINGS, {"generator": state})
    many = Units12()
    many.num_units = 13
    with pytest.raises(InputError, match="12 units at 25 Hz there, 13 at 25 Hz here"):
        read_hifigan(*files, many)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match="JSON object"):
        read_hifigan(*files, Units12())


def test_published_names_have_their_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict(zip(("pt", "json"), write(tmp_path, SETTINGS, {"generator": published_state(SETTINGS)}), strict=True))
    fetched = []

    def fetch(url: str, sha256: str) -> Path:
        fetched.append((url, sha256))
        return files[url.rsplit(".", 1)[-1]]

    monkeypatch.setattr("smoltolk.speech.vocoders.hifigan_checkpoints.fetch", fetch)
    assert published_hifigan("mhubert-25hz-lj", Units12()).num_units == 12
    assert [url.rsplit("/", 1)[-1] for url, _ in fetched] == [
        "hifigan_lj_mhubert_base_25hz.pt",
        "hifigan_lj_mhubert_base_25hz_config.json",
    ]
    assert all(len(sha256) == 64 for _, sha256 in fetched)
    with pytest.raises(InputError, match="mhubert-25hz-lj"):
        published_hifigan("nothing", Units12())
    assert all(one.checkpoint[0].endswith(".pt") for one in PUBLISHED.values())
