"""Items put to models whose likelihoods are known: records, and what every rule makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.aggregates import cells_of
from smoltolk.evaluation.runs.asking import Asking
from smoltolk.evaluation.runs.feeds import Feed
from smoltolk.evaluation.runs.judging import check_feed, judge, points
from smoltolk.evaluation.runs.presets import PRESETS, rule_named
from smoltolk.evaluation.runs.records import failures, is_scored
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.evaluation.tasks.items import Item, Segment, SoundFile
from smoltolk.model.ids import IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.report.results import DIRECTIONS
from smoltolk.speech.units.tokenizer import Units


class Letters:
    """A text id for each of the letters a to o; a space is the id 0."""

    eos_token_id = bos_token_id = pad_token_id = unk_token_id = None
    all_special_ids: tuple[int, ...] = ()

    def __call__(self, texts: list[str], **_: Any) -> dict[str, list]:
        return {
            "input_ids": [self.of(text) for text in texts],
            "offset_mapping": [[(place, place + 1) for place in range(len(text))] for text in texts],
        }

    def of(self, text: str) -> list[int]:
        return [0 if letter == " " else ord(letter) - ord("a") + 1 for letter in text]


def heard(*units: int, text: str | None = None) -> Segment:
    return Segment(text, units=np.array(units))


def items_of_each_kind() -> list[Item]:
    """Two stories in four directions, and recordings by themselves."""
    made = []
    for name, before, right, wrong in (("one", (1, 2, 3), (4, 5), (6, 1, 2)), ("two", (5, 4), (2, 3), (7, 0, 5))):
        spoken, written = heard(*before, text="ab cd"), Segment("ab cd")
        said, text = (heard(*right), heard(*wrong)), (Segment("eb"), Segment("fga"))
        for way in DIRECTIONS:
            prompt, options = (spoken if way[0] == "S" else written), (said if way[-1] == "S" else text)
            made.append(Item(name, way, ((prompt,),), ((options[0],), (options[1],))))
        made.append(Item(name, "alone", (), ((said[0],), (said[1],))))
    return made


def logprobs(double: Any, ids: IdSpace) -> Callable[[list[int]], list[float]]:
    """NLL of every id of a sequence but the first, by the double's own table: worked out by hand."""

    def of(sequence: list[int]) -> list[float]:
        found = []
        for place in range(1, len(sequence)):
            last, speech = sequence[place - 1], sequence[place - 1] >= ids.speech_offset
            if last == ids.switch:
                speech = not (place > 1 and sequence[place - 2] >= ids.speech_offset)
            kind = slice(ids.speech_offset, None) if speech else slice(0, ids.speech_offset)
            row = double.table[last].detach().double()
            lowest = torch.logsumexp(row[kind], 0)
            found.append(float(lowest - row[sequence[place]]))
        return found

    return of


