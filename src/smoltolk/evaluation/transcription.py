"""Word error rates: what the model writes when it listens, and what a judge hears when the model speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_jsonl
from smoltolk.common.progress import Bar
from smoltolk.data.rows.documents import recognition_prompt, synthesis_prompt
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.inference.generation import Generation, Sampling, generate, to_text, to_units
from smoltolk.inference.speakers import Speaker, check_speaker, most_units, speak_units
from smoltolk.model.ids import IdSpace
from smoltolk.speech.recognition.recognisers import ErrorRate, Recogniser, error_rate, transcribe_all


@dataclass(frozen=True, slots=True)
class Transcribed:
    """An error rate and what it was computed from.

    Attributes:
        error: WER with its interval, CER, counts.
        failure_rate: share of generations that did not end within the limit (they are scored all the same).
        references, hypotheses: texts, in order.
        units: what the model said, [n] or [n, Q] each (synthesis only).
        waveforms: the same at 16 kHz (synthesis only).
    """

    error: ErrorRate
    failure_rate: float
    references: list[str]
    hypotheses: list[str]
    units: list[np.ndarray] = field(default_factory=list)
    waveforms: list[np.ndarray] = field(default_factory=list)

    def as_dict(self, task: str) -> dict[str, float]:
        """Figures for results.json, each key beginning with ``task`` (``recognition`` or ``synthesis``)."""
        return {
            f"{task}_wer": self.error.wer,
            f"{task}_wer_low": self.error.low,
            f"{task}_wer_high": self.error.high,
            f"{task}_cer": self.error.cer,
            f"{task}_failures": self.failure_rate,
            f"{task}_utterances": self.error.num_utterances,
        }


def recognition(
    model: Any,
    utterances: Sequence[tuple[np.ndarray, str]],
    tokenizer: Any,
    space: IdSpace,
    *,
    max_new_tokens: int | None = None,
    batch_size: int = 64,
    progress: Bar | None = None,
    log_path: Path | str | None = None,
) -> Transcribed:
    """Write what is said (greedily) and count word errors.

    Args:
        model: with the ``generate`` of transformers.
        utterances: ``(units [n] from 0, of several codebooks frames [n, Q], and the text)`` each.
        tokenizer: of the text ids.
        space: the model's id space.
        max_new_tokens: default: twice the longest text, and eight.
        batch_size, progress: as for :func:`smoltolk.inference.generation.generate`.
        log_path: JSON lines: reference, hypothesis, whether it ended.
    """
    references = [text for _, text in utterances]
    _check(references)
    space.check_tokenizer(tokenizer)
    most = max_new_tokens or most_tokens(references, tokenizer)
    heard = [units for units, _ in utterances]
    made = write_down(model, heard, space, max_new_tokens=most, batch_size=batch_size, progress=progress)
    hypotheses = [to_text(one, tokenizer) for one in made]
    _log(log_path, references, hypotheses, made)
    return Transcribed(error_rate(references, hypotheses), _failures(made), references, hypotheses)


def synthesis(
    model: Any,
    texts: Sequence[str],
    tokenizer: Any,
    space: IdSpace,
    vocoder: Speaker,
    *,
    judge_texts: Sequence[str] | None = None,
    judge: Recogniser | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    max_new_tokens: int | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    progress: Bar | None = None,
    log_path: Path | str | None = None,
) -> Transcribed:
    """Say texts, have a judge write them down, and count word errors.

    Args:
        model: with the ``generate`` of transformers.
        texts: what to say.
        tokenizer: of the text ids.
        space: the model's id space.
        vocoder: units to waveforms; of several codebooks their codec.
        judge_texts: what the judge thinks may be said, for its vocabulary; default ``texts``.
        judge: who listens; default: pocketsphinx, which knows ``judge_texts`` only. See ``recogniser_named``.
        sampling: None for the most likely unit at every step.
        seed: of sampling and vocoder.
        max_new_tokens: default: what :func:`~smoltolk.inference.speakers.most_units` says of the longest text.
        batch_size, progress: as for :func:`smoltolk.inference.generation.generate`.
        workers: processes of the judge.
        log_path: JSON lines: reference, what the judge heard, number of units, whether it ended.

    Raises:
        InputError: no texts, or a vocoder that cannot say what the model makes.
    """
    texts = list(texts)
    _check(texts)
    space.check_tokenizer(tokenizer)
    check_speaker(space, vocoder)
    most = max_new_tokens or most_units(max(texts, key=len), space, vocoder.frame_rate)
    settings: dict[str, Any] = {"sampling": sampling, "seed": seed, "batch_size": batch_size, "progress": progress}
    made = say(model, texts, tokenizer, space, max_new_tokens=most, **settings)
    units = [to_units(one, space) for one in made]
    waveforms = speak_units(units, vocoder, seed=seed)
    if judge is None:
        hypotheses = transcribe_all(waveforms, texts if judge_texts is None else judge_texts, workers)
    else:
        hypotheses = judge.transcribe_batch(waveforms)
    _log(log_path, texts, hypotheses, made)
    return Transcribed(error_rate(texts, hypotheses), _failures(made), texts, hypotheses, units, waveforms)


def write_down(
    model: Any, heard: Sequence[np.ndarray], space: IdSpace, *, max_new_tokens: int, **settings: Any
) -> list[Generation]:
    """What a model writes when it hears units, the likeliest id at every step.

    Args:
        model, space: as for :func:`recognition`.
        heard: units [n] each, of several codebooks frames [n, Q].
        max_new_tokens: the limit, see :func:`most_tokens`.
        settings: ``batch_size`` and ``progress`` of :func:`smoltolk.inference.generation.generate`.
    """
    prompts = [recognition_prompt(space, units) for units in heard]
    end = space.eos_text
    return generate(model, prompts, end_id=end, pad_id=space.eos_text, max_new_tokens=max_new_tokens, **settings)


def say(
    model: Any, texts: Sequence[str], tokenizer: Any, space: IdSpace, *, max_new_tokens: int, **settings: Any
) -> list[Generation]:
    """What a model speaks when it reads texts, as ids.

    Args:
        model, texts, tokenizer, space: as for :func:`synthesis`.
        max_new_tokens: the limit, units or frames.
        settings: ``sampling``, ``seed``, ``batch_size`` and ``progress`` of
            :func:`smoltolk.inference.generation.generate`.
    """
    prompts = [synthesis_prompt(space, plain_ids(tokenizer, text)) for text in texts]
    end = space.eos_speech
    return generate(model, prompts, end_id=end, pad_id=space.eos_text, max_new_tokens=max_new_tokens, **settings)


def most_tokens(texts: Sequence[str], tokenizer: Any) -> int:
    """Text ids that writing any of these texts takes at most: twice those of the longest, and eight."""
    return 2 * max(len(plain_ids(tokenizer, text)) for text in texts) + 8


def _check(texts: Sequence[str]) -> None:
    if not texts:
        raise InputError("an error rate needs at least one text", "an empty list", "hold out some texts")


def _failures(made: Sequence[Generation]) -> float:
    return 1 - sum(one.ended for one in made) / len(made)


def _log(
    path: Path | str | None, references: Sequence[str], hypotheses: Sequence[str], made: Sequence[Generation]
) -> None:
    if path is not None:
        write_jsonl(
            path,
            (
                {"reference": said, "hypothesis": heard, "ids": len(one.ids), "ended": one.ended}
                for said, heard, one in zip(references, hypotheses, made, strict=True)
            ),
        )
