"""Talking: what is heard, how much is said, and with what."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import recognition_prompt
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.inference.generation import Sampling, generate, to_text, to_units
from smoltolk.inference.speech_text import SpeechText
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.units.codecs import CodecUnitTokenizer
from smoltolk.speech.units.tokenizer import Units, UnitTokenizer
from smoltolk.speech.vocoders.vocoder import Reach, Vocoder


class Listening:
    """A vocoder that remembers what it said; a sample for each unit."""

    sample_rate, frame_rate = 100, 25.0

    def __init__(self) -> None:
        self.said: list[np.ndarray] = []

    def synthesize_batch(self, units: Any, durations: Any = None, seed: int = 0) -> list[np.ndarray]:
        self.said += list(units)
        return [np.zeros(len(one), np.float32) for one in units]


class Deaf(UnitTokenizer):
    """Hears nothing in whatever it is given."""

    sample_rate, frame_rate, num_units, num_codebooks, fingerprint = 100, 10.0, 12, 1, "ab" * 32

    def encode(self, waveforms: Any) -> list[Units]:
        return [Units(np.zeros(0, np.int64), np.zeros(0, np.int64)) for _ in waveforms]

    def save(self, directory: Any) -> None:
        raise NotImplementedError


@pytest.fixture
def make_small(byte_tokenizer: PreTrainedTokenizerFast) -> Callable[..., SmolTolkForCausalLM]:
    def make(max_position_embeddings: int = 2048, **settings: Any) -> SmolTolkForCausalLM:
        config = LlamaConfig(
            vocab_size=257, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            eos_token_id=0, max_position_embeddings=max_position_embeddings,
        )  # fmt: skip
        torch.manual_seed(0)
        return SmolTolkForCausalLM.from_text_model(LlamaForCausalLM(config), num_units=12, **settings).eval()

    return make


@pytest.fixture(scope="module")
def recording(codec: CodecUnitTokenizer) -> np.ndarray:
    """A second and a half at the rate of the codec."""
    return np.random.default_rng(0).normal(scale=0.1, size=codec.sample_rate * 3 // 2).astype(np.float32)


def never_ends(model: SmolTolkForCausalLM) -> SmolTolkForCausalLM:
    space = model.config.id_space
    model.generation_config.suppress_tokens = [space.eos_speech, space.pad_speech, space.eos_text]
    return model


def test_a_prompt_leaves_room_to_answer(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    talker = SpeechText(make_small(max_position_embeddings=32), byte_tokenizer)
    written = talker.generate("a" * 20, to="text", max_new=100, sampling=Sampling(temperature=5.0)).text
    assert 0 < len(byte_tokenizer(written)["input_ids"]) <= 3 * 12  # bytes that are no letter become three
    with pytest.raises(InputError, match="ids, the model holds 32\n"):
        talker.generate("a" * 40, to="text", max_new=1)


def test_a_long_text_is_said_to_its_end(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    """What is said may be as long as the text asks for: two units a letter, and 32."""
    vocoder = Listening()
    talker = SpeechText(never_ends(make_small()), byte_tokenizer, vocoder=vocoder)
    for letters in (1, 100):
        made = talker.say("a" * letters, sampling=Sampling(temperature=9.0))
        assert not made.ended and len(made.waveform) == len(vocoder.said[-1])
        drawn = 2 * letters + 32
        assert 0.7 * drawn < len(vocoder.said[-1]) <= drawn  # less what deduplication joins: every 12th


def test_frames_are_said_as_long_as_slow_speech_takes(
    make_codec_model: Callable, byte_tokenizer: PreTrainedTokenizerFast, codec: CodecUnitTokenizer
) -> None:
    """Frames are not deduplicated: a codec of many a second needs many for a letter."""
    talker = SpeechText(never_ends(make_codec_model()), byte_tokenizer, codec)
    for letters in (1, 40):
        spoken = talker.say("a" * letters)
        seconds = spoken.seconds
        assert not spoken.ended and letters / 8 + 2 <= seconds < letters / 8 + 2.2


def test_room_for_the_last_frames_delay(
    make_codec_model: Callable, byte_tokenizer: PreTrainedTokenizerFast, codec: CodecUnitTokenizer
) -> None:
    model = never_ends(make_codec_model())
    model.config.text_config.max_position_embeddings = 40
    talker = SpeechText(model, byte_tokenizer, codec)
    # The prompt, its begin id and its <switch> leave 26 positions, and the last seven frames are finished by them.
    assert len(talker.generate("a" * 12, max_new=500).speech.waveform) == (26 - 7) * codec.hop
    assert len(talker.generate("a" * 12, to="text", max_new=500).text.encode()) <= 3 * 27
    with pytest.raises(InputError, match="34 ids, the model holds 40\n"):
        talker.generate("a" * 32, max_new=1)


def test_a_model_of_a_codec_hears_speaks_and_goes_on(
    codec_model: SmolTolkForCausalLM,
    byte_tokenizer: PreTrainedTokenizerFast,
    codec: CodecUnitTokenizer,
    recording: np.ndarray,
) -> None:
    talker, space = SpeechText(codec_model, byte_tokenizer, codec), codec_model.config.id_space
    assert (talker.hearing_rate, talker.speaking_rate) == (codec.sample_rate, codec.sound_rate)
    frames = codec.encode([recording])[0].units
    options = {"pad_id": space.eos_text, "max_new_tokens": 2 * len(frames) + 32}
    (heard,) = generate(codec_model, [recognition_prompt(space, frames)], end_id=space.eos_text, **options)
    assert len(heard.ids) and talker.hear(recording) == to_text(heard, byte_tokenizer)
    options = {"pad_id": space.eos_text, "end_id": space.eos_speech, "max_new_tokens": 9}
    for prompt, segment in ((recording, (True, frames)), ("Hi", (False, byte_tokenizer("Hi")["input_ids"]))):
        (made,) = generate(codec_model, [mixed_prompt(space, [segment], continue_in_speech=True)], **options)
        assert to_units(made, space).shape == (9, 8)
        sound = talker.generate(prompt, max_new=9, sampling=None).speech.waveform
        assert np.array_equal(sound, codec.decode(to_units(made, space)).clip(-1, 1))
    written = [talker.generate(one, to="text", max_new=9, sampling=None) for one in (recording, recording[::-1].copy())]
    assert written[0].text != written[1].text


def test_nothing_to_hear_and_nothing_to_say(
    make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast, codec_model: SmolTolkForCausalLM
) -> None:
    talker = SpeechText(make_small(), byte_tokenizer, Deaf())
    for act in (talker.hear, lambda waveform: talker.generate(waveform, to="text", max_new=3)):
        with pytest.raises(InputError, match="a unit at least\n  found: 3 samples"):
            act(np.zeros(3, np.float32))
    for act in (talker.say, lambda text: talker.generate(text, max_new=3)):
        with pytest.raises(InputError, match="speaking needs a vocoder"):
            act("Hi")
    with pytest.raises(InputError, match="hearing needs the units"):
        SpeechText(make_small(), byte_tokenizer).hear(np.zeros(3, np.float32))
    with pytest.raises(InputError, match=r"8 codebook.* and a Listening"):
        SpeechText(codec_model, byte_tokenizer, vocoder=Listening())


def test_a_codec_where_it_cannot_speak(
    make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast, codec: CodecUnitTokenizer
) -> None:
    with pytest.raises(InputError, match=r"1 codebook.* and a CodecSpeaker"):
        SpeechText(make_small(), byte_tokenizer, vocoder=codec)
    first = CodecUnitTokenizer(codec.model, 1)
    with pytest.raises(InputError, match="codec with one codebook"):
        SpeechText(make_small(), byte_tokenizer, vocoder=first)
    with pytest.raises(InputError, match="found: Deaf"):
        SpeechText(make_small(), byte_tokenizer, vocoder=Deaf())
    with pytest.raises(InputError, match=r"a tokenizer of 2048 units .* a model of 12"):
        SpeechText(make_small(), byte_tokenizer, first)


def test_a_tokenizer_with_words_added(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    longer = copy.deepcopy(byte_tokenizer)
    longer.add_tokens(["<song>"])
    with pytest.raises(InputError, match="tokenizer"):
        SpeechText(make_small(), longer)


def test_names_of_special_tokens_are_said(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    """The prompt of a text that spells them holds its letters."""
    talker = SpeechText(make_small(), byte_tokenizer)
    assert 0 in byte_tokenizer("a <eos> b")["input_ids"]
    ids = talker.processor.document("a <eos> b").input_ids[1:]
    assert byte_tokenizer.decode(ids) == "a <eos> b" and 0 not in ids


def spoken_and_streamed(talker: SpeechText, prompt: Any, **options: Any) -> tuple[Any, list[Any]]:
    return talker.generate(prompt, **options), list(talker.generate(prompt, stream=True, **options))


class Humming(Vocoder):
    """Two frames a unit, eight samples each: the unit's own number, as a constant."""

    KIND, speakers = "humming", ("low", "high")

    def __init__(self) -> None:
        super().__init__(12, 25.0, "ab" * 32, 200)

    reach = Reach(1, 2)

    def synthesize(
        self, units: Any, durations: Any = None, seed: int = 0, *, speaker: str | int | None = None
    ) -> np.ndarray:
        durations = self.predict_durations(units) if durations is None else durations
        voice = 1 + self.speaker_index(speaker)
        return np.repeat(np.asarray(units, np.float32) / 100 * voice, 8 * np.asarray(durations))

    def predict_durations(self, units: Any) -> np.ndarray:
        return np.full(len(units), 2)

    def _config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def _from_config(cls, config: Any) -> Humming:
        return cls()


