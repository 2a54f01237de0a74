"""Models of transformers as judges: what they hear depends on the recording alone."""

from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.speech.recognition.model_recognition import ModelRecogniser

RANDOM = np.random.default_rng(0)
SECONDS = (1.0, 1.7, 0.05, 0.0, 35.0)
WAVEFORMS = [(0.1 * RANDOM.standard_normal(int(16_000 * one))).astype(np.float32) for one in SECONDS]


@pytest.mark.parametrize("kind", ["ctc", "whisper"])
def test_company_and_order_do_not_matter(kind: str, request: pytest.FixtureRequest) -> None:
    judge = ModelRecogniser(str(request.getfixturevalue(f"{kind}_dir")), device="cpu")
    heard = judge.transcribe_batch(WAVEFORMS)
    assert heard[0] and heard[4] and heard[2] == heard[3] == ""
    assert judge.transcribe_batch(WAVEFORMS[::-1])[::-1] == heard
    assert [judge.transcribe_batch([one])[0] for one in WAVEFORMS] == heard
    assert judge.transcribe_batch([]) == []
    with pytest.raises(InputError, match="finite"):
        judge.transcribe_batch([np.full(16_000, np.nan, np.float32)])


def test_other_sample_rates(ctc_dir: Path) -> None:
    judge = ModelRecogniser(str(ctc_dir), device="cpu")
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    low, high = judge.transcribe_batch([tone[::3]]), judge.transcribe_batch([tone], sample_rate=48_000)
    assert len(low[0]) == pytest.approx(len(high[0]), abs=3)


def test_models_that_do_not_listen(vits_dir: Path, tmp_path: Path) -> None:
    for folder in (vits_dir, tmp_path):
        with pytest.raises(InputError, match="must be a speech recogniser"):
            ModelRecogniser(str(folder))
