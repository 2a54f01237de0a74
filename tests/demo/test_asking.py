from __future__ import annotations

from pathlib import Path

import pytest

from smoltolk.common.errors import InputError
from smoltolk.demo.asking import prompt_of
from smoltolk.demo.limits import Limits
from smoltolk.demo.segments import Said
from smoltolk.inference.speech_text import SpeechText


def test_a_prompt_is_the_text_then_the_recording(talker: SpeechText, recording: tuple[Path, str]) -> None:
    first, second = prompt_of(talker, str(recording[0]), " A fox. ", Limits(seconds=60))
    assert first == "A fox." and isinstance(second, Said)
    for path, text in ((None, None), (None, "  "), ("", "")):
        with pytest.raises(InputError, match="something to go on from"):
            prompt_of(talker, path, text, Limits())
    with pytest.raises(InputError, match="5 letters at most"):
        prompt_of(talker, None, "A fox.", Limits(letters=5))
    with pytest.raises(InputError, match=r"0\.5 s at most"):
        prompt_of(talker, str(recording[0]), "", Limits(seconds=0.5))
