"""Whatever a file holds, its reader takes it or says in our own words what is wrong."""

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smoltolk.common.errors import SmolTolkError
from smoltolk.data.corpora.corpus import check_corpus, read_corpus, read_info
from smoltolk.data.corpora.lhotse_manifests import Manifests
from smoltolk.data.corpora.textgrid import read_textgrid, word_tier
from smoltolk.data.corpora.word_files import said_beside

few = settings(max_examples=150, deadline=None)
GRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n0\n1\n<exists>\n2\n'
    '"IntervalTier"\n"words"\n0\n1\n2\n0\n0.5\n"the"\n0.5\n1\n"dog"\n"TextTier"\n"points"\n0\n1\n1\n0.5\n"!"\n'
)
text = st.text(max_size=6) | st.sampled_from(["the", "New York", "\ud83d", "½", "", "9" * 5_000])
number = st.floats() | st.integers(-3, 3) | st.sampled_from([10**400, -(10**30), True])
KEYS = ["text", "word", "words", "segments", "start", "end", "score", "probability", "tokens", "id", "recording_id",
        "duration", "channel", "alignment", "sources", "channels", "type", "source", "supervisions", "recording",
        "transforms", "speaker", "language", "custom", "seconds", "audio", "phones"]  # fmt: skip
held: st.SearchStrategy[Any] = st.recursive(
    st.none() | text | number,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | text, inner, max_size=5),
    max_leaves=20,
)
SUPERVISION = {"id": "a", "recording_id": "r", "start": 0, "duration": 1, "channel": 0, "text": "one",
               "alignment": {"word": [["one", 0, 1, 0.5]]}, "custom": {"texts": ["One."]}}  # fmt: skip
RECORDING = {"id": "r", "sources": [{"type": "file", "channels": [0], "source": "a.wav"}], "sampling_rate": 16000}
UTTERANCE = {"id": "a", "text": "one", "speaker": "s", "language": "en", "source": "s", "audio": None, "seconds": 1.0,
             "words": [["one", 0, 1, 0.5]], "phones": []}  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, row: dict[str, Any]) -> Any:
    """A good object of which some parts, at any depth, are something else, or gone."""
    row = json.loads(json.dumps(row))
    for _ in range(draw(st.integers(0, 3))):
        place: Any = row
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.integers(0, 3)):
                place[key] = draw(held)
            else:
                del place[key]
            break
    return row


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """A good file of which bytes are cut, doubled or changed."""
    for _ in range(draw(st.integers(0, 4))):
        at, stop = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        content = (
            content[:at] + draw(st.sampled_from([b"", content[at:stop] * 2]) | st.binary(max_size=4)) + content[stop:]
        )
    return content


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


grid_words = st.sampled_from(
    ['"ooTextFile"', '"TextGrid"', '"IntervalTier"', '"TextTier"', '"words"', "<exists>", "<absent>", "0", "1", "2",
     "-1", "1e999", "0.5", "1e-999", '"', "!", "\n", "xmin =", "[1]:", '"a""b"', "nan", "4.7"]
)  # fmt: skip


@few
@given(content=broken(GRID.encode()) | st.lists(grid_words, max_size=30).map(lambda words: " ".join(words).encode()))
@example(content=b'"ooTextFile" "TextGrid" 0 1 <exists> 1e999')
@example(content=b"\xff\xfe\x00")
def test_textgrids(content: bytes, place: Path) -> None:
    path = place / "a.TextGrid"
    path.write_bytes(content)
    with suppress(SmolTolkError):
        tiers = read_textgrid(path)
        with suppress(SmolTolkError):
            word_tier(tiers, path)
        said_beside(place / "a.wav")
    path.unlink()


SEGMENTS = {"segments": [{"text": "one", "words": [{"word": "one", "start": 0, "end": 1}]}], "text": "one"}
in_json = (held | changed(SEGMENTS)).map(lambda value: json.dumps(value).encode())


@few
@given(content=in_json | broken(json.dumps([UTTERANCE, SUPERVISION]).encode()))
@example(content=b"[" * 100_000)
@example(content=b'{"text": "\\ud83d"}')
def test_words_in_json(content: bytes, place: Path) -> None:
    (place / "b.json").write_bytes(content)
    with suppress(SmolTolkError):
        said = said_beside(place / "b.wav")
        said.text.encode()
        assert said.text and len(said.words) in (0, len(said.text.split()))


@few
@given(
    recordings=st.lists(changed(RECORDING) | held, max_size=3),
    rows=st.lists(changed(SUPERVISION) | held, max_size=4),
    cut=st.binary(max_size=3),
    packed=st.booleans(),
)
def test_manifests(recordings: list[Any], rows: list[Any], cut: bytes, packed: bool, place: Path) -> None:
    ending = ".jsonl.gz" if packed else ".jsonl"
    for name, lines in (("recordings", recordings), ("supervisions", rows)):
        content = "".join(json.dumps(line) + "\n" for line in lines).encode() + cut
        (place / f"{name}{ending}").write_bytes(gzip.compress(content) if packed else content)
    cuts = [{"id": "c", "start": 0, "duration": 1, "recording": one, "supervisions": rows} for one in recordings]
    (place / f"cuts{ending}").write_bytes(
        gzip.compress(json.dumps(cuts).encode()) if packed else "".join(json.dumps(c) + "\n" for c in cuts).encode()
    )
    for name in ("supervisions", "cuts"):
        with suppress(SmolTolkError):
            for item in Manifests(place / f"{name}{ending}"):
                assert item.id and item.identity()[0] == item.id
                json.dumps(item.names).encode()
                with suppress(SmolTolkError):
                    item.said().text.encode()
                with suppress(SmolTolkError):
                    item.sound()


@few
@given(rows=st.lists(changed(UTTERANCE) | held, max_size=3), info=held, cut=st.binary(max_size=3))
def test_corpora(rows: list[Any], info: Any, cut: bytes, place: Path) -> None:
    corpus = place / "corpus"
    (corpus / "parts" / "00000").mkdir(parents=True, exist_ok=True)
    good = {"source": "s", "digest": "0", "num_parts": 1, "num_utterances": 1, "version": 1}
    (corpus / "corpus.json").write_text(json.dumps({**good, **info} if isinstance(info, dict) else good))
    content = "".join(json.dumps(row) + "\n" for row in rows).encode() + cut
    (corpus / "parts" / "00000" / "utterances.jsonl").write_bytes(content)
    (corpus / "parts" / "00000" / "part.json").write_text('{"num_utterances": 1, "num_rejected": 0, "seconds": 1.0}')
    for read in (read_info, lambda c: list(read_corpus(c)), lambda c: list(check_corpus(c))):
        with suppress(SmolTolkError):
            read(corpus)
