"""Posteriors depend on their recording alone, and windows leave no seam."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.recognition.ctc_emissions import CONTEXT_SECONDS, WINDOW_SECONDS, CtcEmissions

RANDOM = np.random.default_rng(0)


def noise(samples: int) -> np.ndarray:
    return (0.1 * RANDOM.standard_normal(samples)).astype(np.float32)


@pytest.fixture(scope="module")
def emissions(ctc_dir: Path) -> CtcEmissions:
    return CtcEmissions(str(ctc_dir), device="cpu")


def test_frames_are_counted_by_the_model(emissions: CtcEmissions) -> None:
    assert (emissions.hop, emissions.blank) == (320, 0)
    found = emissions([noise(16_000)])[0]
    assert found.shape == (49, 32) and np.allclose(np.exp(found).sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("samples", [16_000 * 30, 16_000 * 30 + 1, 16_000 * 31 + 77, 16_000 * 95 + 123])
def test_windows_of_a_local_model_have_no_seam(local_ctc_dir: Path, samples: int) -> None:
    local = CtcEmissions(str(local_ctc_dir), device="cpu")
    waveform = noise(samples)
    with torch.inference_mode():
        whole = local._run([waveform])[0]
    stitched = local([waveform])[0]
    assert stitched.shape == whole.shape
    assert np.abs(stitched - whole).max() < 1e-4


def test_every_frame_has_its_context(emissions: CtcEmissions) -> None:
    window, context = (int(seconds * 16_000) for seconds in (WINDOW_SECONDS, CONTEXT_SECONDS))
    for length in (window + 1, 2 * window, 10 * window + 5_555):
        plan = emissions._plan(length)
        assert plan[0][0] == 0 and plan[-1][1] == length
        assert all(first % emissions.hop == 0 for first, _ in plan)
        assert all(end - first >= 2 * context for (_, end), (first, _) in pairwise(plan))


def test_company_does_not_matter(emissions: CtcEmissions) -> None:
    waveforms = [noise(samples) for samples in (16_000, 23_456, 16_000, 16_000 * 40, 5_000)]
    together = emissions(waveforms)
    for waveform, found in zip(waveforms, together, strict=True):
        assert np.abs(emissions([waveform])[0] - found).max() < 1e-4
    assert emissions([]) == []
    assert len(emissions([noise(1)])[0]) == 4


def test_bad_input(emissions: CtcEmissions, tmp_path: Path) -> None:
    for waveform in (np.zeros(0, np.float32), np.full(500, np.nan, np.float32), np.zeros((2, 500), np.float32)):
        with pytest.raises(InputError):
            emissions([waveform])
    with pytest.raises(NotFoundError, match="no directory"):
        CtcEmissions(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="must be a CTC model"):
        CtcEmissions(str(tmp_path / "empty"))


def test_a_model_that_never_learned_to_write(ctc_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ctc_dir, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {key: one for key, one in weights.items() if "lm_head" not in key},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(InputError, match=r"trained head[\s\S]*lm_head"):
        CtcEmissions(str(folder))
