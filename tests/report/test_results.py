from __future__ import annotations

import json
import math

import pytest

from smoltolk.common.errors import InputError
from smoltolk.report.results import (
    COMPARED,
    LENS_WAYS,
    OUTCOMES,
    cell_of,
    is_declared,
    shown_systems,
    validate_results,
)


def test_accepts_what_obeys_the_schema_also_after_json(make_results):
    results = make_results()
    validate_results(results)
    validate_results(json.loads(json.dumps(results)))
    validate_results(results | {"anything": "else"})
    validate_results(make_results(early_long={}))


def broken(results, path, value):
    """The results with one place changed; ``value`` None takes it away."""
    place = results
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return results


CELL = ("models", "late", "story", "S->S")
LENS = ("models", "early_plus", "lens", "T->S")
GAPS = ("differences", "late - early_plus")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("seed",), None, r"the file must have the keys.*\n.*'seed'"),
        (("scale",), 3, "scale must be a text"),
        (("seconds",), {"world": "fast"}, "seconds.world must be a finite number"),
        (("models", "early_plus"), None, r"models must have the keys.*\n.*early_plus"),
        (
            ("models", "late", "fact_read", "T->S"),
            None,
            r"models.late.fact_read must have the keys.*\n.*T->S",
        ),
        ((*CELL, "accuracy"), 81.0, "models.late.story.S->S.accuracy must be a finite number from 0 to 1"),
        ((*CELL, "low"), 0.9, "models.late.story.S->S must be an accuracy inside its interval"),
        ((*CELL, "n"), 4.5, "models.late.story.S->S.n must be a whole number"),
        (("models", "late", "speech_nll"), math.nan, "models.late.speech_nll must be a finite number"),
        (("models", "late", "recognition_wer"), math.inf, "models.late.recognition_wer must be a finite"),
        (("models", "late", "parameters"), True, "models.late.parameters must be a whole number"),
        (("vocoder", "wer_units"), None, r"vocoder must have the keys.*\n.*wer_units"),
        ((*CELL, "pair"), None, r"models.late.story.S->S must have the keys \['pair'\]"),
        ((*CELL, "pair", "n"), None, r"models.late.story.S->S.pair must have the keys.*\n.*'n'"),
        ((*CELL, "pair", "high"), 0.1, "models.late.story.S->S.pair must be an accuracy inside its interval"),
        (("models", "early", "fact_heard_answer"), None, r"models.early must have the keys.*\n.*fact_heard_answer"),
        (("models", "early", "lens"), None, r"models.early must have the keys.*\n.*'lens'"),
        (LENS, None, r"models.early_plus.lens must have the keys.*\n.*'T->S'"),
        (LENS, {}, "models.early_plus.lens.T->S must be an object with a key for each layer"),
        ((*LENS, "2"), None, "models.early_plus.lens.T->S must be an object with a key for each layer"),
        ((*LENS, "2", "pair"), None, r"models.early_plus.lens.T->S.2 must have the keys \['pair'\]"),
        ((*LENS, "0", "pair", "low"), "0.4", "models.early_plus.lens.T->S.0.pair.low must be a finite number"),
        (("outcomes",), None, r"the file must have the keys.*\n.*'outcomes'"),
        (("outcomes", 0), "answer T->T", "outcomes must be the outcomes that were named before the run"),
        (("world", "times_heard"), "often", "world.times_heard must be a finite number"),
        (("models", "early_long", "speech_nll"), None, r"models.early_long must have the keys.*\n.*speech_nll"),
        (("models", "early_long", "lens", "S->S", "1"), 0.5, "models.early_long.lens.S->S.1 must be an object"),
        ((*GAPS, "lens"), None, r"differences.late - early_plus must have the keys.*\n.*'lens'"),
        ((*GAPS, "lens", "T->S"), None, r"differences.late - early_plus.lens must have the keys.*\n.*'T->S'"),
        ((*GAPS, "fact_read_answer", "S->T", "pair"), None, r"fact_read_answer.S->T must have the keys \['pair'\]"),
        ((*GAPS, "lens", "S->S", "pair", "low"), 0.9, "lens.S->S.pair must be a difference inside its interval"),
        (("differences", "late - early", "story"), None, r"differences.late - early must have the keys"),
        (("curves",), {"late": [{"loss": 2.0}]}, r"curves.late\[0\] must have the keys"),
    ],
)
def test_names_the_key_that_is_wrong(make_results, path, value, message):
    results = make_results(early_long={}) | {"world": {"facts": 960, "times_heard": 13.0}}
    validate_results(results)
    with pytest.raises(InputError, match=message):
        validate_results(broken(results, path, value))


def test_declared_outcomes_are_facts_only_read():
    assert [(outcome.kind, outcome.direction) for outcome in OUTCOMES] == [
        ("fact_read_answer", "S->T"),
        ("fact_read_answer", "S->S"),
        ("fact_read_answer", "T->S"),
        ("lens", "S->S"),
    ]
    assert all(is_declared(outcome.kind, outcome.direction) for outcome in OUTCOMES)
    assert not is_declared("lens", "T->S") and not is_declared("fact_read", "S->T")


def test_the_cell_of_a_lens_is_that_of_its_last_layer_whatever_the_order(make_results):
    results = make_results()
    for system, last in zip(COMPARED, ("3", "3", "5"), strict=True):
        for way in LENS_WAYS:
            layers = results["models"][system]["lens"][way]
            results["models"][system]["lens"][way] = dict(reversed(layers.items()))
            assert cell_of(results, system, "lens", way) is layers[last]
            assert cell_of(results, system, "lens", way, pair=True) is layers[last]["pair"]
    # Ten comes after nine, as numbers and not as letters have it.
    layers |= {str(layer): layers["5"] | {"n": layer} for layer in range(6, 12)}
    results["models"]["late"]["lens"]["S->S"] = layers
    validate_results(results)
    assert cell_of(results, "late", "lens", "S->S")["n"] == 11


def test_further_systems_stand_behind_those_compared(make_results):
    assert shown_systems(make_results()) == COMPARED
    assert shown_systems(make_results(early_long={})) == (*COMPARED, "early_long")
