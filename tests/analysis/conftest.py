"""Shards whose units tell which word is said, by several speakers, and a random model of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from smoltolk.analysis.material import Material
from smoltolk.common.seeds import generator
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, UnitCorpus, UnitUtterance, read_shards
from smoltolk.data.world.stories import World
from smoltolk.evaluation.questions import SpokenCloze, option_texts, spoken_clozes
from smoltolk.model.ids import IdSpace
from smoltolk.speech.segments import Segment

FRAME_RATE, NUM_UNITS = 25.0, 12


def say(name: str, text: str, speaker: str) -> UnitUtterance:
    """Two to five units a word, the same for the same word but for their durations, and a pause before some words."""
    rng = generator(0, name)
    units, durations, words, frames = [11], [2], [], 2
    for word in text.split():
        if rng.random() < 0.2 and units[-1] != 11:
            units.append(11)
            durations.append(int(rng.integers(1, 5)))
            frames += durations[-1]
        start = frames
        own = generator(1, word.strip(".,").lower())
        for _ in range(int(own.integers(2, 6))):
            units.append((units[-1] % 11 + int(own.integers(1, 10))) % 11)
            if units[-1] == units[-2]:
                units[-1] = (units[-1] + 1) % 11
            durations.append(int(rng.integers(1, 4)))
            frames += durations[-1]
        words.append(Segment(word, start / FRAME_RATE, frames / FRAME_RATE))
    return UnitUtterance(
        id=name, text=text, words=tuple(words), units=np.array(units, np.uint16),
        durations=np.array(durations, np.uint16), speaker=speaker, language="en", source="test",
        seconds=frames / FRAME_RATE,
    )  # fmt: skip


def write(path: Path, utterances: Iterable[UnitUtterance]) -> Path:
    with ShardWriter(path, ShardMetadata(FRAME_RATE, "abc", NUM_UNITS)) as writer:
        for utterance in utterances:
            writer.add(utterance)
    return path.parent


@pytest.fixture(scope="session")
def spoken_shards(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 stories of six speakers. Read only."""
    path = tmp_path_factory.mktemp("analysis") / "part-00000.parquet"
    return write(path, (say(f"story-{k}", text, f"voice {k % 6}") for k, text in enumerate(words)))


@pytest.fixture(scope="session")
def units(spoken_shards: Path) -> UnitCorpus:
    return read_shards(spoken_shards)


@pytest.fixture(scope="session")
def material(units: UnitCorpus, tokenizer: PreTrainedTokenizerFast, space: IdSpace) -> Material:
    return Material(units, tokenizer, space, num_items=120, seed=0)


@pytest.fixture(scope="session")
def items(
    world: World, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> list[SpokenCloze]:
    """Questions with the units of their options."""
    clozes = world.story_clozes(12) + world.fact_clozes(12, heard=True) + world.fact_clozes(12, heard=False)
    folder = tmp_path_factory.mktemp("options")
    write(folder / "part.parquet", (say(name, text, "a") for name, text in option_texts(clozes)))
    return spoken_clozes(clozes, read_shards(folder), tokenizer)


@pytest.fixture(scope="session")
def speak() -> Callable[..., UnitUtterance]:
    """``speak(id, text, speaker)``."""
    return say


@pytest.fixture(scope="session")
def write_shards() -> Callable[..., Path]:
    """``write_shards(file, utterances)``: the directory."""
    return write
