"""Whether words found in a recording are good enough to be kept."""

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.timing import Limits, check_alignment
from smoltolk.speech.segments import Segment

LIMITS = Limits(confidence=0.65, coverage=0.85)


def loud(seconds: float) -> np.ndarray:
    """A tone between half a second of silence on both sides."""
    tone = np.sin(np.arange(round(16_000 * seconds)) * 0.5).astype(np.float32)
    return np.pad(tone, 8_000)


def check(seconds: float, inside: float, confidence: float = 0.95) -> None:
    check_alignment(loud(seconds), [Segment("june", 0.5, 0.5 + inside)], [confidence], LIMITS)


def test_a_word_may_miss_a_fifth_of_a_second_however_short_it_is() -> None:
    check(0.5, 0.33)
    with pytest.raises(InputError, match="85%"):
        check(0.5, 0.2)


def test_who_is_less_sure_is_told_how_to_be_lenient() -> None:
    with pytest.raises(InputError, match=r"found: 0\.64") as told:
        check(0.5, 0.5, confidence=0.64)
    assert "--lowest-confidence" in told.value.fix


def test_of_much_sound_more_may_lie_outside() -> None:
    check(5.0, 4.4)
    with pytest.raises(InputError, match="cover"):
        check(5.0, 4.0)


def test_what_is_found_is_never_written_as_what_is_wanted() -> None:
    with pytest.raises(InputError) as told:  # 84.6%
        check(5.0, 4.2)
    assert told.value.found.startswith("84%, 0.7")


def test_what_lies_outside_lowers_confidence() -> None:
    check(2.0, 1.9, 0.66)
    with pytest.raises(InputError, match="confidence"):
        check(4.0, 3.5, 0.66)
