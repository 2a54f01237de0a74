"""Small sets as the loaders of the tasks read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.common.progress import bar
from smoltolk.data.world.stories import World
from smoltolk.evaluation.sets.speaking import BACKGROUNDS, Speaking, background, in_mood, in_room, is_female
from smoltolk.evaluation.sets.writing import SetSizes, num_sets, write_sets
from smoltolk.evaluation.tasks.items import check_items
from smoltolk.evaluation.tasks.names import TASKS
from smoltolk.evaluation.tasks.said_texts import load_said_texts
from smoltolk.evaluation.tasks.salmon import PARTS
from smoltolk.evaluation.tasks.spoken_answers import ANSWERS, load_questions
from smoltolk.evaluation.tasks.task import Source
from smoltolk.speech.audio import SAMPLE_RATE, load
from smoltolk.speech.synthesis.espeak_synthesis import Voice, espeak_available, voices

SIZES = SetSizes(items=4, voices=3)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    folder = tmp_path_factory.mktemp("sets")
    with bar("sets", 13) as progress:
        made = write_sets(folder, folder, World(0, 12), SIZES, progress)
    assert made["recordings"] > 100
    return folder


def folder_of(root: Path, names: tuple[str, ...]) -> Path:
    return next(root / name for name in names if (root / name).exists())


def test_every_task_reads_its_set(sets: Path) -> None:
    counts = {"swuggy": 8, "sblimp": 8, "ssc": 16, "tsc": 16, "shellaswag": 16, "choices": 8}
    for name, count in counts.items():
        task = TASKS[name]
        loaded = task.load(Source(folder_of(sets, task.folders)))
        check_items(loaded.items, name)
        assert len(loaded.items) == count and not loaded.notes
    salmon = TASKS["salmon"].load(Source(sets / "SALMon"))
    parts = {item.cell for item in salmon.items}
    assert set(PARTS) - parts <= {"gender_consistency"} and len(salmon.items) == 2 * len(parts)
    for name in ("llama-questions", "web-questions", "trivia-qa"):
        questions = load_questions(name, Source(folder_of(sets, ANSWERS[name].folders)))
        assert len(questions) == 4 and all(len(question.references) == 1 for question in questions)
    for name, place in (("recognition", "recognition"), ("synthesis", "synthesis.txt")):
        assert len(load_said_texts(name, Source(sets / place)).items) == 4
    assert "questions.jsonl" in (sets / "text" / "world.yaml").read_text()


def test_copies_and_other_layouts(sets: Path) -> None:
    hub = sets / "hub"
    for name, place in (("swuggy", "sWUGGY"), ("sblimp", "sBLIMP"), ("ssc", "sStoryCloze"), ("tsc", "tStoryCloze"),
                        ("tsc", "multispeaker"), ("tsc", "flat")):  # fmt: skip
        items = TASKS[name].load(Source(hub / place)).items
        check_items(items, place)
        assert len([item for item in items if item.cell != "T->T"]) == 2
    spoken = TASKS["tsc"].load(Source(hub / "table", speaks=True)).items
    assert len(spoken) == 16


def test_salmon_changes_what_it_says_and_nothing_else(sets: Path) -> None:
    for part in sorted((sets / "SALMon").iterdir()):
        for first in sorted(part.glob("*_0.wav")):
            one, other = load(first), load(first.with_name(first.name.replace("_0.wav", "_1.wav")))
            assert len(one) > SAMPLE_RATE and not np.array_equal(one, other)
            if part.name.startswith(("bg_all", "bg_domain", "rir", "speaker")):  # they begin alike
                assert np.allclose(one[: SAMPLE_RATE // 2], other[: SAMPLE_RATE // 2], atol=2e-2)


def test_the_same_seed_gives_the_same_recordings(sets: Path, tmp_path: Path) -> None:
    with bar("sets", 13) as progress:
        write_sets(tmp_path, sets, World(0, 12), SIZES, progress)
    for path in sorted(sets.rglob("*")):
        if path.suffix in (".wav", ".csv", ".jsonl", ".txt", ".yaml"):
            again = tmp_path / path.relative_to(sets)
            assert again.read_bytes() == path.read_bytes(), path


def test_sounds_and_voices() -> None:
    for name in BACKGROUNDS:
        sound = background(name, SAMPLE_RATE, 1)
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(0.03, rel=1e-3)
        assert np.array_equal(sound, background(name, SAMPLE_RATE, 1))
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[0] = 0.5
    near, far = (np.abs(in_room(click, seconds, 0)[SAMPLE_RATE // 5 :]).sum() for seconds in (0.1, 0.8))
    assert near < 1e-9 < far
    lively, sad = (in_mood(Voice(), mood) for mood in ("lively", "sad"))
    assert lively.rate > Voice().rate > sad.rate and lively.pitch > sad.pitch
    assert {is_female(voice) for voice in voices(16, 0, "seen")} == {True, False}
    assert num_sets() == 13
    with pytest.raises(InputError, match="two voices"):
        SetSizes(voices=1)
    assert Speaking(voices(2, 0, "seen")).voice(5) == voices(2, 0, "seen")[1]
