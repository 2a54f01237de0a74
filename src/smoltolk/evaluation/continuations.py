"""How good spoken continuations are: what a recogniser writes down of them, read by a text model.

Published settings: prompts of 3 s, temperature 0.8, the 25 likeliest units, 150 units. **GenPPL** is the exponential of
the mean over continuations of the mean NLL of their transcripts by a text model; it rewards what repeats itself, so
**AutoBLEU-2** stands beside it: the share of a transcript's pairs of neighbouring words that it holds more than once,
as slamkit's calculation_utils.py counts; textless-lib takes the geometric mean of that and the same of single words.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from smoltolk.common.errors import InputError
from smoltolk.common.files import write_jsonl
from smoltolk.common.progress import Bar
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.evaluation.scoring import score
from smoltolk.evaluation.sequences import Scored
from smoltolk.evaluation.tasks.spoken_answers import tokens
from smoltolk.inference.generation import Sampling, generate, to_units
from smoltolk.inference.speakers import Speaker, check_speaker, speak_units
from smoltolk.model.ids import IdSpace
from smoltolk.speech.recognition.recognisers import Recogniser

SECONDS, UNITS = 3.0, 150  # of a prompt; of a continuation
SAMPLING = Sampling(temperature=0.8, top_k=25)


@dataclass(frozen=True, slots=True)
class Continuations:
    """Spoken continuations and what they came to.

    Attributes:
        gen_ppl: of the transcripts that have two tokens at least; NaN if there are none.
        auto_bleu: AutoBLEU-2, mean over all transcripts.
        scored: transcripts that the text model read.
        no_end: share that came to no end within the limit.
        units_per_second: made, of all continuations together.
        transcripts: one for each prompt, in order.
    """

    gen_ppl: float
    auto_bleu: float
    scored: int
    no_end: float
    units_per_second: float
    transcripts: list[str]


def continuations(
    model: Any,
    prompts: Sequence[np.ndarray],
    space: IdSpace,
    vocoder: Speaker,
    judge: Recogniser,
    text_model: nn.Module,
    tokenizer: Any,
    *,
    sampling: Sampling | None = SAMPLING,
    most: int = UNITS,
    seed: int = 0,
    progress: Bar | None = None,
    log_path: Path | str | None = None,
) -> Continuations:
    """Continue spoken prompts, and measure what is heard behind them.

    Args:
        model: with the ``generate`` of transformers.
        prompts: units [n] of each, of several codebooks [n, Q]; see :func:`first_seconds`.
        space: the model's ids.
        vocoder: speaks the units.
        judge: writes down what is heard.
        text_model, tokenizer: a causal LM that reads the transcripts; not the model's own backbone.
        sampling, most, seed: of the continuations.
        progress: advanced by the prompts continued.
        log_path: JSON lines: transcript, its NLL, AutoBLEU-2, units, whether it ended.

    Raises:
        InputError: no prompts, or a vocoder of other units.
    """
    if not prompts:
        raise InputError("continuations need a prompt at least", "none", "give recordings of 3 s or more")
    check_speaker(space, vocoder)
    start = time.perf_counter()
    made = generate(
        model,
        [Document(space).speech(units) for units in prompts],
        end_id=space.eos_speech,
        pad_id=space.eos_text,
        max_new_tokens=most,
        sampling=sampling,
        seed=seed,
        progress=progress,
    )
    seconds = time.perf_counter() - start
    units = [to_units(one, space) for one in made]
    transcripts = judge.transcribe_batch(speak_units(units, vocoder, seed=seed))
    nll = transcript_nll(text_model, tokenizer, transcripts)
    repeats = [auto_bleu(text) for text in transcripts]
    if log_path is not None:
        rows = zip(transcripts, nll, repeats, made, units, strict=True)
        write_jsonl(
            log_path,
            (
                {"transcript": text, "nll": value, "auto_bleu": repeat, "units": len(said), "ended": one.ended}
                for text, value, repeat, one, said in rows
            ),
        )
    known = [value for value in nll if value is not None]
    return Continuations(
        gen_ppl=math.exp(sum(known) / len(known)) if known else math.nan,
        auto_bleu=sum(repeats) / len(repeats),
        scored=len(known),
        no_end=1 - sum(one.ended for one in made) / len(made),
        units_per_second=sum(map(len, units)) / seconds,
        transcripts=transcripts,
    )


def first_seconds(units: np.ndarray, durations: np.ndarray, frame_rate: float, seconds: float = SECONDS) -> np.ndarray:
    """The units of the beginning of a recording: those whose middle lies in it."""
    middles = (np.cumsum(durations) - np.asarray(durations) / 2) / frame_rate
    return units[: max(1, int(np.searchsorted(middles, seconds)))]


def long_prompts(spoken: UnitCorpus, most: int, seconds: float = SECONDS) -> list[np.ndarray]:
    """The beginnings of the first recordings that are long enough.

    Args:
        spoken: recordings as units.
        most: prompts.
        seconds: of each.

    Raises:
        InputError: no recording is as long.
    """
    chosen = np.flatnonzero(spoken.seconds >= seconds)[:most]
    if not len(chosen):
        found = f"the longest has {spoken.seconds.max():.2f} s"
        raise InputError(f"prompts are cut from recordings of {seconds:g} s or more", found, "take longer ones")
    rate = spoken.metadata.frame_rate
    return [first_seconds(spoken.units(i), spoken.durations(i), rate, seconds) for i in chosen]


def transcript_nll(text_model: nn.Module, tokenizer: Any, texts: Sequence[str]) -> list[float | None]:
    """Mean NLL of the tokens of each text but its first, in nats; None of a text that has fewer than two."""
    rows = [plain_ids(tokenizer, text) for text in texts]
    places = [place for place, row in enumerate(rows) if len(row) > 1]
    nll: list[float | None] = [None] * len(texts)
    if places:
        scores = score(text_model, [Scored(rows[place], 1) for place in places])
        for place, total, count in zip(places, scores.nll, scores.count, strict=True):
            nll[place] = float(total / count)
    return nll


def auto_bleu(text: str, size: int = 2) -> float:
    """Share of the runs of so many words that stand in a text more than once; 0 of a text that has no run.

    >>> auto_bleu("so it is and so it goes")
    0.3333333333333333
    """
    words = tokens(text)
    runs = [tuple(words[place : place + size]) for place in range(len(words) - size + 1)]
    counts = Counter(runs)
    return sum(counts[run] > 1 for run in runs) / len(runs) if runs else 0.0
