"""Models of transformers that speak: tiny and untrained, so what they say is noise, but theirs."""

import json
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.speak import speak
from smoltolk.speech.alignment.aligners import aligner_named
from smoltolk.speech.alignment.ctc_alignment import CtcAligner
from smoltolk.speech.synthesis.tts import ModelSynthesizer, ModelVoice

TEXT = "The old fox \u2014 it is 21. Mia naps."


@pytest.fixture(scope="module")
def aligner(ctc_dir: Path) -> CtcAligner:
    return CtcAligner(str(ctc_dir), device="cpu")


@pytest.fixture(scope="module")
def vits(vits_dir: Path, aligner: CtcAligner) -> ModelSynthesizer:
    return ModelSynthesizer(str(vits_dir), aligner, device="cpu", lowest_confidence=0)


def test_speech_is_a_function_of_text_and_voice(vits: ModelSynthesizer) -> None:
    first = vits.speak(TEXT, ModelVoice(1, 3))
    assert [word.text for word in first.words] == TEXT.split() and first.phones == ()
    assert first.sample_rate == 16_000 and first.waveform.dtype == np.float32 and np.abs(first.waveform).max() <= 1
    assert first.words[-1].end <= len(first.waveform) / 16_000
    vits.speak("Something else.", ModelVoice(0, 0))
    again = vits.speak(TEXT, ModelVoice(1, 3))
    assert (again.waveform == first.waveform).all() and again.words == first.words
    for voice in (ModelVoice(1, 4), ModelVoice(2, 3)):
        other = vits.speak(TEXT, voice).waveform
        assert len(other) != len(first.waveform) or np.abs(other - first.waveform).max() > 0


def test_speech_that_does_not_say_its_text_is_refused(vits_dir: Path, aligner: CtcAligner) -> None:
    with pytest.raises(InputError, match=r"speech must say its text: a confidence of 0\.5"):
        ModelSynthesizer(str(vits_dir), aligner, device="cpu").speak(TEXT, ModelVoice())


@pytest.mark.parametrize(
    ("text", "voice", "message"),
    [
        ("\u0416\u0443\u043a.", ModelVoice(), "letters of a text"),
        (" ... ", ModelVoice(), "must have a word"),
        ("a fox", ModelVoice(8), "speaker 8 of 8"),
    ],
)
def test_bad_input(vits: ModelSynthesizer, text: str, voice: ModelVoice, message: str) -> None:
    with pytest.raises(InputError, match=message):
        vits.speak(text, voice)


def test_speakers_are_shared_out_to_two_splits(vits: ModelSynthesizer) -> None:
    seen, unseen = vits.voices(6, 0, "seen"), vits.voices(2, 0, "unseen")
    assert sorted(voice.speaker for voice in [*seen, *unseen]) == list(range(8))
    assert vits.voices(3, 0, "seen") == seen[:3] and vits.voices(6, 1, "seen") != seen
    with pytest.raises(InputError, match="0 to 2 voices"):
        vits.voices(3, 0, "unseen")


def test_a_corpus_of_its_speech(vits: ModelSynthesizer, tmp_path: Path) -> None:
    voice = ModelVoice(1, 3)
    texts = [("a", "The old fox.", voice), ("b", "\u0416", voice), ("c", "Mia naps.", voice)]
    counts = speak(texts, tmp_path, source="tiny", synthesizer=vits, language="en")
    assert (counts.num_utterances, counts.num_rejected) == (2, 1)
    assert [(one.id, one.speaker, len(one.words)) for one in read_corpus(tmp_path)] == [
        ("a", "speaker1-3", 3),
        ("c", "speaker1-3", 2),
    ]
    assert "letters of a text" in json.loads((tmp_path / "rejected.jsonl").read_text())["reason"]
    with pytest.raises(InputError, match="another corpus"):
        speak(texts[:1], tmp_path, source="tiny", language="en")


def test_a_model_of_spectrograms(speecht5_dirs: tuple[Path, Path], aligner: CtcAligner, tmp_path: Path) -> None:
    folder, vocoder = (str(one) for one in speecht5_dirs)
    np.save(tmp_path / "speakers.npy", np.eye(4, dtype=np.float32)[:3])
    synthesizer = ModelSynthesizer(
        folder, aligner, speakers=tmp_path / "speakers.npy", vocoder=vocoder, device="cpu", lowest_confidence=0
    )
    assert synthesizer.num_speakers == 3
    spoken = synthesizer.speak("a fox", ModelVoice(2))
    assert len(spoken.waveform) > 3_200 and [word.text for word in spoken.words] == ["a", "fox"]
    with pytest.raises(InputError, match="letters of a text"):
        synthesizer.speak("na\u00efve", ModelVoice())
    with pytest.raises(InputError, match="embeddings of 4 numbers"):
        ModelSynthesizer(folder, aligner, vocoder=vocoder)
    np.save(tmp_path / "flat.npy", np.ones(4))
    with pytest.raises(InputError, match="\\[speakers, numbers\\]"):
        ModelSynthesizer(folder, aligner, speakers=tmp_path / "flat.npy", vocoder=vocoder)
    with pytest.raises(NotFoundError, match=r"\.npy file"):
        ModelSynthesizer(folder, aligner, speakers=tmp_path / "none.npy", vocoder=vocoder)


def test_models_that_do_not_speak(ctc_dir: Path, aligner: CtcAligner) -> None:
    with pytest.raises(InputError, match="must be a text-to-speech model"):
        ModelSynthesizer(str(ctc_dir), aligner)
    with pytest.raises(NotFoundError, match="no directory"):
        ModelSynthesizer("./nothing", aligner_named(str(ctc_dir)))
