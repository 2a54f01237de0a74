"""Every layout of StoryCloze, and what is wrong with those that are broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.tasks.items import Spoken, check_items
from smoltolk.evaluation.tasks.storycloze import load_ssc, load_tsc
from smoltolk.evaluation.tasks.task import Source
from smoltolk.report.results import DIRECTIONS

RIGHT = "Anna has a dog. It is wet. The dog sleeps."
WRONG = "Anna has a dog. It is wet. Frank is tired."
TABLE = "pair_id,text,type,correctness"


def ways(loaded) -> dict[str, int]:
    check_items(loaded.items, "ssc")
    return {way: sum(item.cell == way for item in loaded.items) for way in DIRECTIONS}


def in_parts(root: Path, say: Callable) -> None:
    for base in ("12_x", "7_y"):
        for part, text in (("mutual", "Anna eats"), ("correct", "a dog"), ("incorrect", "rain")):
            say(root / f"{base}_{part}.wav", text)
            (root / f"{base}_{part}.txt").write_text(text + "\n")


def test_prompt_and_endings_by_themselves(tmp_path: Path, say: Callable) -> None:
    in_parts(tmp_path, say)
    loaded = load_tsc(Source(tmp_path))
    assert ways(loaded) == dict.fromkeys(DIRECTIONS, 2) and not loaded.notes
    for item in loaded.items:
        ((prompt,),), ((right,), (wrong,)) = item.prompts, item.options
        assert (prompt.text, right.text, wrong.text) == ("Anna eats", "a dog", "rain") and item.right == 0
        assert (prompt.is_speech, right.is_speech, wrong.is_speech) == (
            item.cell[0] == "S", item.cell[-1] == "S", item.cell[-1] == "S",
        )  # fmt: skip
    (tmp_path / "7_y_incorrect.txt").unlink()
    with pytest.raises(InputError, match="only one ending of 7_y"):
        load_tsc(Source(tmp_path))
    (tmp_path / "7_y_incorrect.wav").unlink()
    with pytest.raises(InputError, match="no 7_y_incorrect"):
        load_tsc(Source(tmp_path))


def test_only_recordings(tmp_path: Path, say: Callable) -> None:
    in_parts(tmp_path, say)
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    loaded = load_ssc(Source(tmp_path))
    assert ways(loaded) == {"S->S": 2, "T->T": 0, "S->T": 0, "T->S": 0}
    assert len(loaded.notes) == 3 and loaded.notes[0].startswith("T->T: 2 of 2")


def flat(root: Path, say: Callable) -> None:
    for number, name in enumerate(("aa-1", "bb_2")):
        say(root / f"{2 * number}_{name}_correct.wav", "a dog")
        say(root / f"{2 * number + 1}_{name}_incorrect.wav", "rain")


def test_a_flat_folder_of_whole_stories(tmp_path: Path, say: Callable) -> None:
    flat(tmp_path, say)
    loaded = load_ssc(Source(tmp_path))
    assert ways(loaded) == {"S->S": 2, "T->T": 0, "S->T": 0, "T->S": 0}
    assert all(item.prompts == () for item in loaded.items) and [item.id for item in loaded.items] == ["aa-1", "bb_2"]
    for name in ("0_aa-1", "2_bb_2"):
        (tmp_path / f"{name}_correct.txt").write_text(RIGHT)
    for name in ("1_aa-1", "3_bb_2"):
        (tmp_path / f"{name}_incorrect.txt").write_text(WRONG)
    written = load_ssc(Source(tmp_path))
    assert ways(written) == {"S->S": 2, "T->T": 2, "S->T": 0, "T->S": 0}
    text = next(item for item in written.items if item.cell == "T->T")
    assert text.prompts[0][0].text == "Anna has a dog. It is wet."
    assert [option[0].text for option in text.options] == ["The dog sleeps.", "Frank is tired."]
    spoken = load_ssc(Source(tmp_path, speaks=True))
    assert ways(spoken) == dict.fromkeys(DIRECTIONS, 2)
    listens = next(item for item in spoken.items if item.cell == "S->T")
    assert (
        isinstance(listens.prompts[0][0].sound, Spoken) and listens.prompts[0][0].sound.text == text.prompts[0][0].text
    )


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ({"0_aa-1_correct": "1_aa-1_incorrect"}, "has only incorrect"),
        ({"0_aa-1_correct": "x", "1_aa-1_incorrect": "0_aa-1_incorrect", "x": "1_aa-1_correct"}, "swapped"),
        ({"3_bb_2_incorrect": "5_bb_2_incorrect"}, "different pairs"),
        ({"3_bb_2_incorrect": "4_bb_2_correct"}, "two that are correct"),
        ({"3_bb_2_incorrect": "notes"}, "notes.wav"),
    ],
)
def test_mistakes_of_a_flat_folder(moves: dict[str, str], message: str, tmp_path: Path, say: Callable) -> None:
    flat(tmp_path, say)
    for old, new in moves.items():
        (tmp_path / f"{old}.wav").rename(tmp_path / f"{new}.wav")
    with pytest.raises(InputError, match=message):
        load_ssc(Source(tmp_path))


def table(root: Path, rows: list[str]) -> None:
    (root / "tsc.csv").write_text("\n".join([TABLE, *rows]) + "\n")


ROWS = [
    "1,Anna has a dog.,prompt,-", "1,It sleeps.,continuation,correct", '1,"Rain, again.",continuation,incorrect',
    "2,It is wet.,prompt,-", "2,It rains.,continuation,correct", "2,Frank eats.,continuation,incorrect",
]  # fmt: skip


def test_a_table_is_read_and_spoken(tmp_path: Path, say: Callable) -> None:
    table(tmp_path, ROWS)
    assert ways(load_tsc(Source(tmp_path))) == {"S->S": 0, "T->T": 2, "S->T": 0, "T->S": 0}
    spoken = load_tsc(Source(tmp_path, speaks=True))
    assert ways(spoken) == dict.fromkeys(DIRECTIONS, 2)
    voices = {item.id: {segment.sound.voice for segment in item.segments()} for item in spoken.items[:2]}
    assert voices == {"1": {0}, "2": {1}}  # a story is told by one voice
    for pair in (1, 2):
        for part in ("mutual", "correct", "incorrect"):
            say(tmp_path / f"{pair}_{part}.wav")
    recorded = load_tsc(Source(tmp_path))
    assert ways(recorded) == dict.fromkeys(DIRECTIONS, 2)
    assert not any(isinstance(segment.sound, Spoken) for item in recorded.items for segment in item.segments())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:-1], "pair 2: mutual, correct"),
        ([*ROWS, ROWS[0]], "has two: mutual"),
        ([*ROWS[:-1], ROWS[-1].replace("incorrect", "wrong")], "'wrong'"),
        ([*ROWS, "3,x,ending,correct"], "'ending'"),
        ([], "a row at least"),
    ],
)
def test_mistakes_of_a_table(rows: list[str], message: str, tmp_path: Path) -> None:
    table(tmp_path, rows)
    with pytest.raises(InputError, match=message):
        load_tsc(Source(tmp_path))


def test_parquet_of_whole_stories(tmp_path: Path, write_parquet: Callable) -> None:
    texts = {"correct_text": [RIGHT, RIGHT], "negative_text": [WRONG, "It rains. " + WRONG]}
    write_parquet(tmp_path / "data" / "test.parquet", ("correct_audio", "negative_audio"), texts)
    loaded = load_ssc(Source(tmp_path))
    assert ways(loaded) == {"S->S": 2, "T->T": 1, "S->T": 0, "T->S": 0}  # the second pair shares no beginning
    assert ways(load_ssc(Source(tmp_path, speaks=True))) == {"S->S": 2, "T->T": 1, "S->T": 1, "T->S": 1}
    write_parquet(tmp_path / "data" / "test.parquet", ("positive", "negative"))
    assert ways(load_ssc(Source(tmp_path)))["S->S"] == 2
    write_parquet(tmp_path / "data" / "test.parquet", ("correct_audio", "wrong_audio"))
    with pytest.raises(InputError, match="negative_audio"):
        load_ssc(Source(tmp_path))


def test_nothing_of_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="_mutual"):
        load_ssc(Source(tmp_path))
