"""Text ids of prompts and options: those of running text, cut where the option begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smoltolk.data.rows.plain_tokens import plain_encoding, plain_ids
from smoltolk.evaluation.tasks.items import Segment


def ids_of(tokenizer: Any, text: str) -> np.ndarray:
    """int64 [n], without special ids."""
    return np.asarray(plain_ids(tokenizer, text), np.int64)


def ids_behind(tokenizer: Any, before: str | None, text: str) -> np.ndarray:
    """Ids of a text as they are in running text behind another one.

    Args:
        tokenizer: fast, of transformers.
        before: what stands before it; None: something that is not known.
        text: what is cut off again.
    """
    if before is None or not before:
        return ids_of(tokenizer, text if before == "" else f" {text}")
    joined = f"{before} {text}"
    spans = plain_encoding(tokenizer, [joined], return_offsets_mapping=True)
    inside = [number for number, (_, end) in enumerate(spans["offset_mapping"][0]) if end > len(before)]
    return np.asarray(spans["input_ids"][0], np.int64)[inside]


def said_before(segments: Sequence[Segment]) -> str | None:
    """What is written or said in a prompt; None where something is heard that nobody wrote down."""
    texts = [segment.text for segment in segments]
    return None if any(text is None for text in texts) else " ".join(text for text in texts if text is not None)
