"""``/v1/chat/completions``: turns of text and recordings in, the next turn out, written or spoken."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from fastapi import APIRouter, Body
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from smoltolk.inference.running.rows import Ask
from smoltolk.serving.answers import expiry, new_id
from smoltolk.serving.choices import answered, check_most, start_all
from smoltolk.serving.engine import Continuation, Engine
from smoltolk.serving.errors import RESPONSES, RefusedError
from smoltolk.serving.parts import Part, Reader
from smoltolk.serving.prompts import Segment, prompt_of, text_segment
from smoltolk.serving.sounds import check_format, encoded
from smoltolk.serving.speaking import transcript_of
from smoltolk.serving.state import Shared, State
from smoltolk.serving.streaming import StreamedSound
from smoltolk.serving.tokens import chat_logprobs
from smoltolk.serving.wire import (
    DONE,
    EITHER,
    Form,
    Seed,
    Stop,
    Temperature,
    TopK,
    TopP,
    as_base64,
    drawing_of,
    event,
    finish_reason,
    headers_of,
    new_seed,
    stops_of,
    usage_of,
    while_there,
)
from smoltolk.serving.writing import Writing

router = APIRouter(tags=["chat"], responses=RESPONSES)
_FORMATS = {"pcm16": "pcm"}


class AnswerId(BaseModel):
    """An earlier spoken answer."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(max_length=128)


class Message(BaseModel):
    """A turn."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None
    audio: AnswerId | None = Field(None, description="Of an assistant: what it said earlier.")


class ChatAudio(BaseModel):
    """How an answer is spoken."""

    model_config = ConfigDict(extra="forbid")
    voice: str | AnswerId | None = Field(None, description="One of the model's voices; default: its first.")
    format: Literal["wav", "mp3", "flac", "opus", "pcm16"] = "wav"


class StreamOptions(BaseModel):
    """What a stream tells besides."""

    model_config = ConfigDict(extra="ignore")
    include_usage: bool | None = False


class ChatForm(Form):
    """A dialogue to go on with."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {"frequency_penalty", "presence_penalty", "logit_bias", "metadata", "store", "user", "tools", "tool_choice",
         "parallel_tool_calls", "response_format", "reasoning_effort", "verbosity", "service_tier", "prediction",
         "web_search_options", "safety_identifier", "prompt_cache_key", "moderation", "functions", "function_call",
         "prompt_cache_options", "prompt_cache_retention"}
    )  # fmt: skip

    model: str
    messages: list[Message] = Field(min_length=1, max_length=1000)
    modalities: list[Literal["text", "audio"]] | None = Field(None, description="With audio the answer is spoken.")
    audio: ChatAudio | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    temperature: Temperature = None
    top_p: TopP = None
    top_k: TopK = None
    seed: Seed = None
    n: int | None = Field(1, ge=1)
    stop: Stop = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    frequency_penalty: Any = None
    presence_penalty: Any = None
    logit_bias: Any = None
    metadata: Any = None
    store: Any = None
    user: Any = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    functions: Any = None
    function_call: Any = None
    response_format: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    service_tier: Any = None
    prediction: Any = None
    web_search_options: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    moderation: Any = None

    @property
    def speaks(self) -> bool:
        """Whether the answer is spoken."""
        return "audio" in (self.modalities or ())


_TURN = {"role": "user", "content": "In Oslo, Mia has a dog."}
_EXAMPLES: dict[str, Any] = {
    "written": {"value": {"model": "bundle", "messages": [_TURN], "seed": 0}},
    "spoken": {
        "value": {"model": "bundle", "messages": [_TURN], "modalities": ["text", "audio"], "audio": {"format": "wav"}}
    },
}


