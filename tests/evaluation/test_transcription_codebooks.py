"""Recognition, synthesis and samples of a model of a codec's frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import Document
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.transcription import recognition, synthesis
from smoltolk.inference.generation import generate, to_text, to_units
from smoltolk.inference.samples import make_samples
from smoltolk.inference.speakers import CodecSpeaker, most_units
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.audio import SAMPLE_RATE, load, resample
from smoltolk.speech.units.codecs import CodecUnitTokenizer

Model, Tokenizer, Codec = SmolTolkForCausalLM, PreTrainedTokenizerFast, CodecUnitTokenizer


class Counting:
    """A judge that hears how long things are."""

    name = "counting"

    def transcribe_batch(self, waveforms: Sequence[np.ndarray], sample_rate: int = SAMPLE_RATE) -> list[str]:
        return [f"{len(one)} samples" for one in waveforms]


def frames(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2048, (number, 8))


def test_recognition_reads_all_codebooks(codec_model: Model, byte_tokenizer: Tokenizer) -> None:
    space, said = codec_model.config.id_space, [frames(9), frames(4, 1)]
    result = recognition(codec_model, [(one, "a b") for one in said], byte_tokenizer, space)
    for one, hypothesis in zip(said, result.hypotheses, strict=True):
        prompt = Document(space).begin_prompt().switch().speech(one).switch().end_prompt()
        options = {"end_id": space.eos_text, "pad_id": space.eos_text, "max_new_tokens": 2 * 3 + 8}
        assert hypothesis == to_text(generate(codec_model, [prompt], **options)[0], byte_tokenizer)
    other = [np.concatenate([one[:, :1], frames(len(one), 7)[:, 1:]], axis=1) for one in said]
    assert recognition(codec_model, [(one, "a b") for one in other], byte_tokenizer, space).hypotheses != (
        result.hypotheses
    )


def test_synthesis_is_spoken_by_the_codec(codec_model: Model, byte_tokenizer: Tokenizer, codec: Codec) -> None:
    space, texts = codec_model.config.id_space, ["a b", "c d e f"]
    speaker = CodecSpeaker(codec)
    result = synthesis(codec_model, texts, byte_tokenizer, space, speaker, judge=Counting())
    for text, units, waveform, heard in zip(texts, result.units, result.waveforms, result.hypotheses, strict=True):
        prompt = Document(space).begin_prompt().text(byte_tokenizer(text)["input_ids"]).end_prompt().switch()
        most = most_units(texts[1], space, 12.5)
        options = {"end_id": space.eos_speech, "pad_id": space.eos_text, "max_new_tokens": most}
        (made,) = generate(codec_model, [prompt], **options)
        assert 0 < len(units) <= most == int(12.5 * (7 / 8 + 2)) + 1
        assert np.array_equal(units, to_units(made, space))
        expected = resample(codec.decode(units).clip(-1, 1), codec.sound_rate, SAMPLE_RATE)
        assert np.array_equal(waveform, expected) and heard == f"{len(expected)} samples"


def test_samples_are_spoken_by_the_codec(
    codec_model: Model, byte_tokenizer: Tokenizer, codec: Codec, tmp_path: Path
) -> None:
    item = SpokenCloze(
        id="story-0", kind="story", fact="x", rival="y", prompt_text="a", right_text="b", wrong_text="c",
        prompt_tokens=np.array([3, 4]), right_tokens=np.array([5]), wrong_tokens=np.array([6]),
        prompt_units=frames(6), right_units=frames(3), wrong_units=frames(3), prompt_seconds=0.48,
    )  # fmt: skip
    records = make_samples(
        codec_model, [item], byte_tokenizer, codec_model.config.id_space, CodecSpeaker(codec),
        out_dir=tmp_path / "samples", seed=0, max_units=5, max_tokens=5, sampling=None,
        directions=("S->S", "T->S", "S->T", "T->T"),
    )  # fmt: skip
    for record in records:
        seconds = {"prompt_audio": 0.48, "audio": 0.4}  # six frames of the prompt, five behind it
        for name, wanted in seconds.items():
            if record[name] is not None:
                assert len(load(tmp_path / record[name])) / SAMPLE_RATE == pytest.approx(wanted, abs=0.1)
    assert [record["audio"] is not None for record in records] == [True, True, False, False]


def test_a_vocoder_of_other_units_is_refused_first(
    codec_model: Model, model: Model, byte_tokenizer: Tokenizer, codec: Codec, tmp_path: Path
) -> None:
    class Untouched:
        config = codec_model.config

    class Plain:
        sample_rate, frame_rate = 100, 25.0

    space = codec_model.config.id_space
    with pytest.raises(InputError, match=r"8 codebook.* and a Plain"):
        synthesis(Untouched(), ["a"], byte_tokenizer, space, Plain())
    with pytest.raises(InputError, match=r"8 codebook.* and a Plain"):
        make_samples(Untouched(), [], byte_tokenizer, space, Plain(), out_dir=tmp_path, seed=0)
    with pytest.raises(InputError, match=r"1 codebook.* and a CodecSpeaker"):
        synthesis(Untouched(), ["a"], byte_tokenizer, model.config.id_space, CodecSpeaker(codec))
