from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.demo.answering import Wishes, answer
from smoltolk.demo.segments import listen
from smoltolk.inference.speech_text import SpeechText


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_an_answer_is_written_spoken_and_looked_into(
    talker: SpeechText, recording: tuple[Path, str], temperature: float
) -> None:
    prompt = ["Say: ", listen(talker, recording[0], 60)]
    wishes = Wishes(max_tokens=6, max_seconds=1.0, temperature=temperature, seed=3)
    views = list(answer(talker, prompt, wishes))
    texts = [view.text for view in views if view.text is not None]
    expected = talker.generate(["Say: ", prompt[1].units], to="text", max_new=6, sampling=wishes.sampling, seed=3)
    assert texts[-1].removesuffix(" …") == expected.text
    sounds = [view.sound[1] for view in views if view.sound is not None]
    ((rate, whole),) = [view.whole for view in views if view.whole is not None]
    np.testing.assert_array_equal(np.concatenate(sounds), whole)
    assert rate == talker.speaking_rate and 0 < len(whole) <= 1.1 * rate
    (drawing,) = [view.drawing for view in views if view.drawing]
    assert drawing.count('class="wave heard"') == 1 and drawing.count('class="wave answer"') == 1
    assert "First sound after" in str(views[-1].told)


def test_what_a_model_cannot_do_is_told_and_the_rest_goes_on(
    talker: SpeechText, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SpeechText.generate

    def dumb(self: SpeechText, prompt: object, *, to: str, **options: object) -> object:
        if to == "speech":
            raise InputError("there must be something to say", "the model ended at once", "try another seed")
        return whole(self, prompt, to=to, **options)

    monkeypatch.setattr(SpeechText, "generate", dumb)
    views = list(answer(talker, ["A fox"], Wishes(max_tokens=3)))
    # It is still there when all is done.
    assert views[-1].told == "There must be something to say. The model ended at once. Try another seed."
    assert any(view.text is not None for view in views) and views[-1].drawing


def test_only_what_is_wished_is_made(talker: SpeechText) -> None:
    views = list(answer(talker, ["A fox"], Wishes(max_tokens=3, writes=False, speaks=False)))
    assert all(view.text is None and view.whole is None for view in views) and views[-1].drawing
