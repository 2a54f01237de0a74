"""say, hear and continue, with the frames of a codec; with units of an encoder they are in test_journey."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MimiConfig, MimiModel, PreTrainedTokenizerFast

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.codecs import CodecUnitTokenizer


@pytest.fixture(scope="module")
def place(byte_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of four codebooks with a random codec, and a recording. Read only."""
    place = tmp_path_factory.mktemp("talk")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_filters": 4, "num_residual_layers": 1, "upsampling_ratios": [8, 6, 5, 4]}
    more = {"codebook_size": 32, "codebook_dim": 8, "vector_quantization_hidden_dimension": 8, "num_quantizers": 4}
    layers = {"num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    codec = CodecUnitTokenizer(MimiModel(MimiConfig(**sizes, **more, **layers, head_dim=8, upsample_groups=16)))
    codec.save(place / "codec")
    CodecUnitTokenizer(codec.model, 1).save(place / "single")
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=0,
    )  # fmt: skip
    units = {"num_units": 32, "num_codebooks": 4, "unit_fingerprint": codec.fingerprint}
    model = SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), **units)
    model.generation_config.suppress_tokens = [model.config.id_space.eos_speech, model.config.id_space.pad_speech]
    model.save_pretrained(place / "model")
    byte_tokenizer.save_pretrained(place / "model")
    sound = np.random.default_rng(0).normal(scale=0.1, size=24_000)
    soundfile.write(place / "heard.wav", sound, 24_000)
    return place


def test_the_codec_hears_and_speaks(place: Path, tmp_path: Path, smoltolk: Callable) -> None:
    model, codec, heard, out = place / "model", place / "codec", place / "heard.wav", tmp_path / "out.wav"
    written = smoltolk("hear", model, heard, "--units", codec)
    assert written.code == 0, written.err
    for parts in (["--vocoder", codec], ["--units", codec], ["--units", codec, "--vocoder", codec]):
        said = smoltolk("say", model, "A dog.", *parts, "--out", out, "--temperature", 1)
        assert said.code == 0, said.err
        assert soundfile.info(out).samplerate == 24_000 and soundfile.info(out).frames > 20 * 1920
        out.unlink()
    lengths = []
    for prompt in ([heard], ["--text", "Meet Anna"]):
        command = ["continue", model, *prompt, "--units", codec, "--out", out, "--most", 5]
        assert smoltolk(*command).code == 0
        lengths.append(soundfile.info(out).frames)
    assert lengths == [5 * 1920] * 2  # five frames of 80 ms, without the prompt's
    assert smoltolk("continue", model, heard, "--to", "text", "--units", codec).code == 0


def test_bad_recordings_are_named_and_the_others_heard(place: Path, tmp_path: Path, smoltolk: Callable) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    good, bad = place / "heard.wav", [tmp_path / "empty.wav", tmp_path / "none.wav"]
    written = smoltolk("hear", place / "model", bad[0], good, bad[1], "--units", place / "codec")
    assert written.code == 0 and written.out.startswith(f"{good}: "), written.err
    assert all(f"rejected {path}: " in written.err for path in bad) and "2 rejected" in written.err
    alone = smoltolk("hear", place / "model", *bad, "--units", place / "codec")
    assert alone.code == 1 and "2 rejected" in alone.err and not alone.out


def test_what_cannot_speak_is_told_first(place: Path, tmp_path: Path, smoltolk: Callable) -> None:
    model, single, out = place / "model", place / "single", tmp_path / "out.wav"
    for command, found in (
        (["say", model, "A dog.", "--out", out], "no --vocoder"),
        (["say", model, "A dog.", "--units", single, "--out", out], "no --vocoder"),
        (["continue", model, "--text", "A dog.", "--units", single, "--out", out], "no --vocoder"),
        (["say", model, "A dog.", "--vocoder", single, "--out", out], "vocoder: 32 units"),
        (["hear", model, place / "heard.wav", "--units", single], "units: 32 units"),
    ):
        result = smoltolk(*command)
        assert result.code == 1 and f"found: {found}" in result.err, result.err
    assert not out.exists()


def test_a_terminal_gets_no_sound(place: Path, smoltolk: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    # As where stdout is a terminal.
    monkeypatch.setattr("smoltolk.cli.talk_verbs.place_of_sound", lambda out: out)
    for command in (["say", place / "model", "A dog."], ["continue", place / "model", "--text", "A dog."]):
        result = smoltolk(*command, "--units", place / "codec")
        assert result.code == 1 and "no --out" in result.err, result.err
