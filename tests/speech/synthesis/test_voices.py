import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech import espeak
from smoltolk.speech.synthesis.espeak_synthesis import espeak_available
from smoltolk.speech.synthesis.voices import Voice, voices


def test_the_splits_share_no_variant() -> None:
    seen, unseen = voices(64, 0, "seen"), voices(32, 0, "unseen")
    assert len({voice.name for voice in seen}) == 64
    assert {voice.variant for voice in seen}.isdisjoint(voice.variant for voice in unseen)


def test_voices_are_a_function_of_the_seed() -> None:
    assert voices(16, 3, "seen") == voices(16, 3, "seen")
    assert voices(16, 3, "seen")[:5] == voices(5, 3, "seen")
    assert voices(16, 3, "seen") != voices(16, 4, "seen")


def test_sixteen_voices_have_sixteen_variants_and_every_accent() -> None:
    chosen = voices(16, 0, "seen")
    assert len({voice.variant for voice in chosen}) == 16
    assert len({voice.accent for voice in chosen}) == 4
    assert all(150 <= voice.rate <= 190 for voice in chosen)


@pytest.mark.skipif(not espeak_available(), reason="needs the extra 'tts'")
def test_every_voice_exists() -> None:
    known = espeak.variants()
    assert all(voice.variant in known for voice in voices(64, 0, "seen") + voices(32, 0, "unseen"))


def test_bad_voices_are_refused() -> None:
    with pytest.raises(InputError, match="the accent is one of"):
        Voice("en-xx")
    with pytest.raises(InputError, match="80 to 450"):
        Voice("en-us", rate=20)
    with pytest.raises(InputError, match="'seen' or 'unseen'"):
        voices(3, 0, "heard")
    with pytest.raises(InputError, match="0 to 64 voices"):
        voices(65, 0, "seen")
