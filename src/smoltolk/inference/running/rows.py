"""A row of a running batch: what is asked of it, and what it has made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from smoltolk.common.errors import InputError, SmolTolkError
from smoltolk.inference.drawing import Draw
from smoltolk.inference.sampling import Sampling
from smoltolk.model.configuration import SmolTolkConfig

Ending = Literal["stop", "length", "cancelled", "failed"]


class BusyError(SmolTolkError, RuntimeError):
    """The queue is full, or nothing is taken in any more."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a row draws its ids.

    Attributes:
        sampling: None: always the most likely id.
        seed: of the row's own random numbers.
    """

    sampling: Sampling | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A prompt to continue.

    Attributes:
        prompt: int64 [n], unified ids, at least one.
        end_ids: what ends the continuation; not part of it.
        most: ids of the continuation; 0: only the prompt is read.
        drawing: how ids are drawn.
        holds: no ``<switch>``: the continuation stays in the modality that the prompt ends with.
        top_logprobs: log-probabilities of so many ids at each place beside that of the id itself; None: of none.
        echo: log-probabilities of the prompt's ids too.
        at_once: ids are told as they come, not only at the end.
    """

    prompt: np.ndarray
    end_ids: frozenset[int]
    most: int
    drawing: Drawing = Drawing()
    holds: bool = True
    top_logprobs: int | None = None
    echo: bool = False
    at_once: bool = False

    def check(self, config: SmolTolkConfig) -> None:
        """Hold it against a model.

        Raises:
            InputError: no prompt, ids out of range, or more than the model's positions hold.
        """
        longest = config.max_position_embeddings
        if len(self.prompt) == 0 or self.most < 0:
            found = f"a prompt of {len(self.prompt)} ids and {self.most} more"
            raise InputError("every prompt must hold at least one id", found, "begin with an end id")
        if self.prompt.min() < 0 or self.prompt.max() >= config.vocab_size:
            raise InputError(
                f"ids must lie in 0..{config.vocab_size - 1} (speech from {config.speech_offset})",
                f"ids from {self.prompt.min()} to {self.prompt.max()}",
                "use the tokenizer and the units that the model was trained with",
            )
        if longest is not None and len(self.prompt) + self.most > longest:
            raise InputError(
                "a prompt must leave the model room to answer",
                f"{len(self.prompt):,} ids and {self.most:,} more, the model holds {longest:,}",
                "give a shorter recording or text, or ask for less",
            )


@dataclass(frozen=True, slots=True)
class Logprob:
    """Log-probabilities at one place, in nats; of what cannot stand there -inf.

    Attributes:
        token_id: the id that stands there.
        own: its own; None: the first id of a prompt, which nothing predicts.
        top: the most likely ids with theirs, likeliest first.
    """

    token_id: int
    own: float | None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What a row has made since it last told.

    Attributes:
        ids: of the continuation, without its end.
        logprobs: one for each id, if they are asked for.
        prompt_logprobs: of the prompt, with the first of them.
        ending: how it ended; None: it goes on.
        error: what failed.
    """

    ids: list[int]
    logprobs: list[Logprob] = field(default_factory=list)
    prompt_logprobs: list[Logprob] = field(default_factory=list)
    ending: Ending | None = None
    error: Exception | None = None


class Row:
    """A row on its way: waiting, being read, or going on.

    Args:
        ask: what is asked of it.
        receive: told what it makes, in the thread that owns the model; it must return at once.

    Attributes:
        cancelled: nobody waits for it any more; set by any thread.
        ended: it is told no more.
    """

    def __init__(self, ask: Ask, receive: Callable[[Made], None]):
        self.ask, self.receive = ask, receive
        self.draw = Draw(ask.drawing.seed)
        self.cancelled = self.ended = False
        self.made = 0  # ids so far
        self.last = int(ask.prompt[-1])
        self._untold = Made([])

    def cancel(self) -> None:
        """Ask for its end; it leaves at the next step."""
        self.cancelled = True

    def add_prompt(self, logprobs: list[Logprob]) -> None:
        """Log-probabilities of some more of its prompt."""
        self._untold.prompt_logprobs.extend(logprobs)

    def add(self, token_id: int, logprob: Logprob | None) -> None:
        """Take the id that was drawn; the row ends if it is an end, or the last that was asked for."""
        if token_id in self.ask.end_ids:
            self.end("stop")
            return
        self.last, self.made = token_id, self.made + 1
        self._untold.ids.append(token_id)
        if logprob is not None:
            self._untold.logprobs.append(logprob)
        if self.made >= self.ask.most:
            self.end("length")
        elif self.ask.at_once:
            self._tell(None)

    def end(self, ending: Ending, error: Exception | None = None) -> None:
        """Tell the rest, once."""
        if not self.ended:
            self.ended = True
            self._tell(ending, error)

    def _tell(self, ending: Ending | None, error: Exception | None = None) -> None:
        held, self._untold = self._untold, Made([])
        self.receive(Made(held.ids, held.logprobs, held.prompt_logprobs, ending, error))
