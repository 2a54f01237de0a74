from __future__ import annotations

import numpy as np
import pytest

from smoltolk.evaluation.selector import selector_profile


def test_weights_sum_to_one(model):
    ids = model.config.id_space
    documents = [
        np.array([ids.eos_speech, ids.speech_offset + 1, ids.speech_offset + 2]),
        np.array([0, 5, 6]),
    ]
    profile = selector_profile(model, documents)
    assert profile["layers"] == ["1", "2"]
    assert sum(profile["weights"]) == pytest.approx(1)
