from __future__ import annotations

from smoltolk.report.wording import listed, number, points, world_words


def test_points():
    assert [points(x) for x in (0.0314, -0.004, 0.0, -0.0004)] == ["+3.1", "−0.4", "0.0", "0.0"]
    assert points(-0.105, 0) == "−10"


def test_numbers():
    assert [number(x) for x in (1_500_000, 12.345, 0, 98765.4)] == [
        "1\u202f500\u202f000",
        "12.35",
        "0",
        "98\u202f765",
    ]


def test_lists():
    assert [listed(parts) for parts in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert listed("ab", "or") == "a or b"


def test_a_world_is_told_as_far_as_it_is_known():
    whole = {"people": 240, "facts": 960, "heard": 480, "words": 312, "times_heard": 13.2}
    assert world_words(whole) == (
        "The world: 240 people, 960 facts (480 heard, 480 only read) and a vocabulary of 312 words. "
        "Each heard fact is said in some 13 recordings."
    )
    assert world_words({"times_heard": 1.25}) == "Each heard fact is said in some 1.2 recordings."
    assert world_words({"people": 12}) == "The world: 12 people."
    assert world_words({}) == ""
    for key in whole:
        assert world_words({name: value for name, value in whole.items() if name != key})
