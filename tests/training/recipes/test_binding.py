"""Plain values become trees, and what does not fit is told with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from smoltolk.common.errors import InputError
from smoltolk.training.recipes.binding import Further, bind, changed, names_in, nearest


@dataclass(frozen=True, kw_only=True)
class Leaf:
    name: str
    rate: float = 1.0
    count: int | None = None
    kind: Literal["a", "b"] | None = None
    rows: int | Literal["auto"] | None = None
    weights: dict[str, float] = field(default_factory=dict)
    pair: tuple[int, int] = (1, 2)

    def __post_init__(self) -> None:
        if self.count is not None and self.count > self.rate:
            raise InputError("count is at most the rate", f"{self.count} and {self.rate}", "change one")


@dataclass(frozen=True, kw_only=True)
class Tree:
    leaves: tuple[Leaf, ...] = (Leaf(name="first"), Leaf(name="second"))
    one: Leaf | None = None
    numbers: tuple[int, ...] = ()
    on: bool = False
    anything: dict[str, Any] | None = None


def test_settings_change_and_the_others_stay() -> None:
    tree = changed(Tree(), {"leaves": {"1": {"rate": 3}, "first": {"kind": "b"}}, "on": True, "numbers": [1, 2]})
    assert tree == Tree(leaves=(Leaf(name="first", kind="b"), Leaf(name="second", rate=3.0)), on=True, numbers=(1, 2))
    assert isinstance(tree.leaves[1].rate, float)


def test_changes_are_made_at_once() -> None:
    """Either alone would break the rule that both keep."""
    assert changed(Leaf(name="x"), {"count": 5, "rate": 6.0}).count == 5


def test_a_mapping_takes_the_place_of_one_or_adds_to_it() -> None:
    leaf = Leaf(name="x", weights={"speech": 1.0})
    assert changed(leaf, {"weights": {"text": 2}}).weights == {"text": 2.0}
    assert changed(leaf, {"weights": Further(text=2)}).weights == {"speech": 1.0, "text": 2.0}
    assert changed(Leaf(name="x"), {"pair": Further({"1": 5})}).pair == (1, 5)


def test_a_part_that_is_not_there_is_made() -> None:
    assert changed(Tree(), {"one": Further(name="new", rate=2)}).one == Leaf(name="new", rate=2.0)
    assert changed(Tree(one=Leaf(name="x")), {"one": None}).one is None


@pytest.mark.parametrize(("rows", "expected"), [("auto", "auto"), (4, 4), (None, None)])
def test_one_of_several_types(rows: Any, expected: Any) -> None:
    assert changed(Leaf(name="x"), {"rows": rows}).rows == expected


@pytest.mark.parametrize(
    ("changes", "rule", "found"),
    [
        ({"leaves": {"0": {"rate": "fast"}}}, "leaves.0.rate is a number", "'fast'"),
        ({"leaves": {"0": {"rate": True}}}, "leaves.0.rate is a number", "True"),
        ({"leaves": {"0": {"count": 1.5}}}, "leaves.0.count is a whole number", "1.5"),
        ({"leaves": {"0": {"name": 7}}}, "leaves.0.name is text", "7"),
        ({"leaves": {"0": {"kind": "c"}}}, "leaves.0.kind is one of a, b", "'c'"),
        ({"leaves": {"0": {"pair": [1]}}}, "leaves.0.pair is a list of 2", "[1]"),
        ({"leaves": {"0": {"weights": {"x": "y"}}}}, "leaves.0.weights.x is a number", "'y'"),
        ({"leaves": {"2": {"rate": 1}}}, "leaves are 0, 1, or by name first, second", "leaves.2"),
        ({"on": 1}, "on is true or false", "1"),
        ({"numbers": "1"}, "numbers is a list, each a whole number", "'1'"),
        ({"one": "x"}, "one has settings by name", "'x'"),
        ({"one": {"rate": 1}}, "one needs name", "only rate"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place(changes: dict, rule: str, found: str) -> None:
    with pytest.raises(InputError) as told:
        changed(Tree(), changes)
    assert rule in told.value.rule and found in told.value.found


@pytest.mark.parametrize(
    ("changes", "near"),
    [
        ({"leaves": {"1": {"rat": 1}}}, "leaves.1.rate"),
        ({"rate": 1}, "one.rate"),
        ({"one": {"name": "x", "wieghts": {}}}, "one.weights"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(changes: dict, near: str) -> None:
    with pytest.raises(InputError) as told:
        changed(Tree(), changes)
    assert told.value.fix == f"did you mean {near}?"


def test_nothing_is_near_to_nonsense() -> None:
    assert nearest("xyzzy", names_in(Tree)) is None
    assert set(names_in(Leaf)) == {"name", "rate", "count", "kind", "rows", "weights", "pair"}
    assert "leaves.*.rate" in names_in(Tree) and "one.rate" in names_in(Tree)


def test_a_tree_of_its_plain_values() -> None:
    assert bind(Tree, {"leaves": [{"name": "a"}], "anything": {"b": [1, {"c": None}]}}) == Tree(
        leaves=(Leaf(name="a"),), anything={"b": [1, {"c": None}]}
    )
