"""Can a small model that hears and speaks be tuned, in minutes, to answer spoken questions in speech?

    python experiments/can_it_answer_spoken_questions.py QUICKSTART OUT

QUICKSTART is a run of ``smoltolk quickstart``: its late model, units, vocoder and world. Of every fact there is a
question ("Where does Anna Taylor live?") and the world's own sentence as the answer ("Anna Taylor lives in Boston."),
both spoken by espeak-ng. Four fifths of the people are learned from, once as a LoRA and once in the weights; the others
are asked about: their answers are spoken by the vocoder and written down by pocketsphinx. Then two kinds of preferences
are learned (DPO), each asked about by pairs of those who are held out: right answers rather than wrong ones, which
nothing but knowing them tells apart, and another way to say the same ("Anna Taylor comes from Boston."). Text is
measured throughout.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.files import read_json, write_json, write_jsonl
from smoltolk.common.rejection import Rejected
from smoltolk.common.seeds import generator
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.data.corpora.speak import speak
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.data.rows.turns import Turn, answer_prompt
from smoltolk.data.world.lexicon import ATTRIBUTES
from smoltolk.data.world.stories import World
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.inference.generation import generate, to_units
from smoltolk.inference.parts import load_model
from smoltolk.inference.speakers import speak_units
from smoltolk.model.ids import IdSpace
from smoltolk.speech.recognition.recognisers import error_rate, normalise, transcribe_all
from smoltolk.speech.synthesis.espeak_synthesis import Voice
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.vocoders.kinds import load_vocoder
from smoltolk.training.tuning.dialogues import read_dialogues
from smoltolk.training.tuning.encoding import Encoded, Recordings, encode_dialogues
from smoltolk.training.tuning.prefer_job import PreferJob
from smoltolk.training.tuning.preference_scores import preference_accuracy
from smoltolk.training.tuning.settings import Amount, LoraSettings, Preference
from smoltolk.training.tuning.tune_job import TuneJob

QUESTIONS = {
    "food": "What does {who} eat?",
    "hobby": "What does {who} enjoy?",
    "pet": "Which pet does {who} have?",
    "town": "Where does {who} live?",
}


@dataclass(frozen=True)
class Sizes:
    """How much is asked and learned.

    Attributes:
        voices: that each question of those who are learned from is asked in.
        out_of: every n-th person is held out.
        most: held-out questions asked; None: all.
        amount: of tuning; its rate is of the weights, that of the LoRA its own.
        lora_rate: peak rate of the LoRA.
        pairs: how much is learned of right answers and wrong ones.
        style: how much is learned of another way to answer.
        styled: every n-th who is learned from is asked for that.
        text: share of rows that are stories to be read, which keep the text.
        stories: of text, held out, for its likelihood.
        judged: stories from which the judge knows its words.
    """

    voices: int = 2
    out_of: int = 5
    most: int | None = None
    amount: Amount = field(default_factory=lambda: Amount(epochs=8, learning_rate=1e-3, rows_per_step=4))
    lora_rate: float = 5e-3
    pairs: Amount = field(default_factory=lambda: Amount(epochs=1, rows_per_step=16, learning_rate=1e-4))
    style: Amount = field(default_factory=lambda: Amount(epochs=3, rows_per_step=16, learning_rate=3e-4))
    styled: int = 4
    text: float = 0.25
    stories: int = 200
    judged: int = 2000


@dataclass(frozen=True)
class Parts:
    """What a quick start has made."""

    world: World
    model: Path
    units: Path
    vocoder: Path
    voices: Sequence[Voice]
    clear: Voice
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """A question about a fact.

    Attributes:
        id: of the fact.
        answers: all that it could be.
        wrong: a sentence with one of them.
        other: the right one said in another way.
    """

    id: str
    person: str
    heard: bool
    attribute: str
    question: str
    sentence: str
    answer: str
    answers: tuple[str, ...]
    wrong: str
    other: str


def questions(world: World, seed: int) -> list[Asked]:
    """One of every fact."""
    found = []
    for fact in world.facts:
        who = world.person(fact.person).name
        answers = sorted({other.answer for other in world.facts if other.attribute == fact.attribute})
        others = [answer for answer in answers if answer != fact.answer]
        wrong = others[int(generator(seed, "wrong", fact.id).integers(len(others)))]
        form, another = ATTRIBUTES[fact.attribute].forms[:2]
        right, worse = (form.format(who=who, answer=answer) for answer in (fact.answer, wrong))
        other = another.format(who=who, answer=fact.answer)
        question = QUESTIONS[fact.attribute].format(who=who)
        found.append(
            Asked(
                fact.id, fact.person, fact.heard, fact.attribute, question, right, fact.answer, tuple(answers), worse,
                other,
            )
        )  # fmt: skip
    return found


class Room:
    """The recordings and rows of the experiment, made once."""

    def __init__(self, parts: Parts, out: Path, sizes: Sizes):
        self.parts, self.out, self.sizes = parts, out, sizes
        asked = questions(parts.world, parts.seed)
        people = [person.id for person in parts.world.people]
        order = generator(parts.seed, "held-out people").permutation(len(people))
        held_out = {people[k] for k in order[:: sizes.out_of]}
        self.learned = [one for one in asked if one.person not in held_out]
        self.held_out = [one for one in asked if one.person in held_out][: sizes.most]
        self.styled = self.learned[:: sizes.styled]
        self.sounds = self._spoken(asked)
        others = [(f"{one.id}-other", one.other, parts.clear) for one in (*self.styled, *self.held_out)]
        speak(others, out / "other", source="answers said otherwise")
        self.sounds |= {one.id: one.audio for one in read_corpus(out / "other") if one.audio}

    def _spoken(self, asked: Sequence[Asked]) -> dict[str, Path]:
        voices, clear = self.parts.voices, self.parts.clear
        texts: list[tuple[str, str, Voice]] = []
        for number, one in enumerate(asked):
            texts += [
                (f"{one.id}-q{k}", one.question, voices[(number + 5 * k) % len(voices)])
                for k in range(self.sizes.voices)
            ]
            texts += [(f"{one.id}-right", one.sentence, clear), (f"{one.id}-wrong", one.wrong, clear)]
        speak(texts, self.out / "speech", source="questions and answers")
        return {utterance.id: utterance.audio for utterance in read_corpus(self.out / "speech") if utterance.audio}

    def rows(self) -> Path:
        """Spoken questions and answers, and stories to be read."""
        rows = [
            _row(self.sounds[f"{one.id}-q{k}"], self.sounds[f"{one.id}-right"])
            for one in self.learned
            for k in range(self.sizes.voices)
        ]
        number = round(self.sizes.text * len(rows))
        stories = (self.parts.world.story(k, heard_only=False).text for k in range(number))
        rows += [{"messages": [{"role": "assistant", "content": text}]} for text in stories]
        write_jsonl(self.out / "rows.jsonl", rows)
        return self.out / "rows.jsonl"

    def pairs(self, asked: Sequence[Asked], name: str, better: str = "right", worse: str = "wrong") -> Path:
        """Two answers to each question."""
        rows = [
            _row(self.sounds[f"{one.id}-q0"], self.sounds[f"{one.id}-{better}"])
            | {"rejected_response": "<audio>", "rejected_audios": [str(self.sounds[f"{one.id}-{worse}"])]}
            for one in asked
        ]
        write_jsonl(self.out / name, rows)
        return self.out / name


def _row(question: Path, answer: Path) -> dict[str, Any]:
    messages = [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "<audio>"}]
    return {"messages": messages, "audios": [str(question), str(answer)]}


class Examiner:
    """Asks a model what is held out: aloud, by pairs, and its text."""

    def __init__(self, room: Room):
        self.room = room
        self.tokenizer = load_unit_tokenizer(room.parts.units)
        self.vocoder = load_vocoder(room.parts.vocoder, self.tokenizer.fingerprint)
        wanted = [room.sounds[f"{one.id}-{which}"] for one in room.held_out for which in ("q0", "right")]
        self.units = Recordings(self.tokenizer).units_of(wanted, [])
        stories = (room.parts.world.story(k, heard_only=False) for k in range(room.sizes.judged))
        self.may_be_said = [sentence for story in stories for sentence in story.sentences]
        self.pairs = room.pairs(room.held_out, "held_out_pairs.jsonl")
        self.style = room.pairs(room.held_out, "held_out_style.jsonl", "other", "right")

    def heard(self, units: Sequence[np.ndarray]) -> list[str]:
        """What the judge hears in units that the vocoder says."""
        return transcribe_all(speak_units(units, self.vocoder, seed=self.room.parts.seed), self.may_be_said, workers=0)

    def limit(self) -> dict[str, Any]:
        """The figures of right answers as they were recorded: what vocoder and judge leave of them."""
        return self._figures([self.units[self.room.sounds[f"{one.id}-right"]] for one in self.room.held_out])

    def ask(self, folder: Path) -> dict[str, Any]:
        """All figures of a model."""
        model, _ = load_model(folder)
        space = model.config.id_space
        asked = [Turn(False, ((True, self.units[self.room.sounds[f"{one.id}-q0"]]),)) for one in self.room.held_out]
        prompts = [answer_prompt(space, [turn], in_speech=True) for turn in asked]
        made = generate(model, prompts, end_id=space.eos_speech, pad_id=space.eos_text, max_new_tokens=80)
        figures = self._figures([to_units(one, space) for one in made])
        figures["ended"] = float(np.mean([one.ended for one in made]))
        return figures | self.scores(folder)

    def scores(self, folder: Path) -> dict[str, Any]:
        """What is known of a model without listening: which answers it prefers, and its text."""
        model, tokenizer = load_model(folder)
        space = model.config.id_space
        figures: dict[str, Any] = {}
        pairs = self._encoded(self.pairs, space, tokenizer)
        for kind, heard in (("heard", True), ("read", False)):
            some = [pair for pair, one in zip(pairs, self.room.held_out, strict=True) if one.heard == heard]
            figures[f"preference_{kind}"] = preference_accuracy(model, some).get("accuracy")
        style = preference_accuracy(model, self._encoded(self.style, space, tokenizer))
        figures["preference_style"] = style["accuracy_per_id"]
        stories = (self.room.parts.world.test_story(k, heard_only=False).text for k in range(self.room.sizes.stories))
        texts = [[space.eos_text, *plain_ids(tokenizer, text)] for text in stories]
        figures["text_nll"] = held_out_nll(model, texts, space, "text").nll
        return figures

    def _encoded(self, pairs: Path, space: IdSpace, tokenizer: Any) -> list[Encoded]:
        rejected: list[Rejected] = []
        dialogues = read_dialogues(pairs, rejected, preferences=True)
        units = Recordings(self.tokenizer).units_of([path for one in dialogues for path in one.recordings], rejected)
        return encode_dialogues(dialogues, space, tokenizer, units, rejected, longest=2048)

    def _figures(self, units: Sequence[np.ndarray]) -> dict[str, Any]:
        transcripts = self.heard(units)
        asked = self.room.held_out
        figures: dict[str, Any] = {"n": len(asked)}
        right, kind = [], []
        for one, transcript in zip(asked, transcripts, strict=True):
            words = set(normalise(transcript).split())
            named = {answer for answer in one.answers if normalise(answer) in words}
            right.append(named == {one.answer})
            kind.append(bool(named))
        heard = np.array([one.heard for one in asked])
        for name, chosen in (("heard", heard), ("read", ~heard)):
            figures[f"right_{name}"] = float(np.mean(np.array(right)[chosen])) if chosen.any() else None
        figures["right"], figures["names_an_answer"] = float(np.mean(right)), float(np.mean(kind))
        figures["chance"] = float(np.mean([1 / len(one.answers) for one in asked]))
        rate = error_rate([one.sentence for one in asked], transcripts)
        figures |= {"wer": rate.wer, "wer_low": rate.low, "wer_high": rate.high}
        figures["samples"] = [
            {"question": one.question, "right": one.sentence, "heard": text}
            for one, text in list(zip(asked, transcripts, strict=True))[:8]
        ]
        return figures


def measure(
    parts: Parts, out: Path, sizes: Sizes | None = None, ways: Sequence[str] = ("lora", "full")
) -> dict[str, Any]:
    """The whole experiment; what was trained before is not trained again.

    Args:
        parts: of a quick start.
        out: a directory; gets ``results.json``.
        sizes: how much.
        ways: ``lora``, ``full``, or both.
    """
    sizes = sizes or Sizes()
    room = Room(parts, out, sizes)
    examiner = Examiner(room)
    path, known = out / "results.json", {"sizes": json.loads(json.dumps(asdict(sizes)))}
    if path.is_file() and read_json(path)["sizes"] == known["sizes"]:
        known = read_json(path)

    def step(name: str, measured: Callable[[], dict[str, Any]]) -> None:
        """What was measured before is kept."""
        if name not in known:
            known[name] = measured()
            write_json(path, known)
        _show(name, known[name])

    step("limit", examiner.limit)
    step("before", lambda: examiner.ask(parts.model))
    rows, pairs = room.rows(), room.pairs(room.learned, "pairs.jsonl")
    styles = room.pairs(room.styled, "style.jsonl", "other", "right")
    learned = Preference(hold_out=0.0, answer_weight=0.2)
    for way in ways:
        lora = LoraSettings() if way == "lora" else None
        amount = sizes.amount if lora is None else replace(sizes.amount, learning_rate=sizes.lora_rate)
        given: dict[str, Any] = {"units": parts.units, "seed": parts.seed, "lora": lora}
        tuned, better = out / way, out / f"{way}-preferring"
        tuning = TuneJob(parts.model, rows, tuned, amount=amount, **given)
        step(tuned.name, lambda job=tuning: _timed(job) | examiner.ask(job.out))
        preferring = PreferJob(tuned, pairs, better, amount=sizes.pairs, preference=learned, **given)
        step(better.name, lambda job=preferring: _timed(job) | examiner.ask(job.out))
        styled = PreferJob(tuned, styles, out / f"{way}-style", amount=sizes.style, preference=learned, **given)
        step(styled.out.name, lambda job=styled: _timed(job) | examiner.scores(job.out))
    return {name: figures for name, figures in known.items() if name != "sizes"}


def _timed(job: TuneJob | PreferJob) -> dict[str, Any]:
    """Of the training alone, and the processor time of this process for it."""
    start = time.process_time()
    figures = job.figures or job.run()
    return {"training": figures, "processor_seconds": round(time.process_time() - start, 1)}


def _show(name: str, figures: dict[str, Any]) -> None:
    kept = {key: value for key, value in figures.items() if key not in ("samples", "training")}
    print(name, json.dumps({key: round(v, 3) if isinstance(v, float) else v for key, v in kept.items()}), flush=True)
    for sample in figures.get("samples", ())[:4]:
        print("   ", sample["question"], "->", sample["heard"], flush=True)


def main() -> None:
    """Of the command line."""
    from smoltolk.quickstart.settings import Settings

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("quickstart", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ways", default="lora,full")
    given = parser.parse_args()
    run = read_json(given.quickstart / "run.json")
    settings = Settings(given.quickstart, run["scale"], run["seed"])
    parts = Parts(
        settings.world, settings.model("late"), settings.units, settings.vocoder, settings.seen_voices,
        settings.vocoder_voice, settings.seed,
    )  # fmt: skip
    measure(parts, given.out, ways=given.ways.split(","))


if __name__ == "__main__":
    main()
