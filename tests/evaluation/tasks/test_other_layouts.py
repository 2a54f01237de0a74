"""SALMon, sHellaSwag, choices of one's own, and spoken questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.evaluation.tasks.choices import load_choices
from smoltolk.evaluation.tasks.hellaswag import load_hellaswag
from smoltolk.evaluation.tasks.items import check_items
from smoltolk.evaluation.tasks.salmon import load_salmon
from smoltolk.evaluation.tasks.spoken_answers import has_answer, letter_of, load_questions, points_of
from smoltolk.evaluation.tasks.task import Source


def test_salmon_in_folders_and_in_parquet(tmp_path: Path, say: Callable, write_parquet: Callable) -> None:
    for number in (0, 10, 2):
        for which in (0, 1):
            say(tmp_path / "rir_consistency" / f"sample_{number}_{which}.wav")
    write_parquet(tmp_path / "bg_alignment" / "train.parquet", ("positive_audio", "negative_audio"))
    loaded = load_salmon(Source(tmp_path))
    check_items(loaded.items, "salmon")
    assert [item.id for item in loaded.items[2:]] == [f"rir_consistency-{number}" for number in (0, 2, 10)]
    assert [item.cell for item in loaded.items] == ["bg_alignment"] * 2 + ["rir_consistency"] * 3
    assert all(item.options[0][0].sound.name.endswith(("_0", "positive_audio")) for item in loaded.items)
    assert loaded.notes[0] == "bg_alignment: 2 pairs, 200 were published" and "gender_consistency" in loaded.notes[-1]
    (tmp_path / "rir_consistency" / "sample_2_1.wav").rename(tmp_path / "rir_consistency" / "sample_2_x.wav")
    with pytest.raises(InputError, match="sample_2_x"):
        load_salmon(Source(tmp_path))
    (tmp_path / "rir_consistency" / "sample_2_x.wav").rename(tmp_path / "rir_consistency" / "sample_02_0.wav")
    with pytest.raises(InputError, match="stands once"):
        load_salmon(Source(tmp_path))
    (tmp_path / "rir_consistency" / "sample_02_0.wav").unlink()
    with pytest.raises(InputError, match=r"1 without its other, .* number 2"):
        load_salmon(Source(tmp_path))
    with pytest.raises(NotFoundError, match="bg_alignment"):
        load_salmon(Source(tmp_path / "rir_consistency"))


def hellaswag(root: Path, **changes: Any) -> Path:
    row = {"ind": 24, "ctx": "A man [substeps] sits.", "endings": ["He eats.", "He runs.", "He is.", "He [x] sleeps."]}
    (root / "val.jsonl").write_text(json.dumps(row | {"label": "3"} | changes) + "\n")
    return root


def test_one_of_four_endings(tmp_path: Path, say: Callable) -> None:
    hellaswag(tmp_path)
    loaded = load_hellaswag(Source(tmp_path))
    (item,) = loaded.items
    assert item.cell == "T->T" and item.right == 3 and len(item.options) == 4 and len(loaded.notes) == 3
    assert item.prompts[0][0].text == "A man sits." and item.options[3][0].text == "He sleeps."
    for name in ("ctx", *(f"ending{k}" for k in range(4))):
        say(tmp_path / f"24_{name}.wav")
    assert len(load_hellaswag(Source(tmp_path)).items) == 4
    (tmp_path / "24_ending2.wav").unlink()
    with pytest.raises(NotFoundError, match="24_ending2"):
        load_hellaswag(Source(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 4}, "'4'"),
        ({"endings": ["a", "b"]}, "2 endings"),
        ({"endings": "abcd"}, "a list of texts"),
        ({"ctx": 5}, "ctx of HellaSwag is a text"),
        ({"ind": None}, None),
    ],
)
def test_mistakes_of_hellaswag(changes: dict[str, Any], message: str | None, tmp_path: Path) -> None:
    if message is None:
        (hellaswag(tmp_path) / "val.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match=message or "ind, ctx, endings and label"):
        load_hellaswag(Source(hellaswag(tmp_path, **changes) if message else tmp_path))


def choices(root: Path, *rows: Any) -> Source:
    (root / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source(root)


def test_choices_in_any_modality(tmp_path: Path, say: Callable) -> None:
    say(tmp_path / "a.wav")
    first = {"id": 1, "prompt": [{"text": "Anna eats"}], "options": [[{"text": "bread."}], [{"text": "rain."}]]}
    first["mirror"] = 2
    second = first | {"id": 2, "right": 1, "mirror": 1, "cluster": "anna"}
    third = {"id": "x", "options": [[{"audio": "a.wav", "text": "a dog"}], [{"units": [1, 2]}]], "cell": "mine"}
    items = load_choices(choices(tmp_path, first, second, third)).items
    check_items(items, "choices")
    assert [item.cell for item in items] == ["T->T", "T->T", "mine"] and items[1].right == 1
    assert items[1].mirror == "1" and items[1].cluster == "anna" and items[2].prompts == ()
    assert items[2].options[0][0].text == "a dog" and items[2].options[1][0].units.tolist() == [1, 2]
    for row, message in (
        (first | {"colour": 1}, "colour"),
        (first | {"options": [[{"video": "x"}], []]}, "video"),
        (first | {"options": [[{"text": "a"}], []]}, "a segment at least"),
        (first | {"options": "ab"}, "options ab"),
        (first | {"options": ["ab"]}, "lists of segments"),
        (first | {"mirror": 9}, "no '9'"),
        (first | {"mirror": 1}, "name each other"),
        ({"id": 1}, "id and options"),
        (first | {"right": "b"}, "right 'b'"),
        (first | {"right": 0.0}, "right 0.0"),
        (first | {"options": 3}, "options 3"),
        (first | {"options": [[{"text": 5}], [{"text": "a"}]]}, "'text': 5"),
        (first | {"options": [[{"units": [0.5]}], [{"units": [1]}]]}, "'units'"),
        (first | {"options": [[{"units": [[1], [1, 2]]}], [{"units": [1]}]]}, "'units'"),
        (first | {"options": [[{"audio": 1}], [{"units": [1]}]]}, "'audio': 1"),
    ):
        with pytest.raises(InputError, match=message):
            load_choices(choices(tmp_path, row))
    three = {"options": [*first["options"], [{"text": "it."}]]}
    for rows, message in (
        ([first | three, second | three], "two options"),
        ([first, second | {"cell": "c"}], "same cell"),
    ):
        with pytest.raises(InputError, match=message):
            load_choices(choices(tmp_path, *rows))
    del first["mirror"]
    for rows, message in (
        ([first, first], "stands twice"),
        ([first | {"right": 2}], "number 2 is right"),
        ([first | {"options": first["options"][:1]}], "1 options"),
        ([first | {"prompt": [{"text": " "}]}], "a word at least"),
    ):
        with pytest.raises(InputError, match=message):
            check_items(load_choices(choices(tmp_path, *rows)).items, "choices")
    with pytest.raises(NotFoundError, match=r"missing\.wav"):
        load_choices(choices(tmp_path, first | {"prompt": [{"audio": "missing.wav"}]}))


def test_spoken_questions_and_their_references(tmp_path: Path, write_parquet: Callable) -> None:
    write_parquet(tmp_path / "a" / "test.parquet", ("audio",), {"Answer": ["Paris", "Rome"]})
    questions = load_questions("llama-questions", Source(tmp_path / "a"))
    assert [question.references for question in questions] == [("Paris",), ("Rome",)]
    write_parquet(tmp_path / "b" / "test.parquet", ("audio",), {"answers": [["Paris", "Paris, France"], ["Rome"]]})
    assert load_questions("web-questions", Source(tmp_path / "b"))[0].references == ("Paris", "Paris, France")
    with pytest.raises(InputError, match="no Answer"):
        load_questions("llama-questions", Source(tmp_path / "b"))
    write_parquet(tmp_path / "b" / "test.parquet", ("audio",), {"answers": [[], ["Rome"]]})
    with pytest.raises(InputError, match="test-0 has none"):
        load_questions("web-questions", Source(tmp_path / "b"))
    write_parquet(tmp_path / "c" / "test.parquet", ("audio",), {"answers": pa.array([], pa.string())}, rows=0)
    with pytest.raises(InputError, match="a question at least"):
        load_questions("web-questions", Source(tmp_path / "c"))
    for folder in ("en", "de"):
        write_parquet(tmp_path / "d" / folder / "test.parquet", ("audio",), {"answers": ["x", "y"]})
    with pytest.raises(InputError, match="'test-0' stands twice"):
        load_questions("web-questions", Source(tmp_path / "d"))
    write_parquet(tmp_path / "b" / "test.parquet", ("one", "two"), {"answers": [["x"], ["Rome"]]})
    with pytest.raises(InputError, match="one column of recordings"):
        load_questions("web-questions", Source(tmp_path / "b"))


@pytest.mark.parametrize(
    ("answer", "references", "there"),
    [
        ("It is New  York-City.", ["new york"], True),
        ("It is York, New.", ["new york"], False),
        ("It is newyork", ["new york"], False),
        ("CAFE\u0301 au lait", ["caf\u00e9"], True),
        ("cafe", ["caf\u00e9"], False),
        ("In 1,066.", ["1 066"], True),
        ("Something", ["", "?"], False),
        ("", ["a"], False),
        ("b", ["a", "B"], True),
    ],
)
def test_has_answer(answer: str, references: list[str], there: bool) -> None:
    assert has_answer(answer, references) is there


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("B", "B"), ("b.", "B"), ("C) rain", "C"), ("The answer is A.", "A"), ("The correct answer is **(D)**.", "D"),
     ("I would choose option c", "C"), ('It is "B".', "B"), ("\\\\boxed{A}", "A"), ("My answer: d", "D"),
     ("The answer is a dog.", None), ("A dog", None), ("", None), ("B or C", None), ("It rains.", None),
     ("Either b, c", None), ("Surely D", "D")],
)  # fmt: skip
def test_letters_of_options(answer: str, letter: str | None) -> None:
    assert letter_of(answer) == letter
    assert points_of("mmsu", answer, ["B"]) == (None if letter is None else float(letter == "B"))


def test_multiple_choices_of_voicebench(tmp_path: Path, write_parquet: Callable) -> None:
    folder = tmp_path / "mmsu"
    for part, letters in (("law", ["A", "D"]), ("other", ["B", "C"])):
        write_parquet(
            folder / f"{part}-00000-of-00001.parquet", ("audio",), {"prompt": ["a", "b"], "reference": letters}
        )
    questions = load_questions("mmsu", Source(folder))
    assert [question.references for question in questions] == [("A",), ("D",), ("B",), ("C",)]
    write_parquet(folder / "law-00000-of-00001.parquet", ("audio",), {"prompt": ["a", "b"], "reference": ["A", "rain"]})
    with pytest.raises(InputError, match="'rain'"):
        load_questions("mmsu", Source(folder))
