"""A model to go on with is not asked in vain to be built otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smoltolk.common.errors import InputError
from smoltolk.training.checks import check_build
from smoltolk.training.recipes.tree import ModelSettings


def test_what_is_asked_of_a_build_is_there_or_refused(build: Callable) -> None:
    config = build("early_plus").config
    places = tuple(config.new_layers)
    check_build(ModelSettings(), config, "early_plus")
    check_build(ModelSettings(layer_mix="last", new_layers=places, system="early_plus"), config, None)
    for asked, told in (
        (ModelSettings(layer_mix="static"), "layer_mix is 'last', asked for 'static'"),
        (ModelSettings(new_layers=(0,)), r"new_layers is \[.*, asked for \(0,\)"),
        (ModelSettings(entropy_weight=0.5), "entropy_weight is"),
        (ModelSettings(system="patches"), "system is 'early_plus', asked for 'patches'"),
    ):
        with pytest.raises(InputError, match=told):
            check_build(asked, config, "early_plus")
