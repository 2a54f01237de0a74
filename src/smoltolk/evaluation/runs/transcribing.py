"""Recognition and synthesis in a run: a record for each text, and what the records come to.

A record is a JSON object::

    {"id", "reference", "hypothesis", "word_errors", "words", "character_errors", "characters", "ended",
     "units": [..], "seconds": 0.1, "most": 40, "error": null}

``units`` are those that were heard or spoken, ``seconds`` the item's share of the time that its chunk took to generate,
``most`` the limit of ids. Of synthesis there are ``sound``, the wav file under the run, and ``recording``, that of the
text in its corpus, besides.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json, write_json
from smoltolk.common.progress import Bar
from smoltolk.common.seeds import derive
from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.evaluation.intervals import cluster_bootstrap
from smoltolk.evaluation.quality import TIMEOUT, measure_quality, needs_references
from smoltolk.evaluation.runs.records import Record, failures, why_none
from smoltolk.evaluation.runs.run_place import SOUNDS
from smoltolk.evaluation.runs.units_of import UnitSource
from smoltolk.evaluation.scoring import beyond_table
from smoltolk.evaluation.tasks.said_texts import RECOGNITION, SYNTHESIS, SaidText
from smoltolk.evaluation.transcription import most_tokens, say, write_down
from smoltolk.inference.generation import Generation, Sampling, to_text, to_units
from smoltolk.inference.speakers import Speaker, check_speaker, most_units, speak_units
from smoltolk.model.ids import IdSpace
from smoltolk.speech.audio import SAMPLE_RATE, load, save
from smoltolk.speech.recognition.error_rate import errors_in, normalise, rate_interval
from smoltolk.speech.recognition.recognisers import Recogniser

QUALITY = "quality.json"  # under a run
ABOUT = {
    RECOGNITION: "word errors of what the model writes when it listens",
    SYNTHESIS: "word errors of what a judge hears when the model speaks",
}


@dataclass(frozen=True, slots=True)
class Voice:
    """What synthesis takes besides a model.

    Attributes:
        speaker: units to sound.
        judge: writes down what it hears.
        out: the run; recordings go to a directory under it.
        seed: of vocoder and sampling.
        sampling: how units are drawn; None: the likeliest one at every step.
    """

    speaker: Speaker
    judge: Recogniser
    out: Path
    seed: int = 0
    sampling: Sampling | None = None


@dataclass(frozen=True, slots=True)
class Transcribing:
    """A model that writes what it hears, the likeliest id at every step, and speaks what it reads.

    Attributes:
        model: with the ``generate`` of transformers.
        tokenizer: of the text ids.
        space: its ids.
        units: what recordings become units by; None: all items have units, or none are heard.
        voice: for synthesis.
        bf16: generate in bfloat16 where autocast allows it.
    """

    model: Any
    tokenizer: Any
    space: IdSpace
    units: UnitSource | None = None
    voice: Voice | None = None
    bf16: bool = False

    def limit(self, name: str, items: Sequence[SaidText]) -> int:
        """Ids that any of all items of a task may take."""
        texts = [item.text for item in items]
        if name == RECOGNITION:
            return most_tokens(texts, self.tokenizer)
        return most_units(max(texts, key=len), self.space, self._voice.speaker.frame_rate)

    def recognise(self, items: Sequence[SaidText], most: int, progress: Bar | None = None) -> list[Record]:
        """A record for each item; recordings without units are told in them."""
        records = [_record(item) for item in items]
        heard = []
        for record, item, units in zip(records, items, self._units_of(items), strict=True):
            if record["error"] is None and isinstance(units, str):
                record["error"] = units
            elif record["error"] is None and not len(units):
                record["error"] = "a recording without a unit"
            if record["error"] is None:
                frames = np.asarray(units)
                record["error"] = beyond_table(self.model, len(recognition_prompt(self.space, frames)) + most)
                heard += [(record, item, frames)] if record["error"] is None else []
        start = time.perf_counter()
        with self._precision():
            made = write_down(self.model, [units for _, _, units in heard], self.space, max_new_tokens=most)
        seconds = (time.perf_counter() - start) / max(len(heard), 1)
        for (record, _, units), one in zip(heard, made, strict=True):
            _complete(record, to_text(one, self.tokenizer), one, units, seconds, most)
        if progress is not None:
            progress.advance(len(items))
        return records

    def speak(self, items: Sequence[SaidText], first: int, most: int, progress: Bar | None = None) -> list[Record]:
        """A record for each item, and a wav file.

        Args:
            items: to be spoken.
            first: number of the first of them in its task; wav files are named by number.
            most: limit of units or frames.
            progress: advanced by the items.
        """
        voice = self._voice
        check_speaker(self.space, voice.speaker)
        records = [_record(item) for item in items]
        for record, item in zip(records, items, strict=True):
            if record["error"] is None:
                prompt = synthesis_prompt(self.space, plain_ids(self.tokenizer, item.text))
                record["error"] = beyond_table(self.model, len(prompt) + most + self.space.tail)
        told = [place for place, record in enumerate(records) if record["error"] is None]
        texts = [items[place].text for place in told]
        start = time.perf_counter()
        with self._precision():
            made = say(
                self.model, texts, self.tokenizer, self.space, max_new_tokens=most, sampling=voice.sampling,
                seed=derive(voice.seed, "say", first) % 2**32,
            )  # fmt: skip
        seconds = (time.perf_counter() - start) / max(len(told), 1)
        units = [to_units(one, self.space) for one in made]
        waveforms = speak_units(units, voice.speaker, seed=voice.seed)
        heard = voice.judge.transcribe_batch(waveforms) if waveforms else []
        for number, place in enumerate(told):
            record, sound = records[place], items[place].sound
            _complete(record, heard[number], made[number], units[number], seconds, most)
            record["sound"] = f"{SOUNDS}/{first + place:06d}.wav"
            record["recording"] = None if sound is None else str(sound.path.absolute())
            save(voice.out / record["sound"], waveforms[number], SAMPLE_RATE)
        if progress is not None:
            progress.advance(len(items))
        return records

    @property
    def _voice(self) -> Voice:
        if self.voice is None:
            raise InputError("synthesis is spoken and heard", "no vocoder and no judge", "name a vocoder: --vocoder")
        return self.voice

    def _precision(self) -> torch.autocast:
        device = next(self.model.parameters()).device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bf16)

    def _units_of(self, items: Sequence[SaidText]) -> list[np.ndarray | str]:
        """Units of each item, or why there are none."""
        sounds = [item.sound for item in items if item.units is None and item.sound is not None]
        found = iter(self.units.of([(sound,) for sound in sounds]) if self.units is not None else [])
        units: list[np.ndarray | str] = []
        for item in items:
            if item.units is not None:
                units.append(item.units)
            elif item.sound is None:
                units.append("a text without a recording")
            else:
                one = next(found)
                units.append(one if isinstance(one, str) else one.units)
        return units


def transcription_results(
    name: str, records: Sequence[Record], seed: int, *, notes: Sequence[str] = (), judge: str | None = None
) -> dict[str, Any]:
    """Error rates with their intervals, how often no end came within the limit, units a second, failures.

    Errors are counted anew from the texts of the records. What failed is not among them, what came to no end is.

    Args:
        name: of the task.
        records: of all its items.
        seed: of the bootstrap over utterances.
        notes: for readers.
        judge: who listened.

    Raises:
        InputError: all failed.
    """
    reason = why_none(records)
    if reason is not None:
        raise InputError(f"an item of {name} must be scored", f"all failed: {reason}", "see the records of the run")
    done = [record for record in records if record["error"] is None]
    errors = [errors_in(record["reference"], record["hypothesis"]) for record in done]
    words, characters = np.array([[one.words, one.characters] for one in errors]).T
    word_errors, character_errors = np.array([[one.word_errors, one.character_errors] for one in errors]).T
    seconds = sum(record["seconds"] for record in done)
    found = {
        "about": ABOUT[name],
        "items": len(records),
        "scored": len(done),
        "failures": failures(records),
        "notes": list(notes),
        "normalisation": "words as they are said, lower case, without punctuation; jiwer",
        "wer": _rate(word_errors, words, seed),
        "cer": _rate(character_errors, characters, seed),
        "no_end": sum(not record["ended"] for record in done) / len(done),
        "most_ids": done[0]["most"],
        "units_per_second": sum(len(record["units"]) for record in done) / seconds if seconds else None,
    }
    return found if judge is None else {**found, "judge": judge}


def quality_results(
    run: Path, records: Sequence[Record], seed: int, command: str | None = None, timeout: float = TIMEOUT
) -> dict[str, Any] | None:
    """Means of what a command says of the wav files of a run; None without any.

    Its answers are kept beside the records, and the same command is not run again; without a command they are those
    of the last one.

    Args:
        run: the directory.
        records: of synthesis.
        seed: of the bootstrap over wav files.
        command, timeout: as for :func:`smoltolk.evaluation.quality.measure_quality`.

    Raises:
        InputError: as there, or fewer recordings of the texts than the command compares with.
    """
    place = run / QUALITY
    held = read_json(place) if place.is_file() else None
    if command is not None and (held is None or held["command"] != command):
        spoken = [record for record in records if record.get("sound")]
        paths = [(run / record["sound"]).absolute() for record in spoken]
        references = [Path(record["recording"]) for record in spoken if record["recording"]]
        rows = measure_quality(command, paths, references if needs_references(command) else (), timeout)
        files = [{"sound": record["sound"], "figures": row} for record, row in zip(spoken, rows, strict=True)]
        held = {"command": command, "files": files}
        write_json(place, held)
    if held is None:
        return None
    files = held["files"]
    sounds = [row["sound"] for row in files]
    names = sorted({name for row in files for name in row["figures"]})
    means = {name: _mean([row["figures"][name] for row in files], sounds, seed) for name in names}
    return {"command": held["command"], "means": means}


def heard_again(run: Path, records: Sequence[Record], judge: Recogniser) -> list[Record]:
    """Records of synthesis as another judge hears the stored wav files.

    Raises:
        NotFoundError: a wav file that is gone.
    """
    spoken = [record for record in records if record.get("sound")]
    heard = iter(judge.transcribe_batch([load(run / record["sound"]) for record in spoken]) if spoken else [])
    return [{**record, "hypothesis": next(heard)} if record.get("sound") else record for record in records]


def _record(item: SaidText) -> Record:
    error = None if normalise(item.text) else "a text without a word"
    return {"id": item.id, "reference": item.text, "error": error}


def _complete(record: Record, text: str, one: Generation, units: np.ndarray, seconds: float, most: int) -> None:
    record |= {"hypothesis": text, **asdict(errors_in(record["reference"], text))}
    record |= {"ended": one.ended, "units": units.tolist(), "seconds": seconds, "most": most}


def _rate(errors: np.ndarray, sizes: np.ndarray, seed: int) -> dict[str, Any]:
    """A rate; of a single utterance nothing is known of its spread."""
    low, high = rate_interval(errors, sizes, seed) if len(sizes) > 1 else (None, None)
    count = {"errors": int(errors.sum()), "of": int(sizes.sum())}
    return {"value": float(errors.sum() / sizes.sum()), "low": low, "high": high, "n": len(sizes), **count}


def _mean(values: Sequence[float], names: Sequence[str], seed: int) -> dict[str, Any]:
    if len(values) < 2:
        return {"value": values[0], "low": None, "high": None, "n": 1}
    return cluster_bootstrap(np.array(values), list(names), seed=seed).as_dict()
