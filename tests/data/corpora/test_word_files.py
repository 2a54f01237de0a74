"""What is said, from the files beside a recording."""

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.word_files import read_json_words, said_beside, times_of_tokens
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
        assert read_json_words(path).text == "The dog." and read_json_words(path).words == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "must be JSON"),
        ("3", "int"),
        ('{"speaker": "anna"}', "keys"),
        ("[3]", "found: a.json: 3"),
        ('{"segments": [3]}', "no objects"),
        ('[{"word": "21"}]', "needs its time"),
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


def test_numbers_spelled_out_correspond_one_to_one() -> None:
    found, scores = times_of_tokens(
        ["In", "1984."], words(("in", 0, 1), ("nineteen-eighty-four", 1, 3)), (0.1, 0.2), "a"
    )
    assert found == words(("In", 0, 1), ("1984.", 1, 3)) and scores == (0.1, 0.2)


def test_tokens_share_a_word() -> None:
    found, scores = times_of_tokens(["ice", "cream", "!"], words(("ICECREAM", 0.0, 8.0)), (0.5,), "a")
    assert found == words(("ice", 0, 3), ("cream", 3, 8), ("!", 8, 8))
    assert scores[:2] == (0.5, 0.5) and math.isnan(scores[2])


token = st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=5)


@given(st.lists(token, min_size=1, max_size=8), st.data())
def test_times_stay_in_order_and_inside(tokens: list[str], data: st.DataObject) -> None:
    """However an aligner parts the letters, tokens tile the time of the words."""
    letters = "".join(tokens)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(letters) - 1)), max_size=5)) | {0, len(letters)})
    times = sorted(data.draw(st.lists(st.floats(0, 100), min_size=len(cuts), max_size=len(cuts))))
    parts = [letters[a:b] for a, b in itertools.pairwise(cuts)]
    spoken = [Segment(p, a, b) for p, a, b in zip(parts, times, times[1:], strict=False)]
    if "".join(part.casefold() for part in parts) != "".join(token.casefold() for token in tokens):
        return
    try:
        found, _ = times_of_tokens(tokens, spoken, (), "a")
    except InputError:  # letters that change when they are parted (ligatures)
        return
    assert [s.text for s in found] == tokens
    assert found[0].start == times[0] and found[-1].end == pytest.approx(times[-1])
    for a, b in itertools.pairwise(found):
        assert a.start <= a.end <= b.start + 1e-9


@pytest.mark.parametrize("held", [[{"word": "The\ud83d", "start": 0, "end": 1}], {"text": "cut \ud83d"}])
def test_half_a_character_is_no_text(held: object, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(held))
    with pytest.raises(InputError, match=r"whole characters(.|\n)*a\.json"):
        said_beside(tmp_path / "a.wav")