HOT = Sampling(temperature=3.0, top_k=0)


@pytest.mark.parametrize("to", ["text", "speech"])
def test_a_batch_is_its_items_alone(to: Any, make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    """Each prompt draws by its own seed; the prompts differ in length, and so do the limits of what is said."""
    talker = SpeechText(make_small(), byte_tokenizer, vocoder=Humming())
    prompts = [["A"], ["Something much longer ", np.array([3, 5, 7]), "and"], ["Mia"]]
    together = talker.generate(prompts, to=to, seed=[5, 0, 9], sampling=HOT, max_new=20)
    alone = [
        talker.generate(one, to=to, seed=seed, sampling=HOT, max_new=20)
        for one, seed in zip(prompts, (5, 0, 9), strict=True)
    ]
    for first, second in zip(together, alone, strict=True):
        assert first.text == second.text and first.ended == second.ended
        if to == "speech":
            assert np.array_equal(first.speech.units, second.speech.units) and len(first.speech.units)
            assert np.array_equal(first.speech.waveform, second.speech.waveform)

    def said(answer: Any) -> Any:
        return answer.text if to == "text" else answer.speech.units.tolist()

    same = talker.generate([["Mia"]] * 3, to=to, seed=8, sampling=HOT, max_new=20)  # they count on: 8, 9, 10
    assert said(same[1]) == said(alone[2]) and len({repr(said(one)) for one in same}) == 3
    texts = ["Mia", "Something much longer"]
    spoken = talker.say(texts, seed=3, sampling=HOT)
    for one, text, seed in zip(spoken, texts, (3, 4), strict=True):
        assert np.array_equal(one.waveform, talker.say(text, seed=seed, sampling=HOT).waveform)


def test_a_row_without_room_goes_by_itself(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    talker = SpeechText(never_ends(make_small(max_position_embeddings=32)), byte_tokenizer)
    short, long = talker.generate([["a"], ["a" * 27]], to="text", max_new=10, sampling=None)
    assert len(byte_tokenizer(short.text)["input_ids"]) >= 10 > 4 >= len(byte_tokenizer.decode([5] * 4))
    assert not short.ended and not long.ended
    assert long.text == talker.generate("a" * 27, to="text", max_new=10, sampling=None).text


def test_a_stream_is_the_answer_in_pieces(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    talker = SpeechText(make_small(), byte_tokenizer, vocoder=Humming())
    for seed in range(3):
        options = {"sampling": HOT, "seed": seed, "max_new": 40}
        answer, pieces = spoken_and_streamed(talker, ["Mia", np.array([1, 2])], to="text", **options)
        assert "".join(piece.text for piece in pieces) == answer.text
        assert pieces[-1].ended == answer.ended and [piece.ends for piece in pieces] == [False] * (len(pieces) - 1) + [
            True
        ]
        answer, pieces = spoken_and_streamed(talker, ["Mia"], to="speech", speaker="high", **options)
        assert np.array_equal(np.concatenate([piece.units for piece in pieces]), answer.speech.units)
        waveform = np.concatenate([piece.waveform for piece in pieces])
        assert waveform.shape == answer.speech.waveform.shape and pieces[-1].ended == answer.ended
        assert np.mean(np.abs(waveform - answer.speech.waveform) > 1e-6) < 0.1  # where chunks fade
        assert [piece.seconds for piece in pieces] == sorted(piece.seconds for piece in pieces)
    said, pieces = (
        talker.say("Mia", "high", 2, sampling=HOT),
        list(talker.say_in_pieces("Mia", "high", 2, sampling=HOT)),
    )
    assert np.array_equal(np.concatenate([piece.units for piece in pieces]), said.units) and len(pieces) > 2
    assert talker.say([]) == [] and talker.say(["Mia"])[0].seconds > 0
    with pytest.raises(InputError, match="one prompt"):
        talker.generate([["a"], ["b"]], stream=True)


def test_who_stops_listening_stops_the_model(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    model = never_ends(make_small())
    steps: list[int] = []
    model.register_forward_hook(lambda *_: steps.append(1))
    talker = SpeechText(model, byte_tokenizer, vocoder=Humming())
    pieces = talker.generate("Mia", to="speech", stream=True, max_new=1_500, sampling=HOT)
    next(pieces)
    pieces.close()
    assert len(steps) < 500


def test_a_failure_reaches_who_listens(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_small()
    model.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(SpeechText(model, byte_tokenizer).generate("Mia", to="text", stream=True))


def test_seconds_limit_speech(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    """Two frames a unit at 25 Hz: a second holds twelve units, and no more are asked for than a few steps behind."""
    model = never_ends(make_small())
    talker = SpeechText(model, byte_tokenizer, vocoder=Humming())
    answer = talker.generate("Mia", max_seconds=1.0, sampling=HOT)
    assert len(answer.speech.units) == 12 and answer.speech.seconds == 24 * 8 / 200 and not answer.ended
    pieces = list(talker.generate("Mia", max_seconds=1.0, sampling=HOT, stream=True))
    assert sum(len(piece.waveform) for piece in pieces) == 200 and not pieces[-1].ended
    assert talker.generate("Mia", max_seconds=1.0, max_new=3, sampling=HOT).speech.seconds <= 6 * 8 / 200
    for options in ({"max_seconds": 1.0, "to": "text"}, {"max_seconds": 0.0}, {"max_new": 0}):
        with pytest.raises(InputError, match=r"seconds limit speech|an id at least"):
            talker.generate("Mia", **options)


def test_what_says_nothing(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_small()
    model.register_forward_hook(_end_of_speech)
    talker = SpeechText(model, byte_tokenizer, vocoder=Humming())
    for ask in (talker.say, talker.generate):
        with pytest.raises(InputError, match="something to say"):
            ask("Mia")
    for batch in (talker.say(["Mia"]), talker.say(["Mia", "Bo"])):
        assert all(one.is_empty and one.ended and not len(one.units) for one in batch)
    (answer,) = talker.generate([["Mia"]], to="speech")
    assert answer.is_empty and "nothing is said" in repr(answer.speech)
    (piece,) = talker.generate("Mia", stream=True)
    assert piece.ends and piece.ended and not len(piece.waveform)


def _end_of_speech(model: Any, _: Any, output: Any) -> None:
    output.logits[..., model.config.id_space.eos_speech] = 1e4


def test_voices(make_small: Callable, byte_tokenizer: PreTrainedTokenizerFast, codec_model: Any, codec: Any) -> None:
    talker = SpeechText(never_ends(make_small()), byte_tokenizer, vocoder=Humming())
    assert talker.speakers == ("low", "high")
    low, high = talker.say("Mia"), talker.say("Mia", speaker="high")
    assert np.array_equal(2 * low.waveform, high.waveform) and low.waveform.any()
    talker.model.register_forward_hook(lambda *_: 1 / 0)  # an unknown one is told before the model has worked for it
    for ask in (talker.say, talker.generate, talker.say_in_pieces, partial(talker.generate, stream=True)):
        with pytest.raises(InputError, match="low, high"):
            ask("Mia", speaker="middle")
    alone = SpeechText(codec_model, byte_tokenizer, codec)
    assert alone.speakers == ()
    with pytest.raises(InputError, match="has but one"):
        alone.generate("Mia", speaker="low", max_new=3)
