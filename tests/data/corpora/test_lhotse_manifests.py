"""Lhotse's manifests: supervisions and cuts become utterances; a bad line costs that line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.data.corpora.corpus import read_corpus, validate_corpus
from smoltolk.data.corpora.lhotse_corpora import collect_manifests
from smoltolk.data.corpora.lhotse_manifests import Manifests
from smoltolk.speech.audio import load, save
from smoltolk.speech.segments import Segment

RATE = 8_000


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Ten seconds, two channels: on the left second k has the level k/20, on the right there is silence."""
    import soundfile

    left = np.repeat(np.arange(10) / 20, RATE).astype(np.float32)
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.stack([left, np.zeros_like(left)], 1), RATE, subtype="FLOAT")
    return path


def recording(path: Path | str, **changes: Any) -> dict[str, Any]:
    row = {"id": "talk", "sources": [{"type": "file", "channels": [0, 1], "source": str(path)}], "sampling_rate": RATE}
    return {**row, "num_samples": 10 * RATE, "duration": 10.0, "channel_ids": [0, 1], **changes}


def supervision(**changes: Any) -> dict[str, Any]:
    row = {"id": "a", "recording_id": "talk", "start": 2.0, "duration": 3.0, "channel": 0, "text": "Hello  you."}
    return {**row, "language": "nl", "speaker": "anna", **changes}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(recordings, supervisions)``: the directory of the manifests."""

    def write(recordings: list[Any], supervisions: list[Any]) -> Path:
        directory = tmp_path / "manifests"
        directory.mkdir(exist_ok=True)
        for name, rows in (("recordings", recordings), ("supervisions", supervisions)):
            with gzip.open(directory / f"x_{name}_dev.jsonl.gz", "wt", encoding="utf-8") as file:
                file.writelines((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        return directory

    return write


def test_a_segment_with_its_channel_and_its_words(sound: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    words = [["hello", 2.5, 0.5, 0.9], ["", 3.0, 0.25, 0.5], ["you", 3.25, 1.0, 0.7]]
    both = supervision(id="b/c", start=9.0, duration=1.0, channel=[0, 1], alignment=None, speaker=None)
    manifests = write([recording(sound)], [supervision(alignment={"word": words, "phone": []}), both])
    counts = collect_manifests(manifests, tmp_path / "corpus", workers=0)
    assert (counts.num_utterances, counts.num_rejected, counts.seconds) == (2, 0, 4.0)
    assert validate_corpus(tmp_path / "corpus") == counts
    one, other = read_corpus(tmp_path / "corpus")
    assert (one.id, one.text, one.speaker, one.language, one.source) == ("a", "Hello you.", "anna", "nl", "manifests")
    assert one.words == (Segment("Hello", 0.5, 1.0), Segment("you.", 1.25, 2.25)) and one.confidences == (0.9, 0.7)
    assert one.audio is not None and other.audio is not None
    middle = load(one.audio)[8_000:40_000].reshape(4, 8_000).mean(1)  # half seconds from 2.5 s on
    assert middle == pytest.approx([0.1, 0.15, 0.15, 0.2], abs=2e-3)
    assert (other.id, other.speaker, other.words) == ("b_c", "talk", ())
    assert load(other.audio)[4_000:12_000].mean() == pytest.approx(0.45 / 2, abs=2e-3)  # the mean of both channels


def test_whatever_cannot_be_used_is_rejected(sound: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    save(tmp_path / "nan.flac", np.zeros(100, np.float32))
    (tmp_path / "nan.flac").write_bytes(b"fLaC no more")
    recordings = [
        recording(sound),
        "no json",
        recording(tmp_path / "gone.wav", id="gone"),
        recording(tmp_path / "nan.flac", id="broken"),
        recording(sound, id="command", sources=[{"type": "command", "channels": [0], "source": "sox"}]),
        recording(sound, id="fast", transforms=[{"name": "Speed", "kwargs": {"factor": 1.1}}]),
    ]
    expected = {
        "a-2": "'a' twice",
        "empty": "must have words",
        "untold": "must have words",
        "outside": "12 s of talk.wav, which lasts 10 s",
        "late": "'you.' lies at 1.5 to 3.5 s, outside",
        "disordered": "before the end of the one before it",
        "different": "'goodbye' where the text has 'hello you'",
        "channel": "for channel 7: none",
        "gone": "no file",
        "broken": "must be audio",
        "command": "for channel 0: command",
        "fast": "has transforms",
        "lost": "'nowhere' is not in x_recordings_dev",
        "x_supervisions_dev-line-17": "a JSON object",
        "x_supervisions_dev-line-18": "a JSON object",
        "timeless": "KeyError('duration')",
        "x_supervisions_dev-line-20": "KeyError('id')",
        "x_supervisions_dev-line-21": "x_supervisions_dev.jsonl.gz, line 21",
    }

    def word(*rows: tuple[str, float, float]) -> dict[str, Any]:
        return {"alignment": {"word": [list(row) for row in rows]}}

    supervisions = [
        supervision(),
        supervision(),
        supervision(id="b/c"),
        supervision(id="b_c"),
        supervision(id="empty", text=" "),
        supervision(id="untold", text=None),
        supervision(id="outside", duration=10.0),
        supervision(id="late", **word(("hello", 2.5, 0.5), ("you", 3.5, 2.0))),
        supervision(id="disordered", **word(("hello", 3.5, 0.5), ("you", 2.5, 0.5))),
        supervision(id="different", **word(("goodbye", 2.5, 0.5))),
        supervision(id="channel", channel=7),
        *(supervision(id=name, recording_id=name, start=0) for name in ("gone", "broken", "command", "fast")),
        supervision(id="lost", recording_id="nowhere"),
        '{"id": "torn", "rec',
        "[1]",
        {k: v for k, v in supervision(id="timeless").items() if k != "duration"},
        {k: v for k, v in supervision().items() if k != "id"},
        supervision(id="cut", text="hello \ud83d"),
    ]
    counts = collect_manifests(write(recordings, supervisions), tmp_path / "corpus", workers=0)
    assert (counts.num_utterances, counts.num_rejected) == (3, len(expected))
    assert [utterance.id for utterance in read_corpus(tmp_path / "corpus")] == ["a", "b_c", "b_c-2"]
    rows = [json.loads(line) for line in (tmp_path / "corpus" / "rejected.jsonl").read_text().splitlines()]
    assert {row["id"] for row in rows} == expected.keys()
    for row in rows:
        assert expected[row["id"]] in row["reason"], row


def test_cuts(sound: Path, tmp_path: Path) -> None:
    first = supervision(id="s", start=1.0, duration=1.0, alignment={"word": [["Hello", 1.0, 0.5], ["you.", 1.5, 0.5]]})
    del first["channel"]
    cut = {
        "id": "c",
        "start": 3.0,
        "duration": 4.0,
        "channel": 0,
        "type": "MonoCut",
        "recording": recording(sound.name),
    }
    rows = [
        {**cut, "supervisions": [first]},
        {"id": "mixed", "type": "MixedCut", "tracks": []},
        {**cut, "id": "odd", "supervisions": ["no object"]},
        {**cut, "id": "odder", "supervisions": {}, "recording": "talk"},
        {**cut, "id": "silent", "supervisions": []},
        # Libriheavy: the text with capitals and commas is kept apart
        {
            **cut,
            "supervisions": [supervision(id="t", start=0, text=None, custom={"texts": ["Quite, so.", "QUITE SO"]})],
        },
    ]
    path = tmp_path / "x_cuts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = collect_manifests(path, tmp_path / "corpus", workers=0, source="books")
    assert (counts.num_utterances, counts.num_rejected) == (2, 4)
    one, other = read_corpus(tmp_path / "corpus")
    assert one.words == (Segment("Hello", 0.0, 0.5), Segment("you.", 0.5, 1.0)) and one.source == "books"
    assert one.audio is not None and load(one.audio)[100:-100].mean() == pytest.approx(0.2, abs=2e-3)  # second 4 to 5
    assert other.text == "Quite, so."
    (upper,) = [i for i in Manifests(path, text_keys=("custom.texts.1",)) if i.id == "t"]
    assert upper.said().text == "QUITE SO"


def test_an_audio_root(sound: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    manifests = write([recording("talk.wav")], [supervision()])
    (item,) = Manifests(manifests, audio_root=tmp_path)
    assert item.audio == sound and len(item.sound()) == 3 * 16_000
    (elsewhere,) = Manifests(manifests)
    with pytest.raises(NotFoundError, match="no file"):
        elsewhere.sound()


def test_places_without_manifests(sound: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    manifests = write([recording(sound)], [supervision()])
    with pytest.raises(NotFoundError, match="none in"):
        Manifests(tmp_path)
    with pytest.raises(NotFoundError, match="no file"):
        Manifests(tmp_path / "x_cuts.jsonl")
    with pytest.raises(InputError, match="lhotse copy"):
        Manifests(sound)
    segments, recordings = (manifests / f"x_{name}_dev.jsonl.gz" for name in ("supervisions", "recordings"))
    (manifests / "plain.jsonl.gz").write_bytes(segments.read_bytes())
    with pytest.raises(InputError, match="holds supervisions"):
        Manifests(manifests / "plain.jsonl.gz")
    segments.write_bytes(segments.read_bytes()[:-20])
    with pytest.raises(InputError, match="whole file"):
        list(Manifests(segments))
    recordings.unlink()
    with pytest.raises(NotFoundError, match=r"no file .*x_recordings_dev"):
        Manifests(segments)


def test_lhotse_writes_what_is_read(sound: Path, tmp_path: Path) -> None:
    """The format is not ours: the real library writes it here."""
    lhotse = pytest.importorskip("lhotse")
    from lhotse.supervision import AlignmentItem

    held = lhotse.Recording.from_file(sound)
    said = lhotse.SupervisionSegment(
        "a", held.id, 2.0, 3.0, channel=0, text="Hello you.", speaker="anna",
        alignment={"word": [AlignmentItem("hello", 2.5, 0.5), AlignmentItem("you", 3.25, 1.0, 0.5)]},
    )  # fmt: skip
    lhotse.RecordingSet.from_recordings([held]).to_file(tmp_path / "recordings.jsonl.gz")
    lhotse.SupervisionSet.from_segments([said]).to_file(tmp_path / "supervisions.jsonl.gz")
    cut = lhotse.MonoCut("c", 1.0, 5.0, 0, [said.with_offset(-1.0)], recording=held)
    lhotse.CutSet.from_cuts([cut]).to_file(tmp_path / "cuts.jsonl.gz")
    (a,), (b,) = Manifests(tmp_path / "supervisions.jsonl.gz"), Manifests(tmp_path / "cuts.jsonl.gz")
    assert a.said() == b.said() and (a.start, a.seconds, a.channels) == (b.start, b.seconds, b.channels)
    assert a.said().words == (Segment("Hello", 0.5, 1.0), Segment("you.", 1.25, 2.25)) and a.channels == (0,)


@pytest.mark.parametrize("begin", [4.0, 1.0, 0.0])  # of the supervision, from the recording, the cut, and itself
def test_words_may_count_from_three_places(begin: float, sound: Path, tmp_path: Path) -> None:
    words = {"word": [["hello", begin + 0.25, 0.5], ["you", begin + 2.0, 1.0]]}
    row = supervision(start=1.0, alignment=words)
    cut = {"id": "c", "start": 3.0, "duration": 6.0, "channel": 0, "recording": recording(sound), "supervisions": [row]}
    (tmp_path / "cuts.jsonl").write_text(json.dumps({**cut, "type": "MonoCut"}) + "\n")
    (item,) = Manifests(tmp_path / "cuts.jsonl")
    assert item.start == 4.0
    assert item.said().words == (Segment("Hello", 0.25, 0.75), Segment("you.", 2.0, 3.0))
