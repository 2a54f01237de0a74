"""Questions in four directions, single and in pairs, by models whose likings are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.evaluation.cloze import (
    cell_of,
    differences,
    evaluate_clozes,
    load_log,
    num_options,
    option_sequences,
    prompts,
)
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.scoring import score
from smoltolk.report.results import DIRECTIONS

KINDS = ("story", "fact_heard", "fact_read", "fact_heard_answer", "fact_read_answer")


def test_both_options_stand_behind_each_recording_of_the_prompt(items, space):
    item, offset = items[0], space.speech_offset
    behind = option_sequences(item, "S->S", space)
    assert len(behind) == 2
    for (right, wrong), units, said in zip(behind, item.spoken_prompts, ({0, 1}, {2, 3}), strict=True):
        assert right.start == wrong.start == 1 + len(units)
        assert right.ids[0] == wrong.ids[0] == space.eos_speech
        for option in (right, wrong):
            assert set(option.ids[1 : option.start] - offset) == said
        assert set(right.ids[right.start :] - offset) == {0, 1, 11}
        assert set(wrong.ids[wrong.start :] - offset) == {2, 3, 11}
    assert len(option_sequences(item, "T->S", space)) == 1


def test_four_directions(items, space):
    item = items[0]
    units = space.speech_offset + item.right_units.astype("int64")
    spoken = [space.eos_speech, *(space.speech_offset + item.prompt_units.astype("int64"))]
    written = [space.eos_text, *item.prompt_tokens]
    expected = {
        "S->S": (spoken, units),
        "T->T": (written, item.right_tokens),
        "S->T": ([*spoken, space.switch], item.right_tokens),
        "T->S": ([*written, space.switch], units),
    }
    for way, (before, said) in expected.items():
        option = option_sequences(item, way, space)[0][0]
        assert list(option.ids) == [*before, *said] and option.start == len(before)
        assert list(prompts(item, way, space)[0].input_ids) == before
        ended = option_sequences(item, way, space, end=True)[0][0]
        assert ended.ids[-1] == (space.eos_speech if way.endswith("S") else space.eos_text)


def likes_first_units(double, space):
    """Units 0 and 1 are likely: right when it speaks, and a coin thrown for each question when it writes."""
    table = torch.zeros(space.size, space.size)
    table[:, space.speech_offset : space.speech_offset + 2] = 3.0
    return double(space, table)


def test_model_that_likes_the_right_units(double, items, space, tmp_path):
    result = evaluate_clozes(likes_first_units(double, space), items, space, seed=0, log_path=tmp_path / "log.jsonl")
    assert tuple(result.cells) == KINDS
    for kind, ways in result.cells.items():
        assert tuple(ways) == DIRECTIONS
        for way in ("S->S", "T->S"):
            full = {"accuracy": 1.0, "low": 1.0, "high": 1.0}
            assert ways[way] == {**full, "n": 12, "pair": {**full, "n": 6}}
        for way in ("T->T", "S->T"):
            if kind.endswith("answer"):  # a token each, all alike: every question a tie, every pair too
                assert ways[way]["accuracy"] == ways[way]["pair"]["accuracy"] == 0.5
    again = load_log(tmp_path / "log.jsonl", seed=0)
    assert again.cells == result.cells
    assert len(again.items) == 4 * len(items)


def test_a_liking_for_an_answer_cancels_in_pairs(double, items, space):
    """Whoever likes the answers of the first question of each pair is right on half, and no pair tells it anything."""
    answers = [item for item in items if item.kind == "fact_read_answer"]
    table = torch.zeros(space.size, space.size)
    for item in answers[::2]:
        table[:, int(item.right_tokens[0])] = 4.0
    result = evaluate_clozes(double(space, table), answers, space, seed=0, directions=["S->T", "T->T"])
    for cell in result.cells["fact_read_answer"].values():
        assert cell["accuracy"] == 0.5
        assert cell["pair"]["accuracy"] == 0.5


def test_pairs_add_nats_and_singles_compare_means(double, items, space):
    """A pair is right if its two margins together are, though one of its questions is wrong."""
    result = evaluate_clozes(likes_first_units(double, space), items, space, seed=0, directions=["T->S"])
    rows = {row["id"]: row for row in result.cell("fact_read", "T->S")}
    for row in rows.values():
        assert row["margin"] == pytest.approx(row["nll_wrong"][0] - row["nll_right"][0])
        row["margin"] = -1.0 if row["id"] < row["mirror"] else 1.5
    assert cell_of(list(rows.values()), Rule(), 0)["pair"]["accuracy"] == 1.0
    for row in rows.values():
        row["margin"] *= -1
    assert cell_of(list(rows.values()), Rule(), 0)["pair"]["accuracy"] == 0.0
    alone = [{**row, "mirror": None} for row in rows.values()]
    assert "pair" not in cell_of(alone, Rule(), 0)


def test_a_hint_of_the_recording_cancels(double, items, space):
    """Units follow the units of their own recording: by one prompt each option would win, by both neither does."""
    table = torch.zeros(space.size, space.size)
    first = space.speech_offset
    for low in (0, 2):
        table[first + low : first + low + 2, first + low : first + low + 2] = 3.0
    one = [replace(item, rival_prompt_units=None) for item in items if item.kind == "fact_read_answer"]
    hinted = evaluate_clozes(double(space, table), one, space, seed=0, directions=["S->S"])
    assert hinted.cells["fact_read_answer"]["S->S"]["accuracy"] == 1.0
    both = [item for item in items if item.kind == "fact_read_answer"]
    fair = evaluate_clozes(double(space, table), both, space, seed=0, directions=["S->S"])
    for row in fair.items:
        assert row["margin"] == pytest.approx(0, abs=1e-5) and min(hinted.items[0]["margin"], 5) > 3
        assert len(row["nll_right"]) == 2 and row["nll_right"][0] < row["nll_right"][1] - 2.9


def test_sum_prefers_the_shorter_option_and_ties_can_be_wrong(double, items, space):
    uniform = double(space, torch.zeros(space.size, space.size))
    summed = evaluate_clozes(uniform, items, space, seed=0, rule=Rule(normalisation="sum"))
    rows = summed.cell("story", "T->T")
    by_name = {item.id: item for item in items}
    lengths = [[len(t) for t in (by_name[r["id"]].right_tokens, by_name[r["id"]].wrong_tokens)] for r in rows]
    assert [row["points"] for row in rows] == [0.5 if r == w else float(r < w) for r, w in lengths]
    strict = evaluate_clozes(uniform, items, space, seed=0, rule=Rule(ties="wrong"))
    assert strict.cells["story"]["T->T"]["accuracy"] == 0
    assert strict.cells["fact_read_answer"]["T->T"]["pair"]["accuracy"] == 0


def test_real_model_one_by_one_and_together(model, items):
    """Scores of a real model do not depend on padding; each equals what its own logits say."""
    ids = model.config.id_space
    pairs = [
        option
        for item in items[::9]
        for way in DIRECTIONS
        for pair in option_sequences(item, way, ids)
        for option in pair
    ]
    together = score(model, pairs, space=ids, batch_tokens=2000)
    for index, option in enumerate(pairs):
        alone = score(model, [option], space=ids)
        assert together.nll[index] == pytest.approx(alone.nll[0], rel=1e-4)
    option = pairs[2]
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(option.ids)[None]).logits[0].double().log_softmax(-1)
    expected = -sum(float(logits[t - 1, option.ids[t]]) for t in range(option.start, len(option.ids)))
    assert together.nll[2] == pytest.approx(expected, rel=1e-4)


def test_a_prompt_is_computed_once_for_both_options(model, items):
    """Without asking, and of each of its recordings."""
    ids, positions = model.config.id_space, []
    # So many that it pays to read them apart.
    items = [replace(item, id=f"{item.id}-{k}", mirror=None) for k in range(6) for item in items[:36]]

    def count(module, args, kwargs):
        positions.append(kwargs["inputs_embeds"].shape[:2].numel())

    handle = model.backbone.base_model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        for way in DIRECTIONS:
            options = [o for item in items for pair in option_sequences(item, way, ids) for o in pair]
            assert len(options) == num_options(items, [way])
            spared = sum(option.start - 1 for option in options[::2])
            positions.clear()
            result = evaluate_clozes(model, items, ids, seed=0, directions=[way])
            read = positions.copy()
            positions.clear()
            score(model, options, space=ids, rule=Rule(scope="whole"))
            assert sum(read) < sum(positions) - 0.5 * spared  # the rest is more padding, and prompts that are longer
            whole = score(model, options[:2], space=ids)
            row = result.items[0]
            assert [row["nll_right"][0], row["nll_wrong"][0]] == pytest.approx(whole.nll.tolist(), rel=1e-5)
    finally:
        handle.remove()


def test_differences_are_paired(double, items, space):
    items = items[:36]
    uniform = evaluate_clozes(double(space, torch.zeros(space.size, space.size)), items, space, seed=0)
    knowing = evaluate_clozes(likes_first_units(double, space), items, space, seed=0)
    table = differences(knowing, uniform, seed=0)
    half = {"difference": 0.5, "low": 0.5, "high": 0.5}
    assert table["fact_read"]["S->S"] == {**half, "n": 12, "pair": {**half, "n": 6}}
    assert table["fact_read"]["T->T"]["difference"] == 0
    fewer = evaluate_clozes(double(space, torch.zeros(space.size, space.size)), items[:30], space, seed=0)
    with pytest.raises(InputError, match="same questions"):
        differences(knowing, fewer, seed=0)
