from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.published import published_visibility


def seen(row: str) -> list[str]:
    """For each position of a row which positions it sees, as letters."""
    is_speech = torch.tensor([[letter == "u" for letter in row]])
    visible = published_visibility(is_speech)[0]
    return ["".join(str(k) for k in sees.nonzero().flatten().tolist()) for sees in visible]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("ttuu", ["0", "1", "2", "23"]),
        ("tuutu", ["0", "1", "12", "3", "4"]),
        ("tuut", ["0", "1", "12", "3"]),
        ("uuu", ["0", "01", "012"]),
        ("uutuu", ["0", "01", "2", "23", "234"]),  # opens with speech: the second span sees the text before it
        ("uutuut", ["0", "01", "2", "", "", "5"]),  # and closes with text: the last span sees nothing
        ("uut", ["", "", "2"]),
        ("utututt", ["0", "1", "12", "3", "", "5", "6"]),
    ],
)
def test_who_sees_whom(row: str, expected: list[str]) -> None:
    assert seen(row) == expected


def test_only_rows_that_open_with_speech_differ(
    make_model: Callable[..., SmolTolkForCausalLM], write: Callable[..., torch.Tensor], assert_close: Callable
) -> None:
    model, other = make_model(), make_model(published_spans=True)
    space = model.config.id_space
    with torch.no_grad():
        ids = write(space, "ttsuuuusttsuuustt")
        assert_close(other(ids).logits, model(ids).logits)
        ids = write(space, "uuuusttsuuustt")
        assert (other(ids).logits - model(ids).logits).abs().max() > 1e-2
        assert_close(other(ids, use_cache=True).logits, model(ids).logits)  # decoding never looks ahead
