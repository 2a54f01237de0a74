"""What the routes share on the wire: forms of requests, warnings, events, and clients that leave."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from smoltolk.inference.running.rows import Drawing, Ending
from smoltolk.inference.sampling import Sampling
from smoltolk.serving.errors import RefusedError, as_refused, told_of

_Result = TypeVar("_Result")
_log = logging.getLogger("uvicorn.error")
EITHER: dict[str, Any] = {"application/json": {}, "text/event-stream": {}}  # what an answer is, whole or streamed
WARNING_HEADER = "x-smoltolk-warning"
LARGEST_SEED = 2**63 - 1

Seed = Annotated[
    int | None, Field(ge=0, le=LARGEST_SEED, description="Of every random choice; by default another each time.")
]
Temperature = Annotated[
    float | None, Field(ge=0, le=2, description="0: always the most likely id. Default: the bundle's.")
]
TopP = Annotated[float | None, Field(gt=0, le=1)]
TopK = Annotated[
    int | None, Field(ge=0, le=1 << 20, description="Only the k most likely ids; 0: all. Default: the bundle's.")
]
_StopText = Annotated[str, Field(max_length=256)]
Stop = Annotated[
    _StopText | Annotated[list[_StopText], Field(max_length=16)] | None,
    Field(description="Texts before which writing ends."),
]


class Form(BaseModel):
    """A request. Fields that nobody knows are refused, those of the OpenAI API that mean nothing here are told of."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")
    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset()

    def warnings(self) -> list[str]:
        """A sentence for each field that was sent and changes nothing."""
        sent = sorted(self.model_fields_set & self.UNSUPPORTED)
        return [f"{name} is not supported and changes nothing" for name in sent if getattr(self, name) is not None]


class StreamOptions(BaseModel):
    """What a stream tells besides."""

    model_config = ConfigDict(extra="ignore")
    include_usage: bool | None = False


class Recording(BaseModel):
    """A recording inside of JSON."""

    model_config = ConfigDict(extra="forbid")
    data: str = Field(description="Base64 of an audio file.")
    format: Literal["wav", "mp3", "flac", "opus", "ogg"] | None = Field(None, description="What it holds decides.")

    def content(self) -> bytes:
        """The file.

        Raises:
            RefusedError: no base64.
        """
        try:
            return base64.b64decode(self.data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RefusedError(400, f"input_audio.data is base64: {error}", "invalid_base64", "input_audio") from error


def headers_of(warnings: Iterable[str]) -> dict[str, str]:
    """Warnings as a header."""
    text = "; ".join(warnings).encode("ascii", "replace").decode()
    return {WARNING_HEADER: text} if text else {}


def new_seed(asked: int | None) -> int:
    """The seed that was asked for, or any."""
    return secrets.randbits(32) if asked is None else asked


def drawing_of(settings: Any, temperature: float | None, top_p: float | None, top_k: int | None, seed: int) -> Drawing:
    """How ids are drawn where a request, or else the bundle, says so."""
    own = settings.sampling
    if temperature is None:
        temperature = 0.0 if own is None else own.temperature
    if top_k is None:
        top_k = 0 if own is None else own.top_k
    if temperature == 0:
        return Drawing(None, seed)
    return Drawing(Sampling(temperature, top_k, 1.0 if top_p is None else top_p), seed)


def stops_of(stop: str | list[str] | None) -> list[str]:
    """Texts before which writing ends."""
    return [stop] if isinstance(stop, str) else list(stop or ())


def finish_reason(ending: Ending | None) -> str:
    """As the OpenAI API names an ending."""
    return "length" if ending == "length" else "stop"


def usage_of(prompt: int, made: int) -> dict[str, int]:
    """Ids of prompts and of what was made."""
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


def as_base64(data: bytes) -> str:
    """Bytes inside of JSON."""
    return base64.b64encode(data).decode()


# ------------------------------------------------------------------ events


def event(value: Any) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


class Streamed(StreamingResponse):
    """A body that is made while it is sent, within the time of a request.

    Args:
        parts: of the body. What they raise becomes their last part.
        seconds: until the end.
        failed: of an error that came after the beginning, the last part; None: the body breaks off.
        closes: called at the end, however it comes; also where nobody asked for a single part.
        media_type, headers: of the answer.
    """

    def __init__(
        self,
        parts: AsyncIterator[bytes],
        *,
        seconds: float,
        failed: Callable[[dict[str, Any]], bytes] | None = event,
        closes: Iterable[Callable[[], None]] = (),
        media_type: str = "text/event-stream",
        headers: dict[str, str] | None = None,
    ):
        self._closes = tuple(closes)
        held = {"cache-control": "no-cache", "x-accel-buffering": "no", **(headers or {})}
        super().__init__(_within(parts, seconds, failed), media_type=media_type, headers=held)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            for close in self._closes:
                close()


async def _within(
    parts: AsyncIterator[bytes], seconds: float, failed: Callable[[dict[str, Any]], bytes] | None
) -> AsyncIterator[bytes]:
    until = asyncio.get_running_loop().time() + seconds
    try:
        while True:
            async with asyncio.timeout_at(until):
                part = await anext(parts)
            yield part
    except StopAsyncIteration:
        return
    except (RefusedError, OSError, ValueError, RuntimeError) as error:  # TimeoutError is an OSError
        if failed is None:
            raise
        told = as_refused(error)
        if told.status == 500:  # nobody else tells whoever runs the server
            _log.error("an answer broke off", exc_info=error)
        yield failed(told_of(told.status, told.message, told.code, told.param))


# ------------------------------------------------------------------ clients that leave


async def while_there(request: Request, work: Coroutine[Any, Any, _Result], seconds: float) -> _Result:
    """The result of some work, which ends early where the client leaves or time is up.

    Args:
        request: whose body has been read.
        work: to be done.
        seconds: it may take.

    Raises:
        RefusedError: time is up, or nobody is there.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request.receive))
    try:
        await asyncio.wait((working, leaving), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        gone = leaving.done()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))
    if gone:
        raise RefusedError(499, "the client has left", "gone")
    raise RefusedError(503, f"a request takes {seconds:g} s at most", "timeout")


async def _left(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
