"""Ids as clients see them: names of single ids, log-probabilities, and what a whole row says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from smoltolk.inference.running.rows import Logprob
from smoltolk.model.generation.runs import split_runs
from smoltolk.serving.engine import Engine


def token_text(engine: Engine, token_id: int) -> str:
    """An id by itself: text as it is written, units and control ids in angle brackets."""
    space = engine.space
    if space.speech_offset <= token_id < space.eos_speech:
        return f"<unit {token_id - space.speech_offset}>"
    named = {
        space.begin_prompt: "<begin prompt>", space.end_prompt: "<end prompt>", space.switch: "<switch>",
        space.eos_text: "<end of text>", space.eos_speech: "<end of speech>", space.pad_speech: "<pad speech>",
    }  # fmt: skip
    return named.get(token_id) or str(engine.tokenizer.decode([token_id]))


def ids_as_text(engine: Engine, ids: Sequence[int]) -> str:
    """A row to read: text as it is, units in brackets; control ids are left out."""
    return "".join(
        f"[{' '.join(map(str, run.ids))}]" if run.is_speech else engine.tokenizer.decode(run.ids)
        for run in split_runs(ids, engine.space)
    )


def segments_of_ids(engine: Engine, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Runs of text and of units, in order, as parts of a later prompt can be given."""
    return [
        {"type": "units", "units": list(run.ids)}
        if run.is_speech
        else {"type": "text", "text": engine.tokenizer.decode(run.ids)}
        for run in split_runs(ids, engine.space)
    ]


def completion_logprobs(engine: Engine, found: Sequence[Logprob]) -> dict[str, Any]:
    """Log-probabilities as ``/v1/completions`` tells them; null of what nothing predicts."""
    tokens = [token_text(engine, one.token_id) for one in found]
    offsets, place = [], 0
    for token in tokens:
        offsets.append(place)
        place += len(token)
    return {
        "tokens": tokens,
        "token_logprobs": [_finite(one.own) for one in found],
        "top_logprobs": [_top(engine, one) for one in found],
        "text_offset": offsets,
    }


def chat_logprobs(engine: Engine, found: Sequence[Logprob]) -> dict[str, Any]:
    """Log-probabilities as ``/v1/chat/completions`` tells them."""

    def told(token_id: int, value: float | None) -> dict[str, Any]:
        token = token_text(engine, token_id)
        whole = "\ufffd" not in token  # half a character has bytes that nobody tells here
        return {"token": token, "logprob": _finite(value), "bytes": list(token.encode()) if whole else None}

    content = [
        {
            **told(one.token_id, one.own),
            "top_logprobs": [told(token_id, value) for token_id, value in one.top if math.isfinite(value)],
        }
        for one in found
    ]
    return {"content": content, "refusal": None}


def _top(engine: Engine, one: Logprob) -> dict[str, float] | None:
    if one.own is None:
        return None
    found: dict[str, float] = {}
    for token_id, value in one.top:
        if math.isfinite(value):  # several ids may read alike: the likeliest stands for them
            found.setdefault(token_text(engine, token_id), value)
    return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
