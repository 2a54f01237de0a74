"""Every form of a recording becomes the same samples."""

from pathlib import Path

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.inference.answers import Speech
from smoltolk.inference.recordings import is_recording, waveform_of
from smoltolk.speech.audio import save

WAVEFORM = (0.5 * np.sin(np.arange(16_000) / 30)).astype(np.float32)


def test_all_forms_are_one_recording(tmp_path: Path) -> None:
    save(tmp_path / "a.wav", WAVEFORM)
    twice = np.interp(np.arange(32_000) / 2, np.arange(16_000), WAVEFORM).astype(np.float32)
    forms = [
        WAVEFORM, WAVEFORM.astype(np.float64), torch.from_numpy(WAVEFORM), (WAVEFORM, 16_000), (twice, 32_000),
        ((WAVEFORM * 32_768).astype(np.int16), 16_000), tmp_path / "a.wav", str(tmp_path / "a.wav"),
        Speech(WAVEFORM, 16_000, np.arange(3)), Speech(twice, 32_000, np.arange(3)),
    ]  # fmt: skip
    for form in forms:
        made = waveform_of(form, 16_000)
        assert made.dtype == np.float32 and made.shape == WAVEFORM.shape
        assert np.abs(made - WAVEFORM)[200:-200].max() < 2e-3
    assert all(is_recording(form) for form in forms if not isinstance(form, str))


def test_what_is_none(tmp_path: Path) -> None:
    for text_or_units in ("a text", np.arange(3), [1, 2, 3], torch.arange(4), (1, 2)):
        assert not is_recording(text_or_units)
    for wrong in ((WAVEFORM, 0), (WAVEFORM, "16k"), 3.0, None, np.zeros((2, 100), np.float32), np.zeros(0, np.float32)):
        with pytest.raises(InputError, match="a recording"):
            waveform_of(wrong, 16_000)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        waveform_of(tmp_path / "none.wav", 16_000)
