"""TextGrids of both formats and encodings become tiers; broken ones are told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoltolk.common.errors import InputError
from smoltolk.data.corpora.textgrid import read_textgrid, word_tier
from smoltolk.speech.segments import Segment

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2.5
            text = "AH"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 1.25
            mark = "!"
    item [3]:
        class = "IntervalTier"
        name = "Words"
        xmin = 0
        xmax = 2.5
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.4e0
            text = ""
        intervals [2]:
            xmin = 0.4
            xmax = 1
            text = "say ""hé!""
"
        intervals [3]:
            xmin = 1
            xmax = 1.5
            text = "<eps>"
        intervals [4]:
            xmin = 1.5
            xmax = 2.5
            text = "5"
"""
WORDS = (Segment('say "hé!"', 0.4, 1.0), Segment("5", 1.5, 2.5))


def short(tiers: list[tuple[str, list[Segment]]], end: float) -> str:
    """The short format, with a remark."""
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "! made by hand, 3 lines",
        "0",
        str(end),
        "<exists>",
    ]
    lines.append(str(len(tiers)))
    for name, intervals in tiers:
        lines += ['"IntervalTier"', quoted(name), "0", str(end), str(len(intervals))]
        for interval in intervals:
            lines += [repr(interval.start), repr(interval.end), quoted(interval.text)]
    return "\n".join(lines)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_the_long_format_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_bytes(
        (b"\xff\xfe" if encoding == "utf-16-le" else b"") + LONG.replace("\n", " \n").encode(encoding)
    )  # as Praat writes it
    tiers = read_textgrid(path)
    assert [tier.name for tier in tiers] == ["phones", "Words"]
    assert len(tiers[1].intervals) == 4 and tiers[1].words() == WORDS
    assert word_tier(tiers, path) == tiers[1]


label = st.text(st.characters(codec="utf-8"), max_size=8)
time = st.floats(0, 1e4)


@given(tiers=st.lists(st.tuples(label, st.lists(st.builds(Segment, label, time, time), max_size=4)), max_size=3))
def test_the_short_format_holds_any_label(
    tiers: list[tuple[str, list[Segment]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.TextGrid"
    path.write_bytes(short(tiers, 3.0).encode())
    assert [(tier.name, list(tier.intervals)) for tier in read_textgrid(path)] == tiers


def test_which_tier_holds_the_words(tmp_path: Path) -> None:
    path, word = tmp_path / "a.TextGrid", Segment("a", 0.0, 1.0)

    def found(*names: str, name: str | None = None) -> str:
        path.write_text(short([(n, [word]) for n in names], 1.0), encoding="utf-8")
        return word_tier(read_textgrid(path), path, name).name

    assert found("anything") == "anything"
    assert found("phones", "words") == "words"
    assert found("anna - words", "anna - phones") == "anna - words"
    assert found("a", "b", name="B") == "b"
    for names, name in ((("a", "b"), None), (("anna words", "ben words"), None), (("a",), "c"), ((), None)):
        with pytest.raises(InputError, match="one interval tier"):
            found(*names, name=name)


@pytest.mark.parametrize(
    ("name", "labels", "taken"),
    [
        ("phones", "the dog", False),
        ("anna - phones", "the dog", False),
        ("MAU", "D @", False),
        ("anna", "DH AH0 D AO1 G IY1 T S", False),
        ("anna", "ð ə d ɒ ɡ iː t s", False),
        ("words", "a b c d e f", True),
        ("ORT-MAU", "the dog eats bread in a house", True),
        ("anna", "I am so as to do it today", True),
        ("anna", "1 2 3 4 5 6", True),
        ("anna", "我 们 吃 面 包 了", True),
        ("anna", "b", True),
    ],
)
def test_the_only_tier_holds_words_or_is_refused(name: str, labels: str, taken: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    said = [Segment(label, float(k), k + 1.0) for k, label in enumerate(labels.split())]
    path.write_text(short([(name, said)], float(len(said))), encoding="utf-8")
    (tier,) = read_textgrid(path)
    assert word_tier([tier], path, name) == tier  # whoever names it knows what it holds
    if taken:
        assert word_tier([tier], path) == tier
    else:
        with pytest.raises(InputError, match="--tier"):
            word_tier([tier], path)


@pytest.mark.parametrize("size", range(9))
def test_a_size_that_is_not_what_follows(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    words = [Segment(f"w{k}", k / 8, (k + 1) / 8) for k in range(8)]
    text = short([("words", words)], 1.0).replace('"words"\n0\n1.0\n8', f'"words"\n0\n1.0\n{size}')
    assert (text == short([("words", words)], 1.0)) == (size == 8)
    for behind in ("", '\n"IntervalTier"\n"phones"\n0\n1.0\n1\n0\n1.0\n"AH"'):
        path.write_text((text.replace("<exists>\n1", "<exists>\n2") if behind else text) + behind)
        if size == 8:
            assert read_textgrid(path)[0].words() == tuple(words)
        else:
            with pytest.raises(InputError, match="a TextGrid must be whole"):
                read_textgrid(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut short"),
        (LONG.replace("size = 4", "size = 3").encode(), "left over|where"),
        (LONG.replace("size = 3", "size = 2").encode(), "left over"),
        (LONG.replace("size = 4", "size = 1e999").encode(), "a size of inf"),
        (LONG.replace("size = 4", "size = -4").encode(), "a size of -4"),
        (b'File type = "ooTextFile"\nObject class = "Pitch 1"\n0\n1\n', "does not begin"),
        (LONG[:700].encode(), "cut short"),
        (LONG[: LONG.index('"5"') + 2].encode(), "never closed"),
        (LONG.replace("<exists>", "<absent>").encode(), "no tiers"),
        (LONG.replace("size = 4", 'size = "four"').encode(), "'four' where a number"),
        (LONG.replace("size = 4", "size = 5").encode(), "cut short"),
        (LONG.replace('text = "AH"', "text = 4").encode(), "where a label"),
        (LONG.replace("TextTier", "PitchTier").encode(), "PitchTier"),
        (LONG.encode("latin-1"), "UTF-8 or UTF-16"),
        (b"ooBinaryFile\x08TextGrid\x00\x00", "does not begin|cut short"),
    ],
)
def test_broken_files(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_textgrid(tmp_path / "a.TextGrid")
