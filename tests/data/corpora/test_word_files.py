"""What is said, from the files beside a recording."""

import json
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.word_files import said_beside
from smoltolk.speech.segments import Segment

GRID = '"ooTextFile" "TextGrid" 0 2 <exists> 1 "IntervalTier" "words" 0 2 3 0 1 "the" 1 1.5 "dog" 1.5 2 "\'s"'
THE_DOG = [{"word": " The", "start": 0, "end": 1, "probability": 0.5}, {"word": " dog.", "start": 1, "end": 2.0}]


def words(*rows: tuple[str, float, float]) -> tuple[Segment, ...]:
    return tuple(Segment(*row) for row in rows)


def test_a_text_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffThe\n dog's. ", encoding="utf-8")
    said = said_beside(tmp_path / "a.wav")
    assert (said.text, said.words, said.confidences) == ("The dog's.", (), ())


def test_a_textgrid_gives_its_times_to_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(GRID)
    assert said_beside(tmp_path / "a.wav").text == "the dog 's"
    (tmp_path / "a.txt").write_text("The – dog's.")
    said = said_beside(tmp_path / "a.wav")
    assert said.text == "The – dog's."
    assert said.words == words(("The", 0, 1), ("–", 1, 1), ("dog's.", 1, 2))
    (tmp_path / "a.txt").write_text("The cat.")
    with pytest.raises(InputError, match=r"'dog s' where the text has 'cat'"):
        said_beside(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", [".TXT", ".Txt", ".TEXTGRID", ".textgrid", ".JSON"])
def test_suffixes_may_be_in_capitals(suffix: str, tmp_path: Path) -> None:
    kinds = {".txt": "The dog's.", ".textgrid": GRID, ".json": json.dumps({"text": "The dog's."})}
    (tmp_path / f"A{suffix}").write_text(kinds[suffix.lower()])
    said = said_beside(tmp_path / "A.WAV")
    assert said.text.lower().replace(" '", "'").rstrip(".") == "the dog's"
    assert bool(said.words) == (suffix.lower() == ".textgrid")


@pytest.mark.parametrize(
    ("held", "scores"),
    [
        (THE_DOG, ()),
        ({"words": [*THE_DOG[:1], {"text": "dog.", "start": 1, "end": 2, "score": 1}]}, (0.5, 1.0)),
        ([["The", 0, 1, 0.25], ["dog.", 1, 2, -7.5]], ()),
        ({"segments": [{"words": THE_DOG[:1]}, {"words": THE_DOG[1:]}, {"words": []}], "text": " The dog."}, ()),
        ([["The", 0, 1, 0.25], ["dog.", 1, 2, 0.75]], (0.25, 0.75)),
    ],
)
def test_words_in_json(held: object, scores: tuple[float, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(held))
    said = said_beside(tmp_path / "a.wav")
    assert said.text == "The dog." and said.words == words(("The", 0, 1), ("dog.", 1, 2)) and said.confidences == scores


def test_json_without_words_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for held in ({"text": " The  dog."}, {"segments": [{"text": " The"}, {"text": " dog."}]}):
        path.write_text(json.dumps(held))
        assert said_beside(tmp_path / "a.wav").text == "The dog." and said_beside(tmp_path / "a.wav").words == ()


DOG, EATS = (
    {"start": 0, "end": 2, "text": " The dog.", "words": THE_DOG},
    {"start": 2, "end": 3, "text": " It eats."},
)


def test_a_list_of_segments_is_read_as_their_words(tmp_path: Path) -> None:
    """What whisper-timestamped writes: a sentence is not one long word."""
    (tmp_path / "a.json").write_text(json.dumps([DOG]))
    assert said_beside(tmp_path / "a.wav").words == words(("The", 0, 1), ("dog.", 1, 2))


@pytest.mark.parametrize(
    ("held", "text"),
    [
        ({"segments": [DOG, EATS]}, "The dog. It eats."),
        ([EATS, DOG], "It eats. The dog."),
        ({"segments": [DOG, {**EATS, "words": []}], "text": "The dog. It eats!"}, "The dog. It eats!"),
        ([*THE_DOG, {"word": "21"}], "The dog. 21"),
        ({"words": [{"word": "21", "start": None, "end": 1}, *THE_DOG]}, "21 The dog."),
        ([{"text": "The dog eats bread in the garden.", "start": 0, "end": 2}], "The dog eats bread in the garden."),
    ],
)
def test_a_word_without_its_time_costs_times_not_text(held: object, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(held))
    said = said_beside(tmp_path / "a.wav")
    assert said.text == text and said.words == said.confidences == () and "a.json" in said.untimed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "must be JSON"),
        ("3", "int"),
        ("[" * 100_000, "must be JSON"),
        ("[" + "1" * 5_000 + "]", "must be JSON"),
        ('[{"word": "a", "start": 0, "end": 1' + "0" * 400 + "}]", "needs its time"),
        ('{"segments": [{"words": 3}]}', "words that are"),
        ('[{"word": "\\ud83d", "start": 0, "end": 1}]', "whole characters"),
        ('{"speaker": "anna"}', "keys"),
        ("[3]", "found: a.json: 3"),
        ('{"segments": [3]}', "no objects"),
        ('[{"word": "21", "start": true, "end": 1}]', "needs its time"),
        ('[{"word": "21", "start": "0", "end": 1}]', "needs its time"),
        ('[{"start": 0, "end": 1}]', "needs its time"),
        ("[]", "a.json is empty"),
        ('{"text": " "}', "a.json is empty"),
    ],
)
def test_other_json_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=message):
        said_beside(tmp_path / "a.wav")


def test_nothing_beside(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no file a\.txt"):
        said_beside(tmp_path / "a.wav")


@pytest.mark.parametrize("held", [[{"word": "The\ud83d", "start": 0, "end": 1}], {"text": "cut \ud83d"}])
def test_half_a_character_is_no_text(held: object, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(held))
    with pytest.raises(InputError, match=r"whole characters(.|\n)*a\.json"):
        said_beside(tmp_path / "a.wav")
