"""One batch that runs on and on: rows join it at any step, and leave at any step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from smoltolk.inference.drawing import draw_ids
from smoltolk.inference.running.grid import Grid
from smoltolk.inference.running.prefill import Prefill, logprobs_of
from smoltolk.inference.running.rows import Logprob, Row


class RunningBatch:
    """Rows of one model, of one thread.

    A row's ids are those that it would have alone: spans, positions and random numbers are its own (in float32 to the
    last id; in bfloat16 sums of other orders can turn a close choice).

    Args:
        model: a SmolTolk model of one codebook, in evaluation mode.
        slots: rows that run at once, at most.
        chunk: ids of prompts that are read between two steps, at most, so that long prompts do not keep the others
            waiting.

    Attributes:
        running, waiting: rows.
        num_steps, num_ids: so far.

    Raises:
        InputError: a model whose rows cannot come and go.
    """

    def __init__(self, model: Any, *, slots: int = 64, chunk: int = 512):
        self.model, self.slots, self.chunk = model, slots, chunk
        self.space, self.device = model.config.id_space, next(model.parameters()).device
        self.grid = Grid(model.config, slots)
        self.running: list[Row] = []
        self.waiting: deque[Row] = deque()
        self.num_steps = self.num_ids = 0
        self._prefill: Prefill | None = None

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.running or self.waiting or self._prefill)

    @property
    def num_reading(self) -> int:
        """Rows whose prompts are being read."""
        return len(self._prefill.rows) if self._prefill else 0

    @torch.inference_mode()
    def step(self) -> None:
        """Let cancelled rows go, read some more of a prompt, and give every running row its next id."""
        self._let_go()
        self._read()
        if not self.running:
            return
        ids = torch.tensor([[row.last] for row in self.running], device=self.device)
        logits = self.model(input_ids=ids, use_cache=True, **self.grid.reading(self.device)).logits[:, -1]
        self.grid.tick()
        self.num_steps += 1
        self._hand_out(self.running, logits)
        self._drop_ended()

    def fail(self, error: Exception) -> None:
        """End every row; the storage is let go."""
        rows = [*self.running, *(self._prefill.rows if self._prefill else ()), *self.waiting]
        self.running, self._prefill = [], None
        self.waiting.clear()
        self.grid.clear()
        for row in rows:
            row.end("failed", error)

    # ------------------------------------------------------------------ joining and leaving

    def _let_go(self) -> None:
        if any(row.cancelled for row in self.waiting):
            for row in [row for row in self.waiting if row.cancelled]:
                self.waiting.remove(row)
                row.end("cancelled")
        if self._prefill is not None and all(row.cancelled for row in self._prefill.rows):
            for row in self._prefill.rows:
                row.end("cancelled")
            self._prefill = None
        for row in self.running:
            if row.cancelled:
                row.end("cancelled")
        self._drop_ended()

    def _drop_ended(self) -> None:
        for place in reversed(range(len(self.running))):
            if self.running[place].ended:
                self.grid.leave(place)
                self.running[place] = self.running[-1]
                self.running.pop()

    def _read(self) -> None:
        if self._prefill is None:
            rows = self._next_rows()
            if not rows:
                return
            self._prefill = Prefill(self.model, rows, self.grid.num_layers, self.chunk)
        logits = self._prefill.read()
        if logits is None:
            return
        rows, cache = self._prefill.rows, self._prefill.cache
        self._prefill = None
        for row in rows:
            if row.cancelled:
                row.end("cancelled")
            elif row.ask.most == 0:
                row.end("length")
        self.grid.join(cache, [len(row.ask.prompt) for row in rows])
        self.running += rows
        going = [row for row in rows if not row.ended]
        if going:
            places = [number for number, row in enumerate(rows) if not row.ended]
            self._hand_out(going, logits[places])
        self._drop_ended()

    def _next_rows(self) -> list[Row]:
        """Rows to read next, together: as many as there are slots for and a chunk holds, one at least."""
        rows: list[Row] = []
        longest = 0
        while self.waiting and len(self.running) + len(rows) < self.slots:
            row = self.waiting[0]
            longest = max(longest, len(row.ask.prompt))
            # What is asked of a prompt's every id is made row by row: it would be wide.
            alone = row.ask.echo or (bool(rows) and rows[0].ask.echo)
            if rows and (alone or longest * (len(rows) + 1) > self.chunk):
                break
            rows.append(self.waiting.popleft())
        return rows

    # ------------------------------------------------------------------ ids

    def _hand_out(self, rows: Sequence[Row], logits: Tensor) -> None:
        """Draw the next id of each row from logits [B, ids]."""
        if self.model.config.predict_switch:
            never = torch.tensor([row.ask.holds or row.last == self.space.switch for row in rows], device=self.device)
            logits[:, self.space.switch] = logits[:, self.space.switch].masked_fill(never, -torch.inf)
        chosen = draw_ids(logits, [row.ask.drawing.sampling for row in rows], [row.draw for row in rows]).tolist()
        asked = [number for number, row in enumerate(rows) if row.ask.top_logprobs is not None]
        told: list[Logprob | None] = [None] * len(rows)
        if asked:
            most = max(rows[number].ask.top_logprobs or 0 for number in asked)
            found = logprobs_of(logits[asked], [chosen[number] for number in asked], most)
            for number, one in zip(asked, found, strict=True):
                wanted = rows[number].ask.top_logprobs or 0
                told[number] = Logprob(one.token_id, one.own, one.top[:wanted])
        self.num_ids += len(rows)
        for row, token_id, logprob in zip(rows, chosen, told, strict=True):
            row.add(token_id, logprob)
