"""What the routes share: the engines, the limits, and what is kept between requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from smoltolk.serving.answers import SpokenAnswers
from smoltolk.serving.engine import Engine
from smoltolk.serving.errors import RefusedError
from smoltolk.serving.limits import Limits
from smoltolk.serving.metrics import Metrics


@dataclass(slots=True)
class State:
    """Of one app.

    Attributes:
        engines: by the names that requests know them by, the default first.
        limits: of the server.
        metrics: that are told.
        answers: that later turns can name.
    """

    engines: Mapping[str, Engine]
    limits: Limits
    metrics: Metrics
    answers: SpokenAnswers

    def engine(self, name: str) -> Engine:
        """The engine of this name.

        Raises:
            RefusedError: there is none.
        """
        if name not in self.engines:
            message = f"the models are {', '.join(self.engines)}; found: {name[:100]!r}"
            raise RefusedError(404, message, "model_not_found", "model")
        return self.engines[name]


def _state(request: Request) -> State:
    return request.app.state.smoltolk


Shared = Annotated[State, Depends(_state)]
