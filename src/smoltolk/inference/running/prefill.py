"""Prompts that are read before their rows join a running batch, in chunks where they are long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from smoltolk.data.rows.prompts import pad_left
from smoltolk.inference.running.rows import Logprob, Row

_MOST_LOGITS = 1 << 22  # that are made at once of a prompt all of whose ids are asked about


class Prefill:
    """A few prompts, padded on the left, and their cache.

    Args:
        model: in evaluation mode.
        rows: that join together; one whose prompt's ids are asked about comes alone.
        num_layers: of the cache.
        chunk: ids that are read at once, at most (a column at least).

    Attributes:
        rows: as given.
        cache: what has been read so far.
    """

    def __init__(self, model: Any, rows: Sequence[Row], num_layers: int, chunk: int):
        self.model, self.rows = model, list(rows)
        device = next(model.parameters()).device
        space = model.config.id_space
        self.ids, self.mask = pad_left([row.ask.prompt for row in rows], space.eos_text, device)
        self.cache = Cache(layers=[DynamicLayer() for _ in range(num_layers)])
        self._echo = self.rows[0].ask.echo
        self._columns = max(1, chunk // len(rows))
        if self._echo:
            self._columns = max(1, min(self._columns, _MOST_LOGITS // space.size))
        self._read = 0

    def read(self) -> Tensor | None:
        """Read one more chunk.

        Returns:
            Logits [B, ids] of what follows the prompts, when they are read; None before.
        """
        start, end = self._read, min(self._read + self._columns, self.ids.shape[1])
        padded = bool((self.mask[:, :end] == 0).any())
        logits = self.model(
            input_ids=self.ids[:, start:end],
            attention_mask=self.mask[:, :end] if padded else None,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=0 if self._echo else 1,
        ).logits
        self._read = end
        if self._echo:
            self._tell(logits[0], start, end)
        return logits[:, -1] if end == self.ids.shape[1] else None

    def _tell(self, logits: Tensor, start: int, end: int) -> None:
        row = self.rows[0]
        following = self.ids[0, start + 1 : end + 1].tolist()
        found = [] if start else [Logprob(int(self.ids[0, 0]), None)]
        found += logprobs_of(logits[: len(following)], following, row.ask.top_logprobs or 0)
        row.add_prompt(found)


def logprobs_of(logits: Tensor, token_ids: Sequence[int], most: int) -> list[Logprob]:
    """Log-probabilities of ids, and of the most likely ones.

    Args:
        logits: float [n, ids].
        token_ids: the id at each place.
        most: how many of the most likely.
    """
    if not token_ids:
        return []
    # What cannot follow holds the dtype's minimum, and is no id of either softmax there.
    impossible = logits <= torch.finfo(logits.dtype).min
    logprobs = logits.float().masked_fill(impossible, -torch.inf).log_softmax(-1)
    own = logprobs.gather(1, torch.tensor(token_ids, device=logits.device)[:, None])[:, 0].tolist()
    top = logprobs.topk(min(most, logprobs.shape[1]))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return [
        Logprob(token_id, value, tuple(zip(ids, values, strict=True)))
        for token_id, value, (ids, values) in zip(token_ids, own, pairs, strict=True)
    ]
