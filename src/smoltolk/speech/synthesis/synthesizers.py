"""Synthesizers by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError
from smoltolk.speech.alignment.aligners import aligner_named
from smoltolk.speech.synthesis.spoken import Synthesizer


def synthesizer_named(
    name: str,
    *,
    aligner: str = "pocketsphinx",
    language: str = "en",
    speakers: Path | str | None = None,
    vocoder: str | None = None,
    device: str | None = None,
) -> Synthesizer[Any]:
    """A synthesizer.

    Args:
        name: ``"espeak"``, ``"flite"`` (both English, with times of words and phones of their own), or hub id or
            directory of a text-to-speech model of transformers.
        aligner: what finds the words in a model's speech, see :func:`smoltolk.speech.alignment.aligners.aligner_named`;
            pocketsphinx finds phones too.
        language: of the texts, ISO 639-1.
        speakers, vocoder, device: see :class:`smoltolk.speech.synthesis.tts.ModelSynthesizer`; for models only.

    Raises:
        MissingExtraError: what it needs is not installed.
        NotFoundError, InputError: no such model, its parts do not fit, or another language than English for the first
            two.
    """
    if name in ("espeak", "flite"):
        if language != "en":
            fix = "name a text-to-speech model of this language"
            raise InputError(f"{name} speaks English here", f"language {language!r}", fix)
        if speakers is not None or vocoder is not None:
            raise InputError(f"{name} has voices of its own", "speakers or a vocoder", "leave them out")
        if name == "espeak":
            from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer

            return EspeakSynthesizer()
        from smoltolk.speech.synthesis.flite import FliteSynthesizer

        return FliteSynthesizer()
    from smoltolk.speech.synthesis.tts import ModelSynthesizer  # loads transformers

    found = aligner_named(aligner, phones=aligner == "pocketsphinx", language=language, device=device)
    return ModelSynthesizer(name, found, language=language, speakers=speakers, vocoder=vocoder, device=device)
