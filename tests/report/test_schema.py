from __future__ import annotations

import pytest

from smoltolk.common.errors import InputError
from smoltolk.report import schema

CELL = {"share": 0.5, "low": 0.4, "high": 0.6, "n": 3}


@pytest.mark.parametrize("names", [["0"], ["0", "1"], ["1", "0"], [str(layer) for layer in range(12)]])
def test_layers_are_counted_from_nought(names):
    schema.layers(schema.number(0, 1))(dict.fromkeys(names, 0.5), "here")


@pytest.mark.parametrize("names", [[], ["1"], ["0", "2"], ["0", "01"], ["0", "last"], [0, 1]])
def test_layers_that_are_not_are_refused(names):
    with pytest.raises(InputError, match="here must be an object with a key for each layer"):
        schema.layers(schema.number(0, 1))(dict.fromkeys(names, 0.5), "here")


@pytest.mark.parametrize("change", [{"low": 0.51}, {"high": 0.49}])
def test_a_value_lies_in_its_interval(change):
    check = schema.inside("share", 0, 1)
    check(CELL, "here")
    with pytest.raises(InputError, match="here must be a share inside its interval"):
        check(CELL | change, "here")


def test_a_pair_is_held_to_the_same_rule():
    check = schema.with_pair(schema.inside("share", 0, 1))
    check(CELL | {"pair": CELL}, "here")
    with pytest.raises(InputError, match=r"here\.pair\.n must be a whole number from 1 up"):
        check(CELL | {"pair": CELL | {"n": 0}}, "here")
    with pytest.raises(InputError, match=r"here must have the keys \['pair'\]"):
        check(CELL, "here")
