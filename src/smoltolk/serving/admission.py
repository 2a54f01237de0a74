"""Who is let in: so many requests at once, bodies of so many bytes, and nobody who stops sending or reading."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from smoltolk.serving.errors import RefusedError, error_response
from smoltolk.serving.limits import Limits

_ALWAYS = ("/health", "/ready", "/metrics")  # whoever watches a server wants to know most when it is full
_LINGERS = 1.0  # seconds


class Admission:
    """Holds requests against the limits before any route sees them.

    Args:
        app: what is asked behind it.
        limits: of the server.

    Attributes:
        held: requests under way; each may hold a body in memory.
    """

    def __init__(self, app: Any, limits: Limits):
        self.app, self.limits, self.held = app, limits, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # the server sends no body to it
            scope = {**scope, "method": "GET"}
        if scope["path"] in _ALWAYS:
            await self.app(scope, receive, send)
            return
        visit = _Visit(self.limits, receive, send)
        most = self.limits.slots + self.limits.queue
        if self.held >= most:
            visit.refuse(429, f"{most} requests are answered at once; ask again later", "busy")
        elif _length(scope) > self.limits.body_bytes:
            visit.refuse_size()
        else:
            self.held += 1
            try:
                await self.app(scope, visit.receive, visit.send)
            finally:
                self.held -= 1
        await visit.tell(scope)


class _Visit:
    """One request: what it has sent, and what it is told where that is too much, or comes too slowly."""

    def __init__(self, limits: Limits, receive: Any, send: Any):
        self._limits, self._receive, self._send = limits, receive, send
        self._until = asyncio.get_running_loop().time() + limits.seconds
        self._bytes, self._whole, self._begun = 0, False, False
        self._refused: RefusedError | None = None

    async def receive(self) -> Any:
        """As ASGI has it; who is refused looks like one that has left."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self.refuse(408, f"a request is sent within {self._limits.seconds:g} s", "timeout")
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._bytes > self._limits.body_bytes:
                self.refuse_size()
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: Any) -> None:
        """As ASGI has it; what is said to one that was refused is not passed on.

        Raises:
            TimeoutError: nobody reads.
        """
        if self._refused is None:
            self._begun = True
            async with asyncio.timeout(self._limits.seconds):
                await self._send(message)

    def refuse(self, status: int, message: str, code: str) -> None:
        """It is told this, and nothing else; once an answer has begun, nothing."""
        if not self._begun:
            self._refused = RefusedError(status, message, code)

    def refuse_size(self) -> None:
        """Its body is too large."""
        self.refuse(413, f"a body has {self._limits.body_bytes:,} bytes at most", "too_large")

    async def tell(self, scope: Any) -> None:
        """Say why it was refused, if it was."""
        if self._refused is not None:
            told = self._refused
            if not self._whole:
                await let_finish(self._receive)
            await error_response(told.status, told.message, told.code)(scope, self._receive, self._send)


async def let_finish(receive: Any) -> None:
    """Let a client send what nobody reads, for a moment: one that is cut off while it sends hears no answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGERS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                continue


def _length(scope: Any) -> int:
    """Bytes of the body, where it is told; others are counted as they come."""
    told = dict(scope["headers"]).get(b"content-length", b"0")
    return int(told) if told.isdigit() else 0
