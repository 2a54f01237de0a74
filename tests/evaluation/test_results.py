from __future__ import annotations

import json
import math

import pytest

from smoltolk.common.errors import InputError
from smoltolk.evaluation.results import validate_results


def test_accepts_what_obeys_the_schema_also_after_json(make_results):
    results = make_results()
    validate_results(results)
    validate_results(json.loads(json.dumps(results)))
    validate_results(results | {"anything": "else"})


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
        (("differences", "late - early", "story"), None, r"differences.late - early must have the keys"),
        (("curves",), {"late": [{"loss": 2.0}]}, r"curves.late\[0\] must have the keys"),
    ],
)
def test_names_the_key_that_is_wrong(make_results, path, value, message):
    with pytest.raises(InputError, match=message):
        validate_results(broken(make_results(), path, value))
