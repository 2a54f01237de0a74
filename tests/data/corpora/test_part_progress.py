"""A long recording tells how far it is while it is aligned."""

import time
from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.progress import ProgressFile
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.part_progress import PartsProgress
from smoltolk.speech.alignment.sphinx_alignment import PocketsphinxAligner
from smoltolk.speech.audio import load


class Counted:
    """A bar that remembers."""

    def __init__(self) -> None:
        self.done, self.notes = 0.0, [""]

    def advance(self, count: float = 1) -> None:
        assert count > 0
        self.done += count

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_parts_add_up(tmp_path: Path) -> None:
    bar = Counted()
    with PartsProgress(bar) as progress:
        first, second = (ProgressFile(progress.file(part)) for part in (0, 1))
        first.report(2.5, "10 of 60 s")
        for _ in range(100):
            if bar.done:
                break
            time.sleep(0.05)
        assert bar.done == 2.5 and bar.notes[-1] == "10 of 60 s"
        second.report(1)
        progress.complete(1, 20)  # before the first, and more than its last report
        assert bar.done == 22.5
        progress.complete(0, 20)
    assert bar.done == 40


def test_windows_of_a_long_recording_are_reported(spoken_corpus: Path) -> None:
    pytest.importorskip("pocketsphinx")
    stories = [story for story in read_corpus(spoken_corpus) if story.audio is not None]
    waveforms = [load(story.audio) for story in stories if story.audio is not None]
    long, text = np.concatenate(waveforms), " ".join(story.text for story in stories)
    told: list[float] = []
    PocketsphinxAligner(phones=False).align_batch([waveforms[0], long], [stories[0].text, text], report=told.append)
    seconds = len(waveforms[0]) / 16_000
    assert told == sorted(told) and len(told) >= 4 and told[0] == 0 and told[1] == seconds
    assert seconds + len(long) / 16_000 - told[-1] < 60  # the last window is no longer than that