@pytest.mark.parametrize(
    "rule",
    ["ours", "ours,normalisation=sum", "ours,scope=whole", "ours,scope=whole,normalisation=sum,first=2", "ours,first=1",
     "ours,score_end=yes", "ours,begin=none", "ours,begin=none,scope=whole", "slamkit,joint=kept", "lf2ar",
     "smoltolk-release"],
)  # fmt: skip
def test_every_rule_by_hand(rule: str, bigram: Any, ids: IdSpace) -> None:
    items, named = items_of_each_kind(), rule_named(rule)
    records = Asking(bigram, Letters(), ids).ask(items, named.feed)
    assert all(map(is_scored, records))
    by_hand, nll = logprobs(bigram, ids), named.feed
    lenders = [*items[1:], *items[:1]]
    for item, record, lender, row in zip(items, records, lenders, judge(records, named.rule), strict=True):
        for number, option in enumerate(item.options):
            (last,) = option
            units = None if last.units is None else [ids.speech_offset + unit for unit in last.units]
            after = units if units is not None else [0, *Letters().of(last.text or "")]
            sequence: list[int] = []
            if item.prompts:
                ((first,),) = item.prompts
                spoken = first.is_speech
                sequence = (
                    [ids.speech_offset + int(unit) for unit in first.units]
                    if first.units is not None
                    else Letters().of(first.text or "")
                )
                if spoken != last.is_speech:
                    sequence = [*sequence, ids.switch]
            modality = sequence[0] >= ids.speech_offset if sequence else last.is_speech
            begin = [ids.eos_speech if modality else ids.eos_text]
            prefix: list[int] = []
            if nll.prefix and record["shape"] == "S->T" and lender.drawn_with != item.drawn_with:
                text = "".join(segment.text or "" for segment in lender.options[0]) if lender.options[0][0].text else ""
                prefix = Letters().of(text) + ([] if nll.prefix_switch else [ids.eos_text])
                begin = [ids.eos_text]
            front = [*prefix[-nll.prefix :], *([ids.switch] if nll.prefix_switch else [])] if prefix else []
            whole = [*(begin if nll.begin == "eos" else []), *front, *sequence]
            start = max(len(whole), 1)
            whole = [*whole, *after, *([ids.eos_speech if last.is_speech else ids.eos_text] if nll.end else [])]
            values = [0.0, *by_hand(whole)]
            silent = {ids.switch, ids.eos_text, ids.eos_speech}
            places = [place for place in range(1, len(whole)) if whole[place] not in silent]
            if named.rule.scope == "continuation":
                places = [place for place in places if place >= start]
            if named.rule.score_end:
                places.append(len(whole) - 1)
            chosen = [values[place] for place in places[: named.rule.first]]
            expected = sum(chosen) / (len(chosen) if named.rule.normalisation == "mean" else 1)
            assert row["values"][number] == pytest.approx(expected, rel=1e-6), (item.cell, number)


def test_likelihoods_are_those_of_score_whatever_is_shared(model: Any, tokenizer: Any) -> None:
    """A model that goes on from prompts, item by item and together: the same nats as of whole sequences."""
    space = model.config.id_space
    rng = np.random.default_rng(0)
    prompt, options = rng.integers(0, 12, 40), [rng.integers(0, 12, size) for size in (5, 9, 7)]
    item = Item("a", "S->S", ((heard(*prompt),),), tuple((heard(*units),) for units in options))
    (record,) = Asking(model, tokenizer, space).ask([item], Feed(end=True))
    offset = space.speech_offset
    assert len(record["before"][0]) == 1  # once for all options
    for number, units in enumerate(options):
        ids = np.array([space.eos_speech, *(offset + prompt), *(offset + units), space.eos_speech])
        for rule in (Rule("sum"), Rule("sum", "whole"), Rule("sum", score_end=True), Rule("sum", first=3)):
            (row,) = judge([record], rule)
            expected = score(model, [Scored(ids, 1 + len(prompt))], space=space, rule=rule).nll[0]
            assert row["values"][number] == pytest.approx(expected, rel=1e-5)


class Largest(TorchDispatchMode):
    """The most numbers that a tensor made meanwhile has."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else [made]:
            if isinstance(one, torch.Tensor):
                self.numbers = max(self.numbers, one.numel())
        return made


@pytest.mark.parametrize("keep_prompts", [True, False])
def test_of_a_large_vocabulary_few_rows_of_logits_are_held(keep_prompts: bool) -> None:
    """The whole way of a task with 128,256 text ids: 1,200 ids are scored, 2^24 logits at a time."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    text_model = LlamaForCausalLM(LlamaConfig(vocab_size=128_256, eos_token_id=0, **sizes))
    model = SmolTolkForCausalLM.from_text_model(text_model, num_units=12, num_input_layers=0, num_output_layers=0)
    rng = np.random.default_rng(0)
    items = [
        Item(str(number), "S->T", ((heard(*rng.integers(0, 12, 60)),),), ((Segment("a"),), (Segment("b"),)),
             option_tokens=tuple(rng.integers(1, 128_000, 150) for _ in range(2)))
        for number in range(4)
    ]  # fmt: skip
    with Largest() as largest:
        asking = Asking(model.eval(), Letters(), model.config.id_space, keep_prompts=keep_prompts)
        records = asking.ask(items, Feed())
    assert all(map(is_scored, records)) and len(records[0]["nll"][0][0]) == 150
    assert 2**23 < largest.numbers <= 2**24  # all of them at once would be 9 times as many


