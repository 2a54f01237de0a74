"""Continuations to listen to: a prompt that is heard or read, and what a model says or writes after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.prompts import mixed_prompt
from smoltolk.inference.generation import generate, to_text, to_units
from smoltolk.inference.sampling import Sampling
from smoltolk.inference.speakers import Speaker, check_speaker, speak_units
from smoltolk.model.ids import IdSpace
from smoltolk.speech.audio import SAMPLE_RATE, num_samples, save
from smoltolk.speech.recognition.recognisers import transcribe_all

# mp3 plays in every browser and is small enough to lie inside a page.
_SUFFIX = ".mp3"


class Continued(Protocol):
    """A prompt as text and as units, and what truly comes behind it."""

    @property
    def id(self) -> str:
        """Part of the names of files."""

    @property
    def kind(self) -> str:
        """For the record."""

    @property
    def prompt_text(self) -> str:
        """As written."""

    @property
    def right_text(self) -> str:
        """What truly follows."""

    @property
    def prompt_tokens(self) -> np.ndarray:
        """int [n]."""

    @property
    def prompt_units(self) -> np.ndarray:
        """int [n], of several codebooks [n, Q]."""

    @property
    def prompt_seconds(self) -> float:
        """Where the prompt ends in its recording."""


def make_samples(
    model: Any,
    items: Sequence[Continued],
    tokenizer: Any,
    space: IdSpace,
    vocoder: Speaker,
    *,
    out_dir: Path | str,
    seed: int,
    system: str = "late",
    recordings: Mapping[str, np.ndarray] | None = None,
    judge_texts: Sequence[str] | None = None,
    directions: Sequence[str] = ("S->S", "T->S", "S->T"),
    sampling: Sampling | None = Sampling(),  # noqa: B008 - immutable
    max_units: int = 150,
    max_tokens: int = 40,
    workers: int | None = 0,
) -> list[dict[str, Any]]:
    """Continue the prompts of a few questions in each direction and write the sound to files.

    Args:
        model: with the ``generate`` of transformers.
        items: questions whose prompts are continued.
        tokenizer, space, vocoder: text ids, all ids, units to waveforms.
        out_dir: for the audio files, e.g. ``OUT/samples``.
        seed: of the sampling.
        system: name of the model.
        recordings: waveform at 16 kHz of the right option of each question, by its id, for the prompt's
            sound; without it the vocoder says the prompt's units.
        judge_texts: what may be said, so that a judge writes down what it hears; None: no transcripts.
        directions: which of ``S->S``, ``T->S``, ``S->T``, ``T->T``.
        sampling: None for the most likely id at every step.
        max_units, max_tokens: limits of a continuation; of several codebooks frames.
        workers: processes of the judge.

    Returns:
        One record for each item and direction, as ``results["samples"]`` takes them: ``system, id, kind,
        direction, prompt_text, right_text, prompt_audio, audio, text, transcribed, ended``; audio names are
        relative to the parent of ``out_dir``, None where nothing is heard.
    """
    space.check_tokenizer(tokenizer)
    check_speaker(space, vocoder)
    out_dir = Path(out_dir)
    records: list[dict[str, Any]] = []
    for direction in directions:
        listens, speaks = direction[0] == "S", direction[-1] == "S"
        made = generate(
            model,
            [_prompt(item, space, listens, speaks) for item in items],
            end_id=space.eos_speech if speaks else space.eos_text,
            pad_id=space.eos_text,
            max_new_tokens=max_units if speaks else max_tokens,
            sampling=sampling,
            seed=seed,
        )
        waveforms = speak_units([to_units(one, space) for one in made], vocoder, seed=seed) if speaks else []
        if not speaks:
            texts: list[str | None] = [to_text(one, tokenizer) for one in made]
        elif judge_texts is not None:
            texts = list(transcribe_all(waveforms, judge_texts, workers))
        else:
            texts = [None] * len(made)
        for number, item in enumerate(items):
            audio = None
            if speaks:
                audio = out_dir / f"{system}-{item.id}-{direction.replace('->', '2')}{_SUFFIX}"
                save(audio, waveforms[number])
            records.append(
                {
                    "system": system,
                    "id": item.id,
                    "kind": item.kind,
                    "direction": direction,
                    "prompt_text": item.prompt_text,
                    "right_text": item.right_text,
                    "prompt_audio": _name(_prompt_audio(item, recordings, vocoder, out_dir)) if listens else None,
                    "audio": _name(audio) if audio else None,
                    "text": texts[number],
                    "transcribed": speaks,
                    "ended": made[number].ended,
                }
            )
    return records


def _prompt(item: Continued, space: IdSpace, listens: bool, speaks: bool) -> Document:
    content = item.prompt_units if listens else item.prompt_tokens
    return mixed_prompt(space, [(listens, content)], continue_in_speech=speaks)


def _prompt_audio(
    item: Continued, recordings: Mapping[str, np.ndarray] | None, vocoder: Speaker, out_dir: Path
) -> Path:
    path = out_dir / f"prompt-{item.id}{_SUFFIX}"
    if not path.exists():
        if recordings is not None and item.id in recordings:
            waveform = recordings[item.id][: num_samples(item.prompt_seconds, SAMPLE_RATE)]
        else:
            waveform = speak_units([item.prompt_units], vocoder)[0]
        save(path, waveform)
    return path


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
