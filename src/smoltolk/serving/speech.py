"""``/v1/audio/speech``: a text in, its sound out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Body
from fastapi.responses import Response
from pydantic import Field
from starlette.requests import Request

from smoltolk.inference.running.rows import Ask
from smoltolk.inference.speakers import most_units
from smoltolk.serving.engine import Continuation, Engine
from smoltolk.serving.errors import RESPONSES, RefusedError
from smoltolk.serving.prompts import check_text
from smoltolk.serving.sounds import FORMATS, check_format
from smoltolk.serving.speaking import Voice, voice_name
from smoltolk.serving.state import Shared
from smoltolk.serving.streaming import STREAMS, StreamedSound
from smoltolk.serving.wire import (
    LARGEST_SEED,
    Form,
    Streamed,
    Temperature,
    TopK,
    TopP,
    as_base64,
    drawing_of,
    event,
    headers_of,
    while_there,
)
from smoltolk.serving.writing import Writing

_MEDIA: dict[str, Any] = {kind: {} for kind in [*(media for media, _, _ in FORMATS.values()), "text/event-stream"]}
_EXAMPLES: dict[str, Any] = {
    "a sentence": {"value": {"model": "bundle", "input": "The dog eats bread.", "seed": 0}},
    "a stream of events": {"value": {"model": "bundle", "input": "The dog eats bread.", "stream_format": "sse"}},
}
router = APIRouter(tags=["audio"], responses=RESPONSES)


class SpeechForm(Form):
    """A text to be spoken."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"instructions"})

    model: str
    input: str = Field(min_length=1, description="The text.")
    voice: Voice = Field(None, description="One of the model's voices (see /v1/models); default: its first.")
    response_format: Literal["wav", "pcm", "flac", "mp3", "opus"] = Field(
        "wav",
        description="Default wav. pcm: 16 bits, 24 kHz. mp3 and opus where this machine's libsndfile writes them.",
    )
    speed: Annotated[float, Field(ge=0.25, le=4.0)] = 1.0
    stream_format: Literal["sse", "audio"] = Field(
        "audio",
        description="sse: events with pieces of the sound. audio: its bytes; wav and pcm come while they are made.",
    )
    instructions: str | None = None
    temperature: Temperature = Field(0.0, description="Of sampling; 0: always the most likely unit.")
    top_p: TopP = None
    top_k: TopK = None
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED, description="Of sampling and vocoder.")] = 0


@router.post(
    "/v1/audio/speech",
    summary="Speak a text",
    response_class=Response,
    responses={200: {"description": "The sound.", "content": _MEDIA}},
)
async def speech(
    request: Request, form: Annotated[SpeechForm, Body(openapi_examples=_EXAMPLES)], state: Shared
) -> Response:
    """The model speaks a text, if synthesis was among its tasks."""
    engine = state.engine(form.model)
    check_format(form.response_format)
    voice = engine.voice(voice_name(form.voice))
    if not form.input.strip():
        raise RefusedError(400, "a text needs a word", "invalid_value", "input")
    prompt = engine.processor.synthesis_document(check_text(engine, form.input)).input_ids
    most = min(most_units(form.input, engine.space, engine.vocoder.frame_rate), state.limits.new_ids)
    drawing = drawing_of(engine.settings, form.temperature, form.top_p, form.top_k, form.seed)
    streams = form.response_format in STREAMS  # the others are spoken at the end, and need nothing before it
    row = engine.start(
        Ask(prompt, frozenset([engine.space.eos_speech]), engine.room(prompt, most), drawing, at_once=streams)
    )
    sound = StreamedSound(engine, state.metrics, form.response_format, voice, form.seed, form.speed)
    made = _Made(engine, row, sound)
    options: dict[str, Any] = {"seconds": state.limits.seconds, "headers": headers_of(form.warnings())}
    try:  # an error before the first sound has a status of its own
        first = await while_there(request, made.first(), state.limits.seconds)
    except BaseException:
        row.close()
        raise
    if form.stream_format == "sse":
        return Streamed(_events(made, first), failed=_failed, closes=[row.close], **options)
    media = FORMATS[form.response_format][0]
    return Streamed(_bytes(made, first), closes=[row.close], failed=None, media_type=media, **options)


def _failed(told: dict[str, Any]) -> bytes:
    return event({"type": "speech.audio.error", **told})


class _Made:
    """What a row says, as bytes."""

    def __init__(self, engine: Engine, row: Continuation, sound: StreamedSound):
        self.row, self.writing = row, Writing(engine.tokenizer, engine.space, row.ask.prompt)
        self._sound, self._parts, self.num_ids = sound, aiter(row), 0

    async def first(self) -> bytes:
        """The first bytes.

        Raises:
            RefusedError: it says nothing.
        """
        data = await self.next()
        while data == b"":
            data = await self.next()
        if data is None:
            raise RefusedError(400, "the model has nothing to say to this", "nothing_said", "input")
        return data

    async def next(self) -> bytes | None:
        """More bytes, none for now, or None: it is done."""
        made = await anext(self._parts, None)
        if made is None:
            return None
        self.num_ids += len(made.ids)
        _, units = self.writing.add(made.ids)
        data = await self._sound.add(units)
        if made.ending is not None:
            data += await self._sound.add(self.writing.end()[1])
            data += await self._sound.finish() if len(self.writing.units) else b""
        return data


async def _bytes(made: _Made, first: bytes) -> AsyncIterator[bytes]:
    data: bytes | None = first
    while data is not None:
        if data:
            yield data
        data = await made.next()


async def _events(made: _Made, first: bytes) -> AsyncIterator[bytes]:
    async for data in _bytes(made, first):
        yield event({"type": "speech.audio.delta", "audio": as_base64(data)})
    prompt = len(made.row.ask.prompt)
    usage = {"input_tokens": prompt, "output_tokens": made.num_ids, "total_tokens": prompt + made.num_ids}
    yield event({"type": "speech.audio.done", "usage": usage})
