"""What talking gives back, as a notebook and a file hold it."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import soundfile

from smoltolk.inference.answers import Answer, Speech
from smoltolk.speech.audio import load

WAVEFORM = (0.5 * np.sin(np.arange(8_000) / 9)).astype(np.float32)


def test_it_plays_in_a_notebook() -> None:
    speech = Speech(WAVEFORM, 16_000, np.arange(7), ended=False)
    shown = Answer(speech=speech, dropped=2)._repr_html_()
    (data,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', shown)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == 16_000 and np.abs(samples - WAVEFORM).max() < 1e-4
    assert "0.50 s" in shown and "7 units" in shown and "cut off" in shown and "2 earlier turns" in shown


def test_text_is_text() -> None:
    assert Answer(text="a < b & c")._repr_html_() == "<div>a &lt; b &amp; c</div>"
    assert "…" in Answer(text="so", ended=False)._repr_html_()


def test_it_is_saved(tmp_path: Path) -> None:
    speech = Speech(WAVEFORM, 16_000, np.arange(7))
    speech.save(tmp_path / "a.wav")
    assert speech.seconds == 0.5 and np.abs(load(tmp_path / "a.wav") - WAVEFORM).max() < 1e-3
