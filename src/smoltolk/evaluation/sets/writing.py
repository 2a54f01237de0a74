"""Small sets of every task of ``smoltolk evaluate``, made of a story world and spoken, in the layouts of the originals.

::

    DIR/sLM21-dataset/{lexical,syntactic}/dev   sWUGGY and sBLIMP
    DIR/sSC, DIR/tSC                            StoryCloze in parts: every direction
    DIR/sHellaSwag                              one of four endings
    DIR/SALMon/PART                             voices, rooms, backgrounds, moods
    DIR/llama-questions, ..                     sentences to be finished, with the answer
    DIR/choices                                 choices of one's own, with mirror images
    DIR/recognition                             a corpus: heard and written down; read and spoken
    DIR/text                                    a task file of lm-evaluation-harness
    DIR/hub/..                                  the same as copies on the hub and other layouts have it
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_jsonl, write_text
from smoltolk.common.progress import Bar
from smoltolk.common.stopping import check
from smoltolk.data.corpora.speak import speak
from smoltolk.data.world.stories import World
from smoltolk.evaluation.sets import layouts, texts
from smoltolk.evaluation.sets.salmon import Salmon
from smoltolk.evaluation.sets.speaking import Speaking
from smoltolk.speech.synthesis.espeak_synthesis import voices

NAMES = (
    "swuggy", "sblimp", "ssc", "tsc", "shellaswag", "salmon", "choices", "llama-questions", "web-questions",
    "trivia-qa", "recognition", "synthesis", "text/world",
)  # fmt: skip
_VOICES_A_PAIR = 2  # of sWUGGY and sBLIMP, the originals have four


@dataclass(frozen=True, slots=True)
class SetSizes:
    """How much is made.

    Attributes:
        items: of each task; of each part of SALMon half as many.
        voices: that speak, two at least.
        seed: of the choice of words, voices and sounds.
    """

    items: int = 40
    voices: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.items < 4 or self.voices < 2:
            found = f"{self.items} items, {self.voices} voices"
            raise InputError("sets have four items and two voices at least", found, "ask for more")


def write_sets(folder: Path, place: Path, world: World, sizes: SetSizes, progress: Bar) -> dict[str, Any]:
    """Write all sets.

    Args:
        folder: an existing directory, not yet in its place.
        place: where it will lie; a task file of the harness names its questions by it.
        world: whose people and facts are asked for.
        sizes: how much.
        progress: advanced by one for each set.

    Returns:
        How many recordings there are, and how many hours.

    Raises:
        InputError: more items than the world has.
        MissingExtraError: the synthesizer is not installed.
    """
    speaking = Speaking(voices(sizes.voices, sizes.seed, "seen"))
    for _, write in _writers(folder, place, world, sizes, speaking):
        check()
        write()
        progress.advance()
    return {"recordings": speaking.num_spoken, "hours": round(speaking.seconds / 3600, 2)}


def num_sets() -> int:
    """How many steps the bar has."""
    return 13


def _writers(
    folder: Path, place: Path, world: World, sizes: SetSizes, speaking: Speaking
) -> list[tuple[str, Callable[[], Any]]]:
    items, seed = sizes.items, sizes.seed
    topics, stories = texts.topic_choices(world, items), texts.story_choices(world, items)
    words, sentences = texts.word_pairs(world, items, seed), texts.sentence_pairs(world, items, seed)
    four = texts.four_choices(world, items, seed)
    heard, read = (texts.facts_asked(world, items, seed, heard=heard) for heard in (True, False))
    official, hub = folder / "sLM21-dataset", folder / "hub"

    def pairs_of(choices: list[texts.Choice]) -> list[tuple[str, str]]:
        return [(f"{one.prompt} {one.endings[0]}", f"{one.prompt} {one.endings[1]}") for one in choices[: items // 2]]

    def copies() -> None:
        """As Parquet with columns of recordings, each pair in one voice."""
        half = items // 2
        for name, pairs in (
            ("sWUGGY", [(one.right, one.wrong) for one in words[:half]]),
            ("sBLIMP", [(one.right, one.wrong) for one in sentences[:half]]),
            ("sStoryCloze", pairs_of(stories)),
            ("tStoryCloze", pairs_of(topics)),
        ):
            layouts.write_pairs(hub / name / "train.parquet", ("positive", "negative"), pairs, speaking)

        other_layouts()

    def other_layouts() -> None:
        layouts.write_flat(hub / "flat", topics[: items // 2], speaking)
        layouts.write_table(hub / "table" / "topic.csv", topics)
        layouts.write_pairs(
            hub / "multispeaker" / "test.parquet", ("correct_audio", "negative_audio"), pairs_of(topics), speaking,
            ("correct_text", "negative_text"),
        )  # fmt: skip

    def questions(name: str, column: str, asked: list[texts.Asked], lists: bool) -> None:
        layouts.write_questions(folder / name / "test.parquet", column, asked, speaking, lists=lists)

    def said() -> None:
        spoken = [(f"said-{n:05d}", text, speaking.voice(n)) for n, text in enumerate(texts.sentences(world, items))]
        counts = speak(spoken, folder / "recognition", source="world", workers=0)
        write_text(folder / "synthesis.txt", "".join(f"{text}\n" for _, text, _ in spoken))
        speaking.count(counts.seconds, counts.num_utterances)

    lexical, syntactic = official / "lexical" / "dev", official / "syntactic" / "dev"
    return [
        ("swuggy", lambda: layouts.write_lexical(lexical, words, speaking, _VOICES_A_PAIR)),
        ("sblimp", lambda: layouts.write_syntactic(syntactic, sentences, speaking, _VOICES_A_PAIR)),
        ("ssc", lambda: layouts.write_parts(folder / "sSC", stories, speaking)),
        ("tsc", lambda: layouts.write_parts(folder / "tSC", topics, speaking)),
        ("shellaswag", lambda: layouts.write_hellaswag(folder / "sHellaSwag", four, speaking)),
        ("salmon", lambda: Salmon(world, speaking, seed).write(folder / "SALMon", items // 2)),
        ("choices", lambda: layouts.write_choices(
            folder / "choices", texts.fact_choices(world, items, heard=False), speaking)),
        ("llama-questions", lambda: questions("llama-questions", "Answer", heard, False)),
        ("web-questions", lambda: questions("speech-web-questions", "answers", read, True)),
        ("trivia-qa", lambda: questions(
            "speech-triavia-qa", "answer", texts.feelings_asked(world, items), True)),
        ("recognition", said),
        ("text", lambda: write_harness_task(folder / "text", place / "text", texts.fact_choices(
            world, items, heard=False))),
        ("hub", copies),
    ]  # fmt: skip


def write_harness_task(folder: Path, place: Path, choices: list[texts.Choice]) -> None:
    """Facts as a multiple choice of lm-evaluation-harness, ``text/world``.

    Args:
        folder: of the files.
        place: where they will lie.
        choices: asked.
    """
    rows = [{"question": one.prompt, "choices": list(one.endings), "answer": one.right} for one in choices]
    write_jsonl(folder / "questions.jsonl", rows)
    questions = json.dumps(str(place.absolute() / "questions.jsonl"))
    write_text(
        folder / "world.yaml",
        f"task: world\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {questions}\ntest_split: test\n"
        'output_type: multiple_choice\ndoc_to_text: "{{question}}"\ndoc_to_choice: "{{choices}}"\n'
        "doc_to_target: answer\nmetric_list:\n  - metric: acc\n  - metric: acc_norm\n",
    )
