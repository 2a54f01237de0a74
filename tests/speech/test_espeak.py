from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech import espeak
from smoltolk.speech.synthesis.espeak_synthesis import espeak_available

pytestmark = pytest.mark.skipif(not espeak_available(), reason="needs the extra 'tts'")


def test_words_and_phonemes_come_in_order() -> None:
    samples, rate, events = espeak.say("The fox", "en-us", 170, 50)
    assert (samples.dtype, rate) == (np.int16, 22_050)
    assert [event.position for event in events if event.type == espeak.WORD] == [0, 4]
    names = [event.name for event in events if event.type == espeak.PHONEME]
    assert names[:2] == ["D", "@2"]
    assert [event.sample for event in events] == sorted(event.sample for event in events)


@pytest.mark.parametrize("voice", ["en-us+m3", "en-us+f3", "en-us+f5", "en-us+klatt2"])
def test_an_utterance_does_not_depend_on_the_one_before(voice: str) -> None:
    first = espeak.say("A red lamp stood near the well.", voice, 170, 50)
    espeak.say("Something else.", "en-gb-scotland+f2", 190, 60)
    again = espeak.say("A red lamp stood near the well.", voice, 170, 50)
    assert np.array_equal(first[0], again[0])
    assert first[2] == again[2]


def test_unknown_accents_and_variants_are_errors() -> None:
    with pytest.raises(InputError, match="the accent must be one"):
        espeak.say("Hello.", "en-nowhere", 170, 50)
    with pytest.raises(InputError, match="the variant must be one"):
        espeak.say("Hello.", "en-us+nosuch", 170, 50)


def test_long_data_paths_work_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = pytest.importorskip("espeakng_loader")
    before = espeak.say("Hello there.", "en-us+m3", 170, 50)[0]
    deep = tmp_path / ("a" * 90) / ("b" * 90)
    deep.mkdir(parents=True)
    (deep / "espeak-ng-data").symlink_to(loader.get_data_path(), target_is_directory=True)
    monkeypatch.setattr(loader, "get_data_path", lambda: str(deep / "espeak-ng-data"))
    espeak._data_path.cache_clear()
    try:
        after = espeak.say("Hello there.", "en-us+m3", 170, 50)[0]
        assert len(espeak._data_path()) < 150
    finally:
        espeak._data_path.cache_clear()
    assert np.array_equal(before, after)
