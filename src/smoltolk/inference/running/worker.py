"""The one thread that owns a model and keeps its batch running."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smoltolk.common.errors import InputError
from smoltolk.inference.batches import evaluating
from smoltolk.inference.generation import Generation
from smoltolk.inference.running.batch import RunningBatch
from smoltolk.inference.running.rows import Ask, BusyError, Made, Row


class Worker:
    """Takes prompts from any thread and continues them together.

    Args:
        model: a SmolTolk model of one codebook; nobody else may use it while the worker lives.
        slots: rows that run at once.
        queue: rows that wait for a slot, at most.
        chunk: ids of prompts that are read between two steps.

    Raises:
        InputError: a model whose rows cannot come and go.
    """

    def __init__(self, model: Any, *, slots: int = 64, queue: int = 256, chunk: int = 512):
        if model.config.num_codebooks > 1:
            raise InputError(
                "a running batch continues ids of one codebook",
                f"{model.config.num_codebooks} codebooks",
                "generate in batches that begin together (smoltolk.inference.generation.generate)",
            )
        self.model, self.queue = model, queue
        self.batch = RunningBatch(model, slots=slots, chunk=chunk)
        self._arrived: deque[Row] = deque()
        self._wake = threading.Condition()
        self._closing = self._dropping = False
        self._thread = threading.Thread(target=self._run, name="running batch", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether prompts are still taken in and continued."""
        return self._thread.is_alive() and not self._closing

    @property
    def num_waiting(self) -> int:
        """Rows without a slot."""
        return len(self._arrived) + len(self.batch.waiting)

    def submit(self, ask: Ask, receive: Callable[[Made], None]) -> Row:
        """Continue a prompt.

        Args:
            ask: what is asked.
            receive: called in the worker's thread with all that is made, the last time with an ending; it must return
                at once, and raise nothing.

        Returns:
            The row, to be cancelled.

        Raises:
            InputError: the prompt does not fit the model.
            BusyError: too many wait, or the worker is closed.
        """
        ask.check(self.model.config)
        row = Row(ask, receive)
        with self._wake:
            if not self.alive:
                raise BusyError("prompts are taken in while the worker lives", "it is closed", "start another one")
            if self.num_waiting >= self.queue:
                raise BusyError(
                    f"{self.queue} prompts wait for a slot at most", f"{self.num_waiting} wait", "ask again later"
                )
            self._arrived.append(row)
            self._wake.notify()
        return row

    def continue_all(self, asks: Sequence[Ask]) -> list[Generation]:
        """Continue prompts and wait for all of them; as many as there are, a few at a time.

        Raises:
            InputError, BusyError: as for :meth:`submit`; or what failed.
        """
        made: list[list[int]] = [[] for _ in asks]
        endings: list[Made | None] = [None] * len(asks)
        room = threading.Semaphore(max(1, self.queue))
        for number, ask in enumerate(asks):
            room.acquire()

            def receive(told: Made, number: int = number) -> None:
                made[number] += told.ids
                if told.ending is not None:
                    endings[number] = told
                    room.release()

            self.submit(ask, receive)
        for _ in range(max(1, self.queue)):
            room.acquire()
        for told in endings:
            if told is not None and told.error is not None:
                raise told.error
        ended = [told is not None and told.ending == "stop" for told in endings]
        return [Generation(np.array(ids, np.int64), end) for ids, end in zip(made, ended, strict=True)]

    def close(self, *, wait: bool = True, timeout: float | None = None) -> None:
        """Take nothing in any more.

        Args:
            wait: finish what was taken in; otherwise it is cancelled.
            timeout: seconds to wait for that; what is left then is cancelled. None: as long as it takes.
        """
        with self._wake:
            self._closing, self._dropping = True, self._dropping or not wait
            self._wake.notify()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._dropping = True
            self._thread.join()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            with evaluating(self.model):
                while self._take_in():
                    try:
                        self.batch.step()
                    except (RuntimeError, MemoryError) as failure:  # out of memory: the next ones may fit
                        self.batch.fail(failure)
        except Exception as failure:
            error = failure
            raise
        finally:
            with self._wake:
                self._closing = True
                self.batch.waiting.extend(self._arrived)
                self._arrived.clear()
            self.batch.fail(error or BusyError("prompts are continued while the worker lives", "it ended", "ask again"))

    def _take_in(self) -> bool:
        """Wait for work, and take it; False: there will be no more."""
        with self._wake:
            while not (self._arrived or self.batch.has_work or self._closing):
                self._wake.wait()
            self.batch.waiting.extend(self._arrived)
            self._arrived.clear()
            if self._dropping:
                for row in (*self.batch.running, *self.batch.waiting):
                    row.cancel()
            return self.batch.has_work
