"""Answers to questions, of a model that was tuned on dialogues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smoltolk.common.progress import Bar
from smoltolk.data.rows.turns import Turn, answer_prompt
from smoltolk.inference.generation import Generation, Sampling, generate

MOST_UNITS, MOST_TOKENS = 400, 200


def answer_all(
    model: Any,
    dialogues: Sequence[Sequence[Turn]],
    *,
    in_speech: bool,
    most: int | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    batch_size: int = 64,
    progress: Bar | None = None,
) -> list[Generation]:
    """What a model says next in each dialogue.

    Args:
        model: a SmolTolk model.
        dialogues: each ends with a question, see :mod:`smoltolk.data.rows.turns`.
        in_speech: modality of the answers.
        most: units or tokens of an answer; None: 400 or 200.
        sampling: None for the most likely id at every step.
        seed, batch_size, progress: as for :func:`~smoltolk.inference.generation.generate`.

    Raises:
        InputError: no question at the end of one of them, or an empty turn.
    """
    space = model.config.id_space
    return generate(
        model,
        [answer_prompt(space, turns, in_speech=in_speech) for turns in dialogues],
        end_id=space.eos_speech if in_speech else space.eos_text,
        pad_id=space.eos_text,
        max_new_tokens=most or (MOST_UNITS if in_speech else MOST_TOKENS),
        sampling=sampling,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
    )
