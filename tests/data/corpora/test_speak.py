import errno
import json
import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import smoltolk.data.corpora.speak as module
from smoltolk.common.errors import InputError, WorkerError
from smoltolk.data.corpora.corpus import check_complete, read_corpus
from smoltolk.data.corpora.speak import speak
from smoltolk.speech.audio import load
from smoltolk.speech.synthesis.espeak_synthesis import Voice, espeak_available

pytestmark = pytest.mark.skipif(not espeak_available(), reason="needs the extra 'tts'")
Texts = list[tuple[str, str, Voice]]

# Kills itself in the middle of the second part, as a power cut would.
KILLED = """
import json, os, signal, sys
from smoltolk.data.corpora.speak import speak
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, Voice
texts = [(name, text, Voice(*voice)) for name, text, voice in json.loads(sys.stdin.read())]
spoken, whole = [], EspeakSynthesizer.speak
def until_killed(self, text, voice):
    spoken.append(text)
    if len(spoken) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, text, voice)
EspeakSynthesizer.speak = until_killed
speak(texts, sys.argv[1], source="stories", workers=0, utterances_per_part=3)
"""


def tree(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_words_lie_in_the_recording(spoken_texts: Texts, spoken_corpus: Path) -> None:
    for (name, text, voice), one in zip(spoken_texts, read_corpus(spoken_corpus), strict=True):
        assert (one.id, one.text, one.speaker, one.source, one.language) == (
            name, text, voice.name, "stories", "en",
        )  # fmt: skip
        assert one.audio is not None
        waveform = load(one.audio)
        assert len(waveform) / 16_000 == pytest.approx(one.seconds)
        assert [word.text for word in one.words] == text.split()
        loud = [abs(waveform[int(w.start * 16_000) : int(w.end * 16_000)]).max() for w in one.words]
        assert min(loud) > 0.005, "a word without sound"


def test_a_kill_and_other_workers_change_no_byte(spoken_texts: Texts, spoken_corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    texts = json.dumps([(n, t, (v.accent, v.variant, v.rate, v.pitch)) for n, t, v in spoken_texts])
    killed = subprocess.run([sys.executable, "-c", KILLED, str(out)], input=texts, text=True, stderr=subprocess.PIPE)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in (out / "parts").glob("[!.]*")] == ["00000"]
    assert len(list((out / "parts").glob(".tmp-*"))) == 1
    first = (out / "parts" / "00000").stat().st_mtime_ns
    counts = speak(spoken_texts, out, source="stories", workers=2, utterances_per_part=3)
    assert counts.num_utterances == 8
    assert (out / "parts" / "00000").stat().st_mtime_ns == first, "a finished part was spoken again"
    assert tree(out) == tree(spoken_corpus)


def test_a_second_run_speaks_nothing(spoken_texts: Texts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = speak(spoken_texts[:3], tmp_path, source="stories", workers=0)
    monkeypatch.setattr(module, "_speak_part", None)
    assert speak(spoken_texts[:3], tmp_path, source="stories", workers=0) == first


@pytest.mark.parametrize("change", ["text", "voice", "source", "size", "order"])
def test_another_corpus_is_refused(change: str, spoken_texts: Texts, tmp_path: Path) -> None:
    texts = spoken_texts[:2]
    speak(texts, tmp_path, source="stories", workers=0)
    before = tree(tmp_path)
    name, text, voice = texts[0]
    others = {
        "text": [(name, "Ben naps.", voice), texts[1]],
        "voice": [(name, text, texts[1][2]), texts[1]],
        "order": texts[::-1],
    }
    with pytest.raises(InputError, match="another corpus") as error:
        speak(
            others.get(change, texts),
            tmp_path,
            source="other" if change == "source" else "stories",
            workers=0,
            utterances_per_part=1 if change == "size" else 50,
        )
    assert "another directory" in error.value.fix
    assert tree(tmp_path) == before


def test_texts_that_cannot_be_spoken_are_listed(tmp_path: Path) -> None:
    voice = Voice("en-us", "f2", 170, 50)
    texts = [("a", "Ben naps.", voice), ("b", " ... ", voice), ("c", "Ben runs.", voice), ("d", "", voice)]
    counts = speak(texts, tmp_path, source="stories", workers=0, utterances_per_part=3)
    assert (counts.num_utterances, counts.num_rejected) == (2, 2)
    rejected = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rejected] == ["b", "d"] and all(row["reason"] for row in rejected)
    assert [one.id for one in read_corpus(tmp_path)] == ["a", "c"]


@pytest.mark.parametrize(("name", "message"), [("a/b", "file name"), ("..", "twice|file name"), ("", "file name")])
def test_ids_are_file_names(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        speak([(name, "Ben naps.", Voice("en-us", "f2", 170, 50))], tmp_path, source="s", workers=0)
    assert not list(tmp_path.iterdir())


def test_ids_are_unique(spoken_texts: Texts, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="twice"):
        speak([*spoken_texts, spoken_texts[0]], tmp_path, source="s", workers=0)


def test_a_full_disk_is_told_and_leaves_no_half_part(
    spoken_texts: Texts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Path] = []

    def save(path: Path, *rest: object) -> None:
        saved.append(path)
        if len(saved) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        module_save(path, *rest)

    module_save = module.save
    monkeypatch.setattr(module, "save", save)
    with pytest.raises(OSError, match="No space left"):
        speak(spoken_texts, tmp_path, source="stories", workers=0, utterances_per_part=2)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["00000"]
    with pytest.raises(FileNotFoundError, match="3 of 4 are missing"):
        check_complete(tmp_path)


def test_a_killed_worker_is_told_and_the_same_call_continues(
    spoken_texts: Texts, spoken_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killer:
        def advance(self, count: float = 1) -> None:
            for child in multiprocessing.active_children():
                child.kill()
                child.join()

    @contextmanager
    def killing_bar(*_: object) -> Iterator[Killer]:
        yield Killer()

    many = [(f"{lap}-{name}", text, voice) for lap in range(6) for name, text, voice in spoken_texts]
    with monkeypatch.context() as patch:
        patch.setattr(module, "bar", killing_bar)
        with pytest.raises(WorkerError, match="killed"):
            speak(many, tmp_path, source="stories", workers=1, utterances_per_part=8)
    assert (tmp_path / "parts" / "00000").is_dir()
    assert speak(many, tmp_path, source="stories", workers=0, utterances_per_part=8).num_utterances == 48
    assert not list(tmp_path.rglob(".tmp-*"))