@router.post(
    "/v1/chat/completions",
    summary="Go on with a dialogue",
    response_class=Response,
    responses={200: {"description": "The next turn.", "content": EITHER}},
)
async def chat(
    request: Request, form: Annotated[ChatForm, Body(openapi_examples=_EXAMPLES)], state: Shared
) -> Response:
    """The model goes on where the last turn ends: in writing, or aloud where ``modalities`` has ``audio``."""
    engine = state.engine(form.model)
    answer = _Answer(request, form, state, engine)
    await while_there(request, answer.read(), state.limits.seconds)
    rows = start_all(engine, answer.asks())
    return await answered(
        request, answer, rows, streams=bool(form.stream), seconds=state.limits.seconds, headers=answer.headers
    )


class _Answer:
    """The next turn of a dialogue.

    Args:
        request, form, state, engine: what is asked, and of whom.
    """

    def __init__(self, request: Request, form: ChatForm, state: State, engine: Engine):
        self._form, self._state, self._engine = form, state, engine
        self._owner: str = request.scope.get("owner", "")
        self._id, self._created = new_id("chatcmpl"), int(time.time())
        self._seed, self._warnings = new_seed(form.seed), form.warnings()
        self._prompt = np.zeros(0, np.int64)
        audio = form.audio or ChatAudio(voice=None)
        self._format, self._voice = _FORMATS.get(audio.format, audio.format), None
        if form.speaks:
            check_format(self._format)
            self._voice = engine.voice(audio.voice.id if isinstance(audio.voice, AnswerId) else audio.voice)
        usual = engine.settings.max_units if form.speaks else engine.settings.max_tokens
        self._most = form.max_completion_tokens or form.max_tokens or min(usual, state.limits.new_ids)
        check_most(self._most, form.n or 1, state, streams=bool(form.stream))

    @property
    def headers(self) -> dict[str, str]:
        """Warnings."""
        return headers_of(self._warnings)

    async def read(self) -> None:
        """Make the prompt of the turns; the oldest ones are left out where there is no room for them.

        Raises:
            InputError, RefusedError, BusyError: a turn that cannot be read.
        """
        reader = Reader(self._engine, self._state)
        turns = [await self._turn(reader, message) for message in self._form.messages]
        turns = [turn for turn in turns if turn]
        longest, dropped = self._engine.config.max_position_embeddings, 0
        while True:
            self._prompt = prompt_of(self._engine, _joined(self._engine, turns), speaks=self._form.speaks)
            if longest is None or len(self._prompt) + self._most <= longest or len(turns) < 2:
                break
            turns, dropped = turns[1:], dropped + 1
        if dropped:
            self._warnings.append(f"{dropped} earlier turns were left out for want of positions")

    async def _turn(self, reader: Reader, message: Message) -> list[Segment]:
        if message.audio is not None:
            held = self._state.answers.get(message.audio.id, self._owner)
            if held is None:
                raise RefusedError(404, "no such spoken answer, or it has expired", "audio_not_found", "messages")
            return [(True, held.units)]
        if isinstance(message.content, str):
            return [text_segment(self._engine, message.content)] if message.content else []
        return await reader.read(message.content or ())

    def asks(self) -> Iterator[Ask]:
        """What is asked for, choice by choice.

        Raises:
            InputError: there is no room behind the prompt.
        """
        form, space = self._form, self._engine.space
        most = self._engine.room(self._prompt, self._most)
        for number in range(form.n or 1):
            yield Ask(
                self._prompt, frozenset([space.eos_text, space.eos_speech]), most,
                drawing_of(self._engine.settings, form.temperature, form.top_p, form.top_k, self._seed + number),
                top_logprobs=(form.top_logprobs or 0) if form.logprobs else None,
                at_once=bool(form.stream or form.stop),
            )  # fmt: skip

    # ------------------------------------------------------------------ whole

    async def whole(self, rows: list[Continuation]) -> dict[str, Any]:
        """The answer as one object."""
        made = [await self._choice(number, row) for number, row in enumerate(rows)]
        return {
            **self._head("chat.completion"),
            "choices": [choice for choice, _ in made],
            "usage": usage_of(len(self._prompt), sum(count for _, count in made)),
        }

    async def _choice(self, number: int, row: Continuation) -> tuple[dict[str, Any], int]:
        writing = self._writing()
        made = await writing.follow(row)
        logprobs, ending, count = made.logprobs, made.ending, len(made.ids)
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        if self._form.speaks:
            message["audio"] = await self._spoken(writing.units)
        else:
            message["content"] = writing.text
        told = chat_logprobs(self._engine, logprobs) if self._form.logprobs else None
        reason = "stop" if writing.stopped else finish_reason(ending)
        return {"index": number, "message": message, "finish_reason": reason, "logprobs": told}, count

    async def _spoken(self, units: np.ndarray) -> dict[str, Any]:
        if not len(units):
            raise RefusedError(400, "the model has nothing to say to this", "nothing_said", "messages")
        waveform = await self._engine.speak(units, self._voice, self._seed)
        rate = self._engine.vocoder.sample_rate
        self._state.metrics.spoken.inc(len(waveform) / rate)
        data = await self._engine.pool.run(encoded, waveform, rate, self._format)
        transcript = await transcript_of(self._engine, units)
        held = self._state.answers.keep(new_id("audio"), self._owner, units, transcript)
        return {"id": held.id, "data": as_base64(data), "expires_at": held.expires_at, "transcript": transcript}

    # ------------------------------------------------------------------ streamed

    async def events(self, row: Continuation) -> AsyncIterator[bytes]:
        """The answer in pieces."""
        speaks = self._form.speaks
        parts = self._spoken_pieces(row) if speaks else self._written_pieces(row)
        first = {"role": "assistant"} if speaks else {"role": "assistant", "content": ""}
        yield self._event(first)
        reason, count = "stop", 0
        async for delta, logprobs, ending, ids in parts:
            count += ids
            reason = finish_reason(ending) if ending else reason
            if delta:
                yield self._event(delta, logprobs=logprobs)
        yield self._event({}, reason)
        if self._form.stream_options is not None and self._form.stream_options.include_usage:
            yield event(
                {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_of(len(self._prompt), count)}
            )
        yield DONE

    async def _written_pieces(self, row: Continuation) -> AsyncIterator[tuple[Any, Any, Any, int]]:
        writing = self._writing()
        async for made in row:
            text = writing.add(made.ids)[0]
            if made.ending is not None or writing.stopped:
                text += writing.end()[0]
            told = chat_logprobs(self._engine, made.logprobs) if self._form.logprobs and made.logprobs else None
            yield {"content": text} if text else {}, told, "stop" if writing.stopped else made.ending, len(made.ids)
            if writing.stopped:
                return

    async def _spoken_pieces(self, row: Continuation) -> AsyncIterator[tuple[Any, Any, Any, int]]:
        writing, answer_id = self._writing(), new_id("audio")
        sound = StreamedSound(self._engine, self._state.metrics, self._format, self._voice, self._seed)
        yield {"audio": {"id": answer_id}}, None, None, 0
        async for made in row:
            units = writing.add(made.ids)[1]
            data = await sound.add(units)
            if made.ending is not None:
                data += await sound.add(writing.end()[1])
                data += await sound.finish() if len(writing.units) else b""
            yield {"audio": {"data": as_base64(data)}} if data else {}, None, made.ending, len(made.ids)
        transcript = await transcript_of(self._engine, writing.units) if len(writing.units) else ""
        yield {"audio": {"transcript": transcript}}, None, None, 0
        self._state.answers.keep(answer_id, self._owner, writing.units, transcript)
        yield {"audio": {"expires_at": expiry()}}, None, None, 0

    def _event(self, delta: dict[str, Any], reason: str | None = None, logprobs: Any = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._engine.name}

    def _writing(self) -> Writing:
        return Writing(self._engine.tokenizer, self._engine.space, self._prompt, stops_of(self._form.stop))


def _joined(engine: Engine, turns: list[list[Segment]]) -> list[Segment]:
    """All turns, a line break between two that meet in writing."""
    segments: list[Segment] = []
    for turn in turns:
        if segments and not segments[-1][0] and not turn[0][0]:
            segments.append(text_segment(engine, "\n"))
        segments += turn
    return segments
