"""flite's own times are those that a listener finds; skipped where the system has no libflite."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.speech.phones import PHONES
from smoltolk.speech.synthesis import flite
from smoltolk.speech.synthesis.flite import SPEAKERS, FliteSynthesizer, FliteVoice, flite_available

TEXT = "Don't go in the deep forest \u2014 it's 1984, NASA's caf\u00e9 is cold. Mia has a red kite!"
needs_flite = pytest.mark.skipif(not flite_available(), reason="needs the system library flite (apt install flite)")


@needs_flite
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_words_and_phones_tile_the_speech(speaker: str) -> None:
    spoken = FliteSynthesizer().speak(TEXT, FliteVoice(speaker))
    assert [word.text for word in spoken.words] == TEXT.split()
    end = len(spoken.waveform) / spoken.sample_rate
    assert spoken.phones[0].start == 0 and spoken.phones[-1].end == pytest.approx(end)
    assert all(a.end == pytest.approx(b.start) for a, b in zip(spoken.phones, spoken.phones[1:], strict=False))
    assert {phone.text for phone in spoken.phones} <= set(PHONES)
    assert all(word.end - word.start > 0.04 for word in spoken.words if word.text not in ("\u2014", "a"))
    assert np.abs(spoken.waveform).max() <= 1 and spoken.waveform.dtype == np.float32


@needs_flite
def test_times_are_those_that_the_aligner_hears() -> None:
    pytest.importorskip("pocketsphinx", reason="needs the extra 'judge'")
    from smoltolk.speech.alignment.aligners import aligner_named

    aligner, apart = aligner_named("pocketsphinx"), []
    for voice in (FliteVoice("slt", 90), FliteVoice("awb", 110)):
        spoken = FliteSynthesizer().speak("The old fox lives in the deep forest. The river was frozen.", voice)
        found = aligner.align(spoken.waveform, "The old fox lives in the deep forest. The river was frozen.")
        apart += [abs(a.start - b.start) for a, b in zip(found.words, spoken.words, strict=True)]
    assert np.mean(apart) < 0.03


@needs_flite
def test_samples_are_a_function_of_text_and_voice() -> None:
    voice = FliteVoice("rms", 95)
    first = FliteSynthesizer().speak(TEXT, voice).waveform
    synthesizer = pickle.loads(pickle.dumps(FliteSynthesizer()))  # noqa: S301 - our own bytes
    synthesizer.speak("Something else.", FliteVoice("rms", 110))
    assert (synthesizer.speak(TEXT, voice).waveform == first).all()
    script = (
        "import sys, hashlib; from smoltolk.speech.synthesis.flite import *; "
        "print(hashlib.sha256(FliteSynthesizer().speak(sys.argv[1], FliteVoice('rms', 95)).waveform).hexdigest())"
    )
    import hashlib

    other = subprocess.run([sys.executable, "-c", script, TEXT], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(first).hexdigest()
    slower = FliteSynthesizer().speak(TEXT, FliteVoice("rms", 80)).waveform
    assert len(slower) > 1.1 * len(first)


@needs_flite
@pytest.mark.parametrize(
    ("text", "message"), [("...", "must have a word"), ("\u0416", "Latin"), ("\u0131n", "alphabet")]
)
def test_texts_that_it_cannot_read(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FliteSynthesizer().speak(text, FliteVoice())


@needs_flite
def test_voices_are_drawn_from_their_split() -> None:
    synthesizer = FliteSynthesizer()
    drawn = synthesizer.voices(9, 0, "seen")
    assert len({voice.name for voice in drawn}) == 9 and drawn[:4] == synthesizer.voices(4, 0, "seen")
    assert {voice.speaker for voice in synthesizer.voices(25, 0, "unseen")}.isdisjoint(v.speaker for v in drawn)
    with pytest.raises(InputError, match="0 to 25 voices"):
        synthesizer.voices(26, 0, "unseen")
    with pytest.raises(InputError, match="'seen' or 'unseen'"):
        synthesizer.num_voices("other")


def test_voices_are_checked() -> None:
    with pytest.raises(InputError, match="speaker of flite"):
        FliteVoice("nobody")
    with pytest.raises(InputError, match="50 to 200"):
        FliteVoice("slt", 10)


def test_without_the_library_the_fix_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flite.ctypes.util, "find_library", lambda _: None)
    flite._library.cache_clear()
    with pytest.raises(MissingExtraError, match="apt install flite"):
        FliteSynthesizer()
    assert not flite_available()
