"""The choices of a request: rows that start together, answered whole or as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol

from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from smoltolk.common.errors import InputError
from smoltolk.inference.running.rows import Ask
from smoltolk.serving.engine import Continuation, Engine
from smoltolk.serving.state import State
from smoltolk.serving.wire import Streamed, while_there


class Work(Protocol):
    """What a route makes of its rows."""

    async def whole(self, rows: list[Continuation]) -> dict[str, Any]:
        """One object of all rows."""

    def events(self, row: Continuation) -> AsyncIterator[bytes]:
        """One row in pieces."""


def check_most(most: int, choices: int, state: State, *, streams: bool) -> None:
    """Hold what is asked for against the limits.

    Raises:
        InputError: more ids, or more choices, than the server gives; or a stream of several.
    """
    limits = state.limits
    if most > limits.new_ids:
        raise InputError(f"a continuation has {limits.new_ids:,} ids at most", f"{most:,}", "ask for fewer")
    if choices > limits.choices:
        raise InputError(f"a request has {limits.choices} choices at most", f"{choices}", "ask for fewer")
    if streams and choices > 1:
        raise InputError("a stream follows one choice", f"{choices}", "stream one at a time")


def start_all(engine: Engine, asks: Iterable[Ask]) -> list[Continuation]:
    """Rows of all choices, or of none.

    Raises:
        InputError, BusyError: there is no room.
    """
    rows: list[Continuation] = []
    try:
        for ask in asks:
            rows.append(engine.start(ask))
    except (InputError, RuntimeError):
        for row in rows:
            row.close()
        raise
    return rows


async def answered(
    request: Request, work: Work, rows: list[Continuation], *, streams: bool, seconds: float, headers: dict[str, str]
) -> Response:
    """The answer of some rows, which are closed at its end, however it comes.

    Args:
        request: whose client may leave.
        work: makes the answer.
        rows: one alone where it streams.
        streams: whether it comes in pieces.
        seconds: it may take.
        headers: of the answer.

    Raises:
        RefusedError: time is up, or nobody is there.
    """
    if streams:
        (row,) = rows
        return Streamed(work.events(row), seconds=seconds, closes=[row.close], headers=headers)
    try:
        body = await while_there(request, work.whole(rows), seconds)
    finally:
        for row in rows:
            row.close()
    return JSONResponse(body, headers=headers)
