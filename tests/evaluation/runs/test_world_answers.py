"""Questions of a world in four directions, single and in pairs, by models whose likings are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from smoltolk.common.errors import InputError
from smoltolk.evaluation.questions import SpokenCloze
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.judging import judge
from smoltolk.evaluation.runs.records import Record
from smoltolk.evaluation.runs.world_answers import answers_of, of_cell, world_cells, world_differences
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.model.ids import IdSpace
from smoltolk.report.results import DIRECTIONS

KINDS = ("story", "fact_heard", "fact_read", "fact_heard_answer", "fact_read_answer")


def likes_first_units(double: Any, space: IdSpace) -> Any:
    """Units 0 and 1 are likely: right when it speaks, and a coin thrown for each question when it writes."""
    table = torch.zeros(space.size, space.size)
    table[:, space.speech_offset : space.speech_offset + 2] = 3.0
    return double(space, table)


def behind(item: SpokenCloze, way: str, space: IdSpace) -> list[list[Scored]]:
    """What a question is, id by id: behind each recording of its prompt both options."""
    spoken = [space.speech_offset + units.astype("int64") for units in item.spoken_prompts]
    before = [[space.eos_speech, *one] for one in spoken] if way[0] == "S" else [[space.eos_text, *item.prompt_tokens]]
    units, tokens = (item.right_units, item.wrong_units), (item.right_tokens, item.wrong_tokens)
    options = [space.speech_offset + one.astype("int64") for one in units] if way[-1] == "S" else list(tokens)
    prompts = [[*prompt, space.switch] if way[0] != way[-1] else prompt for prompt in before]
    return [[Scored([*prompt, *option], len(prompt)) for option in options] for prompt in prompts]


@pytest.mark.parametrize("rule", [Rule(), Rule("sum", ties="wrong")])
def test_the_figures_are_those_of_each_option_by_itself(model: Any, items: list[SpokenCloze], rule: Rule) -> None:
    """Every question, scored with nothing shared: accuracies, pairs and margins are the same."""
    space, chosen = model.config.id_space, [*items[:8], *items[36:44]]
    records = answers_of(model, chosen)
    cells = world_cells(records, 3, rule)
    assert len(records) == len(DIRECTIONS) * len(chosen)
    for kind in {item.kind for item in chosen}:
        for way in DIRECTIONS:
            margins, points = {}, []
            for item in (item for item in chosen if item.kind == kind):
                pairs = behind(item, way, space)
                found = [score(model, pair, space=space, rule=rule) for pair in pairs]
                values = np.mean([one.values(rule) for one in found], axis=0)
                points.append(float(values[0] < values[1]))
                margins[item.id] = np.mean([one.nll[1] - one.nll[0] for one in found])
            cell = cells[kind][way]
            assert cell["accuracy"] == pytest.approx(np.mean(points)) and cell["n"] == len(points)
            rows = {row["id"]: row["margin"] for row in judge(of_cell(records, kind, way), rule)}
            assert rows == pytest.approx(margins, rel=1e-4, abs=1e-4)
            mirrors = {item.id: item.mirror for item in chosen}
            sums = [value + margins[mirrors[name]] for name, value in margins.items() if name < mirrors[name]]
            # Two options of the same units tie, to the last digits of a float.
            pairs_right = [1.0 if one > 1e-5 else 0.0 if one < -1e-5 or rule.ties == "wrong" else 0.5 for one in sums]
            assert cell["pair"]["accuracy"] == pytest.approx(np.mean(pairs_right))


def test_a_model_that_likes_the_right_units(double: Any, items: list[SpokenCloze], space: IdSpace) -> None:
    records = answers_of(likes_first_units(double, space), items)
    cells = world_cells(records, 0)
    assert tuple(cells) == KINDS
    for kind, ways in cells.items():
        assert tuple(ways) == DIRECTIONS
        for way in ("S->S", "T->S"):
            full = {"accuracy": 1.0, "low": 1.0, "high": 1.0}
            assert ways[way] == {**full, "n": 12, "pair": {**full, "n": 6}}
        for way in ("T->T", "S->T"):
            if kind.endswith("answer"):  # a token each, all alike: every question a tie, every pair too
                assert ways[way]["accuracy"] == ways[way]["pair"]["accuracy"] == 0.5


def test_a_liking_for_an_answer_cancels_in_pairs(double: Any, items: list[SpokenCloze], space: IdSpace) -> None:
    """Whoever likes the answers of the first question of each pair is right on half, and no pair tells it anything."""
    answers = [item for item in items if item.kind == "fact_read_answer"]
    table = torch.zeros(space.size, space.size)
    for item in answers[::2]:
        table[:, int(item.right_tokens[0])] = 4.0
    records = answers_of(double(space, table), answers, directions=["S->T", "T->T"])
    for cell in world_cells(records, 0)["fact_read_answer"].values():
        assert cell["accuracy"] == 0.5
        assert cell["pair"]["accuracy"] == 0.5


def test_a_hint_of_the_recording_cancels(double: Any, items: list[SpokenCloze], space: IdSpace) -> None:
    """Units follow the units of their own recording: by one prompt each option would win, by both neither does."""
    table = torch.zeros(space.size, space.size)
    first = space.speech_offset
    for low in (0, 2):
        table[first + low : first + low + 2, first + low : first + low + 2] = 3.0
    both = [item for item in items if item.kind == "fact_read_answer"]
    one = [replace(item, rival_prompt_units=None) for item in both]
    hinted = answers_of(double(space, table), one, directions=["S->S"])
    assert world_cells(hinted, 0)["fact_read_answer"]["S->S"]["accuracy"] == 1.0
    fair = answers_of(double(space, table), both, directions=["S->S"])
    for row, single in zip(judge(fair, Rule()), judge(hinted, Rule()), strict=True):
        assert row["margin"] == pytest.approx(0, abs=1e-5) and single["margin"] > 2.9


def test_sum_prefers_the_shorter_option_and_ties_can_be_wrong(
    double: Any, items: list[SpokenCloze], space: IdSpace
) -> None:
    records = answers_of(double(space, torch.zeros(space.size, space.size)), items)
    rows = judge(of_cell(records, "story", "T->T"), Rule("sum"))
    by_name = {item.id: item for item in items}
    lengths = [[len(t) for t in (by_name[r["id"]].right_tokens, by_name[r["id"]].wrong_tokens)] for r in rows]
    assert [row["points"] for row in rows] == [0.5 if r == w else float(r < w) for r, w in lengths]
    strict = world_cells(records, 0, Rule(ties="wrong"))
    assert strict["story"]["T->T"]["accuracy"] == 0
    assert strict["fact_read_answer"]["T->T"]["pair"]["accuracy"] == 0


def test_a_prompt_is_computed_once_for_both_options(model: Any, items: list[SpokenCloze]) -> None:
    """Without asking, and of each of its recordings."""
    space, positions = model.config.id_space, []
    # So many that it pays to read them apart.
    many = [replace(item, id=f"{item.id}-{k}", mirror=None) for k in range(6) for item in items[:36]]

    def count(module: Any, args: Any, kwargs: Any) -> None:
        positions.append(kwargs["inputs_embeds"].shape[:2].numel())

    handle = model.backbone.base_model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        for way in DIRECTIONS:
            options = [one for item in many for pair in behind(item, way, space) for one in pair]
            spared = sum(option.start - 1 for option in options[::2])
            positions.clear()
            answers_of(model, many, directions=[way])
            read = positions.copy()
            positions.clear()
            score(model, options, space=space, rule=Rule(scope="whole"))
            assert sum(read) < sum(positions) - 0.5 * spared  # the rest is more padding, and prompts that are longer
    finally:
        handle.remove()


def test_differences_are_paired(double: Any, items: list[SpokenCloze], space: IdSpace) -> None:
    items = items[:36]
    uniform = answers_of(double(space, torch.zeros(space.size, space.size)), items)
    knowing = answers_of(likes_first_units(double, space), items)
    table = world_differences(knowing, uniform, 0)
    half = {"difference": 0.5, "low": 0.5, "high": 0.5}
    assert table["fact_read"]["S->S"] == {**half, "n": 12, "pair": {**half, "n": 6}}
    assert table["fact_read"]["T->T"]["difference"] == 0
    with pytest.raises(InputError, match="same questions"):
        world_differences(knowing, uniform[:-1], 0)


def test_a_question_without_a_score_is_an_error(double: Any, items: list[SpokenCloze], space: IdSpace) -> None:
    with pytest.raises(InputError, match="inf or NaN"):
        answers_of(double(space, torch.full((space.size, space.size), torch.nan)), items[:4])


def test_progress_counts_questions(double: Any, items: list[SpokenCloze], space: IdSpace) -> None:
    done: list[float] = []

    class Counting:
        def advance(self, count: float = 1) -> None:
            done.append(count)

    records: list[Record] = answers_of(
        double(space, torch.zeros(space.size, space.size)), items[:4], progress=Counting()
    )
    assert sum(done) == len(records) == 16
