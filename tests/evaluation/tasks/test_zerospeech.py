"""sWUGGY and sBLIMP: the official tree and its copies, mistakes in it, averages by hand, and the submission."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.rules import Rule
from smoltolk.evaluation.runs.aggregates import by_question, by_type
from smoltolk.evaluation.tasks.items import check_items
from smoltolk.evaluation.tasks.task import Source
from smoltolk.evaluation.tasks.zerospeech import load_sblimp, load_swuggy, write_submission

LEXICAL = "filename,id,voice,frequency,word,phones,length,correct"
SYNTACTIC = "filename,id,voice,type,subtype,transcription,correct"


def lexical(root: Path, say: Callable, change: Callable[[list[str]], list[str]] = lambda rows: rows) -> Path:
    """Two words by two voices, one of them unknown to the vocabulary."""
    rows = []
    for number, frequency in ((1, "oov"), (2, "high")):
        for voice in ("A", "B"):
            for correct in (1, 0):
                stem = f"{voice}{number}{correct}"
                say(root / "lexical" / "dev" / f"{stem}.wav", "rain" if correct else "a dog")
                rows.append(f"{stem},{number},{voice},{frequency},w,p p,{number},{correct}")
    (root / "lexical" / "dev" / "gold.csv").write_text("\n".join([LEXICAL, *change(rows)]) + "\n")
    return root


def test_pairs_of_words(tmp_path: Path, say: Callable) -> None:
    loaded = load_swuggy(Source(lexical(tmp_path, say)))
    check_items(loaded.items, "swuggy")
    assert [item.id for item in loaded.items] == ["1/A", "1/B", "2/A", "2/B"]
    assert {item.cell for item in loaded.items} == {"lexical dev"} and not loaded.notes
    first = loaded.items[0]
    assert first.right == 0 and first.question == "1" and first.strata["frequency"] == "oov"
    assert first.options[0][0].sound is not None and first.options[0][0].sound.name == "lexical-dev-A11"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "one row with correct = 1 and one with correct = 0"),
        (lambda rows: [row[:-1] + "1" for row in rows], "correct = 1, 1"),
        (lambda rows: [*rows, rows[0]], "stands twice"),
        (lambda rows: [*rows, "C11,3,A,oov,w,p,1,1", "C10,3,A,oov,w,p,1,0"], "no file"),
        (lambda rows: [*rows, "C11,3"], "line 10"),
        (lambda rows: [*rows[:-1], rows[-1].replace("B20", "B 20")], "have no spaces"),
    ],
)
def test_mistakes_of_a_table(change: Callable, message: str, tmp_path: Path, say: Callable) -> None:
    with pytest.raises((InputError, NotFoundError), match=message):
        load_swuggy(Source(lexical(tmp_path, say, change)))


def test_other_columns_and_other_folders(tmp_path: Path, say: Callable) -> None:
    root = lexical(tmp_path, say)
    with pytest.raises(NotFoundError, match="syntactic"):
        load_sblimp(Source(root))
    table = root / "lexical" / "dev" / "gold.csv"
    table.write_text(table.read_text().replace("voice", "speaker"))
    with pytest.raises(InputError, match="no voice"):
        load_swuggy(Source(root))
    with pytest.raises(NotFoundError, match=r"gold\.csv"):
        load_swuggy(Source(root, split="test"))
    with pytest.raises(InputError, match="no --data"):
        load_swuggy(Source())
    with pytest.raises(NotFoundError, match="no folder"):
        load_swuggy(Source(root / "nothing"))


def test_a_wrong_sentence_may_stand_first(tmp_path: Path, say: Callable) -> None:
    rows = []
    for kind in ("anaphora", "island"):
        for voice in ("A", "B"):
            for correct in (0, 1):
                stem = f"{kind}{voice}{correct}"
                say(tmp_path / "syntactic" / "test" / f"{stem}.wav")
                rows.append(f"{stem},7,{voice},{kind},sub,a dog,{correct}")
    (tmp_path / "syntactic" / "test" / "gold.csv").write_text("\n".join([SYNTACTIC, *rows]) + "\n")
    items = load_sblimp(Source(tmp_path)).items
    assert [item.right for item in items] == [1] * 4 and {item.cell for item in items} == {"syntactic test"}
    assert items[0].question == "anaphora/sub/7" and items[0].strata["type"] == "anaphora"


def test_a_copy_of_the_hub(tmp_path: Path, write_parquet: Callable) -> None:
    write_parquet(tmp_path / "data" / "train.parquet", ("positive", "negative"), rows=3)
    loaded = load_swuggy(Source(tmp_path))
    assert len(loaded.items) == 3 and "copy" in loaded.notes[0] and all(item.right == 0 for item in loaded.items)
    sound = loaded.items[0].options[0][0].sound
    assert sound is not None and sound.content()[:4] == b"RIFF"
    write_parquet(tmp_path / "data" / "train.parquet", ("positive", "wrong"))
    with pytest.raises(InputError, match="positive, wrong"):
        load_swuggy(Source(tmp_path))


def row(question: str, points: float, **strata: str) -> dict:
    return {"question": question, "points": points, "strata": strata, "cell": "c"}


def test_averages_by_hand() -> None:
    """Voices first, then questions; of sBLIMP then types."""
    words = [
        row("1", 1.0, frequency="0"), row("1", 0.0, frequency="0"), row("1", 0.0, frequency="0"),
        row("2", 1.0, frequency="100"), row("3", 0.5, frequency="99"),
    ]  # fmt: skip
    cell = by_question(words, Rule(), 0)
    assert cell["accuracy"] == pytest.approx((1 / 3 + 1 + 0.5) / 3) and cell["n"] == 3
    assert cell["in_vocabulary"]["accuracy"] == pytest.approx(0.75)
    assert [cell["by_frequency"][band]["n"] for band in ("oov", "21-100", ">100")] == [1, 1, 1]
    assert cell["by_frequency"]["oov"] == {"accuracy": pytest.approx(1 / 3), "n": 1}
    sentences = [
        row("a/1", 1.0, type="a"), row("a/1", 0.0, type="a"), row("a/2", 1.0, type="a"), row("a/3", 1.0, type="a"),
        row("b/1", 0.0, type="b"), row("b/2", 0.0, type="b"),
    ]  # fmt: skip
    cell = by_type(sentences, Rule(), 0)
    assert cell["accuracy"] == pytest.approx((2.5 / 3 + 0) / 2)
    assert cell["by_pair"]["accuracy"] == pytest.approx(2.5 / 5)
    assert cell["low"] <= cell["accuracy"] <= cell["high"]


def test_the_submission_has_a_line_for_each_recording(tmp_path: Path) -> None:
    records = [
        {"cell": "lexical dev", "strata": {"stems": "A11 A10"}}, {"cell": "lexical dev", "strata": {"stems": "B11 B10"}}
    ]  # fmt: skip
    path = write_submission(records, [[-1.25, -2.0], [-1 / 3, -0.5]], tmp_path)
    assert path == tmp_path / "lexical" / "dev.txt"
    assert path.read_text().splitlines() == ["A11 -1.25", "A10 -2.0", "B11 -0.3333333333333333", "B10 -0.5"]
    assert write_submission([{"cell": "all", "strata": {}}], [[1.0, 2.0]], tmp_path) is None