class Joining:
    """Units of recordings, which sound otherwise when another one stands behind them."""

    fingerprint, num_units, num_codebooks, frame_rate = "f", 12, 1, 25.0

    def of(self, groups: Any, progress: Any = None) -> list[Units]:
        known = {"p": [1, 2, 3], "a": [4, 5], "b": [6, 7, 8], "pa": [1, 2, 9, 4, 5], "pb": [1, 10, 3, 6, 7, 8]}
        rows = [np.array(known["".join(sound.name for sound in group)]) for group in groups]
        return [Units(row, np.ones(len(row), np.int64)) for row in rows]


def test_recordings_that_are_joined_have_prompts_of_their_own(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt that is heard otherwise behind another option is scored with that option."""
    prompt, right, wrong = ((Segment(sound=SoundFile(Path(name), name)),) for name in "pab")
    item = Item("x", "S->S", (prompt,), (right, wrong))
    asking = Asking(model, Letters(), model.config.id_space, Joining())
    (record,) = asking.ask([item], PRESETS["slamkit"].feed)
    assert [len(one) for one in record["before"][0]] == [3, 3]
    monkeypatch.setattr("smoltolk.evaluation.runs.asking.can_go_on", lambda model: False)
    monkeypatch.setattr("smoltolk.evaluation.scoring.can_go_on", lambda model: False)
    (apart,) = Asking(model, Letters(), model.config.id_space, Joining()).ask([item], PRESETS["slamkit"].feed)
    for name in ("before", "nll", "end"):
        for one, other in zip(record[name][0], apart[name][0], strict=True):
            assert one == pytest.approx(other, abs=1e-5)


def test_items_that_cannot_be_scored_are_told_and_the_others_are(bigram: Any, ids: IdSpace) -> None:
    good = items_of_each_kind()[0]
    none = Item("far", "S->S", ((Segment(sound=SoundFile(Path("far.wav"), "far")),),), good.options)
    empty = Item("empty", "S->S", ((heard(),),), good.options)
    records = Asking(bigram, Letters(), ids).ask([none, good, empty], Feed())
    assert [is_scored(record) for record in records] == [False, True, False]
    assert list(failures(records)) == [records[0]["error"], records[2]["error"]]
    assert "--units" in records[0]["error"] and "hold something" in records[2]["error"]
    assert len(judge(records, Rule())) == 1


def test_what_a_model_cannot_say_is_a_failure_of_the_item(bigram: Any, ids: IdSpace) -> None:
    good = items_of_each_kind()[0]
    bigram.table.data[:, ids.speech_offset + 6] = torch.finfo(torch.float32).min
    records = Asking(bigram, Letters(), ids).ask([good], Feed())
    assert "inf or NaN" in records[0]["error"]


@pytest.mark.parametrize(
    ("values", "right", "worth"),
    [
        ([1.0, 2.0], 0, (1, 1, 1)),
        ([2.0, 1.0], 0, (0, 0, 0)),
        ([1.0, 1.0], 0, (0.5, 0, 1)),
        ([1.0, 1.0], 1, (0.5, 0, 0)),
        ([1.0, 1.0 + 1e-14, 2.0, 1.0], 3, (1 / 3, 0, 0)),
        ([3.0, 1.0, 2.0, 5.0], 1, (1, 1, 1)),
    ],
)
def test_ties(values: list[float], right: int, worth: tuple[float, ...]) -> None:
    assert [points(np.array(values), right, ties) for ties in ("0.5", "wrong", "first")] == pytest.approx(worth)


def test_a_run_says_what_another_rule_would_have_needed() -> None:
    release, ours, slamkit = (PRESETS[name] for name in ("smoltolk-release", "ours", "slamkit"))
    fed = ours.feed
    check_feed(rule_named("ours,scope=whole,ties=first"), fed, "S->S", "run")
    check_feed(PRESETS["lf2ar"], fed, "T->S", "run")  # its prefix is for S->T alone
    with pytest.raises(InputError, match="prefix=10"):
        check_feed(PRESETS["lf2ar"], fed, "S->T", "run")
    with pytest.raises(InputError, match="begin=none"):
        check_feed(release, fed, "T->S", "run")
    with pytest.raises(InputError, match="end=yes, joint=together"):
        check_feed(slamkit, fed, "S->S", "run")
    check_feed(ours, Feed(end=True), "T->T", "run")  # an end that is not scored changes nothing
    with pytest.raises(InputError, match="no-prompts"):
        judge([{"error": None, "shape": "S->S", "nll": [[[1.0], [2.0]]], "before": None}], Rule(scope="whole"))


def nll_record(
    name: str, before: list[float], right: list[float], wrong: list[float], end: tuple[float, float]
) -> dict:
    return {
        "id": name, "cell": "T->T", "shape": "T->T", "question": name, "cluster": name, "rival": name, "mirror": None,
        "strata": {}, "right": 0, "error": None, "before": [[before]], "nll": [[right, wrong]],
        "end": [[[end[0]], [end[1]]]],
    }  # fmt: skip


def test_published_rules_differ_where_they_differ() -> None:
    """One table: five items, each made so that a single difference of the rules shows itself."""
    records = [
        nll_record("plain", [1.0], [1.0, 1.0], [2.0, 2.0], (1.0, 1.0)),  # all agree
        nll_record("tie", [1.0], [1.0, 1.0], [1.0, 1.0], (1.0, 1.0)),  # half a point, or none
        nll_record("length", [0.0] * 6, [3.0], [2.0, 2.0], (2.0, 2.0)),  # mean of the option: wrong; sum, whole: right
        nll_record("end", [1.0], [1.0, 1.0], [2.0, 2.0], (9.0, 1.0)),  # only who scores the end is misled
        nll_record("first", [1.0], [1.0, 9.0], [2.0, 2.0], (1.0, 1.0)),  # its first unit tells
    ]
    rules = ("smoltolk-release", "lf2ar", "slamkit", "ours", "ours,normalisation=sum", "ours,first=1")
    table = {name: [row["points"] for row in judge(records, rule_named(name).rule)] for name in rules}
    assert table == {
        "smoltolk-release": [1, 0, 0, 1, 0],
        "lf2ar": [1, 0, 0, 1, 0],
        "slamkit": [1, 0.5, 1, 0, 0],
        "ours": [1, 0.5, 0, 1, 0],
        "ours,normalisation=sum": [1, 0.5, 1, 1, 0],
        "ours,first=1": [1, 0.5, 0, 1, 1],
    }


@pytest.mark.parametrize("rule", ["ours", "slamkit,joint=kept", "lf2ar", "smoltolk-release"])
def test_a_model_that_knows_nothing_is_at_chance_on_every_kind(rule: str, model: Any, tokenizer: Any):
    """Each of two options is right behind one of two prompts; nothing of a question stands in another one."""
    rng = np.random.default_rng(1)

    def segment(spoken: bool, size: int) -> Segment:
        text = " ".join("".join(rng.choice(list("abcdefghi"), 3)) for _ in range(size))
        return heard(*rng.integers(0, 12, 2 * size), text=text) if spoken else Segment(text)

    asked = []
    for way in (*DIRECTIONS, "->S"):
        for number in range(100):
            options = [segment(way[-1] == "S", 3) for _ in range(2)]
            for turn in (0, 1):  # and its mirror image
                prompts = () if way == "->S" else ((segment(way[0] == "S", 4),),)
                pair = ((options[turn],), (options[1 - turn],))
                names = {"mirror": f"{number}-{1 - turn}", "question": str(number)}
                asked.append(Item(f"{number}-{turn}", way, prompts, pair, **names))
    named = rule_named(rule)
    records = []
    for has_prompt in (True, False):
        chosen = [item for item in asked if bool(item.prompts) == has_prompt]
        feed = named.for_item("ssc", has_prompt).feed
        records += Asking(model, tokenizer, model.config.id_space).ask(chosen, feed)
    assert all(map(is_scored, records))
    cells = cells_of(judge(records, named.rule), "plain", named.rule, 0)
    assert set(cells) == {*DIRECTIONS, "->S"} and {cell["n"] for cell in cells.values()} == {200}
    for way, cell in cells.items():
        # Twice the interval: there are forty of them. Without a prompt a pair is a tie by construction.
        for one in (cell, cell["pair"]) if way != "->S" else (cell,):
            reach = 2 * max(one["high"] - one["accuracy"], one["accuracy"] - one["low"])
            assert abs(one["accuracy"] - 0.5) <= reach, way
