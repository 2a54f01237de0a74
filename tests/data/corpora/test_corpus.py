import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import (
    CorpusInfo,
    check_complete,
    digest_of,
    part_path,
    read_corpus,
    read_info,
    validate_corpus,
    write_part,
)
from smoltolk.data.corpora.mending import claim
from smoltolk.data.corpora.utterances import Utterance, problem_with
from smoltolk.speech.audio import save
from smoltolk.speech.segments import Segment


def utterance(**changes: object) -> Utterance:
    values = Utterance(
        id="a",
        text="Ben naps.",
        audio=None,
        seconds=1.0,
        words=(Segment("Ben", 0.1, 0.4), Segment("naps.", 0.5, 0.9)),
        phones=(),
        speaker="f2",
        language="en",
        source="stories",
    )
    return replace(values, **changes)


@pytest.fixture
def corpus(spoken_corpus: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(spoken_corpus, tmp_path / "corpus"))


def edit(corpus: Path, part: int, line: int, **changes: object) -> None:
    path = part_path(corpus, part) / "utterances.jsonl"
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    rows[line].update(changes)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_part_is_read_as_it_was_written(tmp_path: Path) -> None:
    claim(tmp_path, CorpusInfo("stories", "d", 1, 2))
    directory = part_path(tmp_path, 0)
    directory.mkdir(parents=True)
    written = [utterance(), utterance(id="b", audio=directory / "b.wav", phones=(Segment("N", 0.5, 0.6),))]
    save(directory / "b.wav", np.full(16_000, 0.1, np.float32))
    counts = write_part(directory, written, [{"id": "c", "reason": "silence"}])
    assert list(read_corpus(tmp_path)) == written
    assert (counts.num_utterances, counts.num_rejected, counts.seconds) == (2, 1, 2.0)
    assert validate_corpus(tmp_path).num_utterances == 2


def test_a_spoken_corpus_keeps_the_rules(spoken_corpus: Path) -> None:
    counts = validate_corpus(spoken_corpus)
    utterances = list(read_corpus(spoken_corpus))
    assert counts.num_utterances == len(utterances) == 8
    assert counts.seconds == pytest.approx(sum(u.seconds for u in utterances))
    for one in utterances:
        assert [word.text for word in one.words] == one.text.split()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"seconds": 0.0}, "a length of 0.0 s"),
        ({"seconds": float("nan")}, "a length of nan s"),
        ({"words": (Segment("Ben", 0.4, 0.1),)}, "the word 'Ben' lies at 0.4 to 0.1 s"),
        ({"words": (Segment("Ben", 0.8, 1.2),)}, "the word 'Ben' lies at 0.8 to 1.2 s"),
        ({"words": (Segment("Ben", 0.5, 0.9), Segment("naps.", 0.1, 0.4))}, "the word 'naps.' lies"),
        ({"phones": (Segment("B", -0.2, 0.1),)}, "the phone 'B' lies"),
    ],
)
def test_broken_rules_are_named(changes: dict[str, object], problem: str) -> None:
    assert problem_with(utterance()) is None
    assert problem in str(problem_with(utterance(**changes)))


def test_validation_names_the_utterances(corpus: Path) -> None:
    edit(corpus, 0, 1, seconds=3.0)
    edit(corpus, 1, 0, id="train-heard-0000000")
    (part_path(corpus, 2) / "train-heard-0000007.flac").write_bytes(b"fLaC")
    (part_path(corpus, 2) / "train-heard-0000006.flac").unlink()
    with pytest.raises(InputError, match="4 of 8 do not") as error:
        validate_corpus(corpus)
    for part in (
        "0000001: the word",
        "0000000: its id occurs twice",
        "0000006: its recording is missing",
    ):
        assert part in str(error.value)


def test_a_line_that_is_no_utterance_is_named(corpus: Path) -> None:
    edit(corpus, 1, 2, words=[["Ben", 0.1]])
    with pytest.raises(InputError, match=r"00001/utterances\.jsonl, line 3"):
        list(read_corpus(corpus))


def test_missing_parts_are_counted(corpus: Path) -> None:
    shutil.rmtree(part_path(corpus, 1))
    with pytest.raises(NotFoundError, match="1 of 3 are missing") as error:
        check_complete(corpus)
    assert "00001" in str(error.value) and "continues" in error.value.fix


def test_a_directory_holds_one_corpus(corpus: Path) -> None:
    info = read_info(corpus)
    claim(corpus, info)
    with pytest.raises(InputError, match="holds another corpus"):
        claim(corpus, replace(info, digest="other"))


def test_no_corpus_and_other_versions_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"corpus\.json"):
        list(read_corpus(tmp_path))
    (tmp_path / "corpus.json").write_text('{"version": 99}')
    with pytest.raises(InputError, match="version 1"):
        read_info(tmp_path)


def test_a_digest_depends_on_values_order_and_borders() -> None:
    rows = [("a", 1), ("b", 2)]
    digests = {digest_of(r) for r in (rows, rows[::-1], rows[:1], [("a", 1, "b", 2)], [("a", "1"), ("b", 2)], [])}
    assert len(digests) == 6 and digest_of(rows) == digest_of(iter([["a", 1], ["b", 2]]))
