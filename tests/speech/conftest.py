"""Real speech, and units and a vocoder trained on it for seconds: enough for tests, not for ears.

And models of transformers of the kinds that users name, as small as they get and untrained.
"""

import json
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, Voice, espeak_available, voices
from smoltolk.speech.units.phone_encoder import LabelledSpeech, PhoneUnitTokenizer, fit_phone_units
from smoltolk.speech.vocoders.kinds import Vocoder, fit_vocoder

SENTENCES = (
    "The red fox sat in the old garden.",
    "Tom gave a small box to his sister.",
    "Five birds were singing near the river.",
    "She could not find the yellow book.",
    "The teacher walked home with a heavy bag.",
    "A white horse jumped over the fence.",
    "My uncle bought fresh bread this morning.",
    "They played outside until it was dark.",
)
CLEAR = Voice("en-us", "m3", 160, 45)


def say(text: str, voice: Voice) -> LabelledSpeech:
    spoken = EspeakSynthesizer().speak(text, voice)
    return LabelledSpeech(spoken.waveform, spoken.phones)


@pytest.fixture(scope="session")
def speakers() -> list[Voice]:
    return [CLEAR, *voices(3, 0, "seen")]


@pytest.fixture(scope="session")
def labelled(speakers: list[Voice]) -> list[LabelledSpeech]:
    """Eight sentences in each of four voices, sentence by sentence."""
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    return [say(sentence, voice) for sentence in SENTENCES for voice in speakers]


@pytest.fixture(scope="session")
def tokenizer(labelled: list[LabelledSpeech]) -> PhoneUnitTokenizer:
    return fit_phone_units(labelled, steps=60, seed=0)


@pytest.fixture(scope="session")
def clear_speech(labelled: list[LabelledSpeech]) -> list[np.ndarray]:
    """The eight sentences in one voice."""
    return [utterance.waveform for utterance in labelled[::4]]


@pytest.fixture(scope="session")
def vocoder(clear_speech: list[np.ndarray], tokenizer: PhoneUnitTokenizer) -> Vocoder:
    return fit_vocoder(clear_speech, tokenizer.encode(clear_speech), tokenizer, steps=60, seed=0)


LETTERS = ascii_lowercase + "'"


@pytest.fixture(scope="session")
def whisper_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    folder = tmp_path_factory.mktemp("models") / "whisper"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    marks = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    times = [f"<|{0.02 * step:.2f}|>" for step in range(1501)]
    vocabulary = {one: index for index, one in enumerate([*letters, marks[0]])}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], pad_token=marks[0])
    tokenizer.add_special_tokens({"additional_special_tokens": marks[1:]})
    tokenizer.add_tokens(times)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    end, start, _, _, no_times = (tokenizer.convert_tokens_to_ids(mark) for mark in marks)
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=24,
        decoder_start_token_id=start,
        eos_token_id=end,
        bos_token_id=end,
        pad_token_id=end,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        no_timestamps_token_id=no_times,
        is_multilingual=False,
        max_length=20,
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vits_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight speakers."""
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    folder = tmp_path_factory.mktemp("models") / "vits"
    folder.mkdir()
    (folder / "letters.json").write_text(json.dumps({one: index for index, one in enumerate(" " + LETTERS)}))
    tokenizer = VitsTokenizer(str(folder / "letters.json"), phonemize=False, pad_token=" ", unk_token=" ")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = VitsConfig(
        vocab_size=28,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=16,
        flow_size=16,
        spectrogram_bins=9,
        num_speakers=8,
        speaker_embedding_size=8,
        upsample_initial_channel=16,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
        prior_encoder_num_flows=1,
        prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=1,
        duration_predictor_filter_channels=16,
        sampling_rate=22_050,
    )
    VitsModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def speecht5_dirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A SpeechT5 that takes embeddings of four numbers, and its vocoder."""
    from transformers import (
        PreTrainedTokenizerFast,
        SpeechT5Config,
        SpeechT5ForTextToSpeech,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
    )

    folder, vocoder = (tmp_path_factory.mktemp("models") / name for name in ("speecht5", "hifigan"))
    letters = {one: index for index, one in enumerate(["<pad>", "<unk>", " ", ".", *LETTERS])}
    backend = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>").save_pretrained(folder)
    torch.manual_seed(0)
    config = SpeechT5Config(
        vocab_size=len(letters),
        hidden_size=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_mel_bins=8,
        speaker_embedding_dim=4,
        speech_decoder_prenet_units=16,
        speech_decoder_postnet_units=16,
    )
    SpeechT5ForTextToSpeech(config).save_pretrained(folder)
    small = SpeechT5HifiGanConfig(
        model_in_dim=8,
        upsample_initial_channel=16,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
    )
    SpeechT5HifiGan(small).save_pretrained(vocoder)
    return folder, vocoder
