"""What stands before options, and what points come to in pairs."""

from __future__ import annotations

from smoltolk.evaluation.cloze import cell_of, difference_of, prompts
from smoltolk.evaluation.rules import Rule


def test_a_prompt_in_each_direction(items, space):
    item = items[0]
    for way in ("S->S", "S->T"):
        found = prompts(item, way, space)
        assert len(found) == 2
        for document, units in zip(found, item.spoken_prompts, strict=True):
            heard = [space.eos_speech, *(space.speech_offset + units.astype("int64"))]
            assert list(document.input_ids) == heard + [space.switch] * (way == "S->T")
    for way in ("T->T", "T->S"):
        (document,) = prompts(item, way, space)
        assert list(document.input_ids) == [space.eos_text, *item.prompt_tokens] + [space.switch] * (way == "T->S")


def rows(margins):
    """Questions that mirror their neighbours."""
    return [
        {"id": f"q{n}", "fact": f"f{n}", "rival": f"f{n ^ 1}", "mirror": f"q{n ^ 1}", "points": float(margin > 0),
         "margin": margin}
        for n, margin in enumerate(margins)
    ]  # fmt: skip


def test_pairs_add_margins():
    """A pair is right if its two margins together are, though one of its questions is wrong."""
    found = cell_of(rows([-1.0, 1.5, -1.0, 1.5, 1.0, -1.5]), Rule(), 0)
    assert found["accuracy"] == 0.5 and found["pair"]["accuracy"] == 2 / 3
    assert (found["n"], found["pair"]["n"]) == (6, 3)
    tied = rows([-1.0, 1.0] * 3)
    assert cell_of(tied, Rule(), 0)["pair"]["accuracy"] == 0.5
    assert cell_of(tied, Rule(ties="wrong"), 0)["pair"]["accuracy"] == 0.0
    assert "pair" not in cell_of([{**row, "mirror": None} for row in tied], Rule(), 0)


def test_differences_of_pairs():
    one, other = rows([1.0] * 6), rows([-1.0] * 4 + [1.0] * 2)
    found = difference_of(one, other, Rule(), 0, "cell")
    assert found["difference"] == found["pair"]["difference"] == 2 / 3
