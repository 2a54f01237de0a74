"""Scales are whole, and an unknown one is refused."""

from __future__ import annotations

import pytest

from smoltolk.common.errors import InputError
from smoltolk.quickstart.names import SCALE_NAMES
from smoltolk.quickstart.scales import SCALES, scale_named


def test_an_unknown_scale_is_refused_and_all_known_ones_are_whole():
    with pytest.raises(InputError, match="tiny, small, medium"):
        scale_named("huge")
    assert tuple(SCALES) == SCALE_NAMES
    for scale in SCALES.values():
        # The three systems see the same rows; the questions are balanced over the facts.
        assert scale.num_fact_clozes % (2 * scale.num_people) == 0
        assert [stage.name for stage in scale.speech.stages] == ["stage1", "stage2"]
