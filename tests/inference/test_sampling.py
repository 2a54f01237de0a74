import pytest

from smoltolk.common.errors import InputError
from smoltolk.inference.sampling import Sampling

_WRONG = [*({"temperature": value} for value in (0.0, -1.0, float("nan"), float("inf"))), {"top_k": -1}]


@pytest.mark.parametrize("wrong", [*_WRONG, {"top_p": 0.0}, {"top_p": 1.5}, {"top_p": float("nan")}])
def test_refusals(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="sampling needs"):
        Sampling(**wrong)
