"""What synthesis takes besides a model: a vocoder that speaks its units, and a judge who listens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.data.texts.reading import read_texts
from smoltolk.evaluation.runs.request import OFFLINE
from smoltolk.evaluation.runs.run_place import digest_of_texts, fingerprint_of_model
from smoltolk.evaluation.runs.transcribing import Voice
from smoltolk.inference.generation import Sampling
from smoltolk.inference.parts import load_sound_parts
from smoltolk.speech.recognition.recognisers import Recogniser, recogniser_named


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """How a voice is made.

    Attributes:
        model: whose units are spoken.
        units: directory of units; a codec of several codebooks speaks by itself.
        vocoder: directory; None: the codec among the units.
        judge: as for :func:`smoltolk.speech.recognition.recognisers.recogniser_named`.
        may_be_said: texts that pocketsphinx has its words from.
        seed: of vocoder and sampling.
        temperature: of sampling; 0: the likeliest unit at every step.
    """

    model: str
    units: Path | None
    vocoder: Path | None
    judge: str
    may_be_said: Sequence[str]
    seed: int = 0
    temperature: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """What decides how it sounds and what is heard."""
        place = self.units if self.vocoder is None else self.vocoder
        texts = digest_of_texts(self.may_be_said) if self.judge == OFFLINE else None
        voice = None if place is None else fingerprint_of_model(place)
        drawn = {"temperature": self.temperature} if self.temperature else {}
        return {"vocoder": voice, "judge": self.judge, "judge_texts": texts, "seed": self.seed, **drawn}

    def load(self, out: Path) -> Voice:
        """The voice.

        Args:
            out: the run.

        Raises:
            NotFoundError, InputError: parts that are not there or of other units, or nothing that speaks.
        """
        _, speaker = load_sound_parts(self.model, self.units if self.vocoder is None else None, self.vocoder)
        if speaker is None:
            raise InputError(
                "synthesis is spoken by a vocoder of the model's units, or by their codec",
                "no --vocoder" + ("" if self.units is None else f", and {self.units} does not speak"),
                "name the vocoder: --vocoder DIR",
            )
        sampling = Sampling(temperature=self.temperature) if self.temperature else None
        return Voice(speaker, listener(self.judge, self.may_be_said), out, self.seed, sampling)


def listener(judge: str, may_be_said: Sequence[str]) -> Recogniser:
    """A judge by name.

    Args:
        judge, may_be_said: as for :class:`VoiceSettings`.

    Raises:
        NotFoundError, InputError, MissingExtraError: no such judge.
    """
    return recogniser_named(judge, texts=may_be_said)


def texts_of(place: Path | None, spoken: Sequence[str]) -> list[str]:
    """Texts that may be said: those of a file, by default those that are spoken.

    Raises:
        NotFoundError, InputError: no such file, or no texts in it.
    """
    return list(spoken) if place is None else [row["text"] for row in read_texts(place)]
