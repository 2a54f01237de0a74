"""``/v1/chat/completions``: turns of text and recordings in, the next turn out, written or spoken."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body
from fastapi.responses import Response
from starlette.requests import Request

from smoltolk.inference.running.rows import Ask
from smoltolk.serving.answers import expiry, new_id
from smoltolk.serving.chat_form import EXAMPLES, ChatForm, Message
from smoltolk.serving.choices import answered, check_most, start_all
from smoltolk.serving.engine import Continuation, Engine
from smoltolk.serving.errors import RESPONSES, RefusedError
from smoltolk.serving.parts import Reader
from smoltolk.serving.prompts import Content, check_text
from smoltolk.serving.sounds import check_format, encoded
from smoltolk.serving.speaking import ChatAudio, transcript_of, voice_name
from smoltolk.serving.state import Shared, State
from smoltolk.serving.streaming import StreamedSound
from smoltolk.serving.tokens import chat_logprobs
from smoltolk.serving.turns import WireTurn, prompt_of_turns
from smoltolk.serving.wire import (
    DONE,
    EITHER,
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


@router.post(
    "/v1/chat/completions",
    summary="Go on with a dialogue",
    response_class=Response,
    responses={200: {"description": "The next turn.", "content": EITHER}},
)
async def chat(request: Request, form: Annotated[ChatForm, Body(openapi_examples=EXAMPLES)], state: Shared) -> Response:
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
        audio, self._voice = form.audio or ChatAudio(voice=None), None
        self._format = audio.written_as
        if form.speaks:
            check_format(self._format)
            self._voice = engine.voice(voice_name(audio.voice))
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
        read = [WireTurn(one.role, await self._contents(reader, one)) for one in self._form.messages]
        turns = [turn for turn in read if turn.contents]
        lay_out = partial(prompt_of_turns, in_speech=self._form.speaks, most=self._most)
        # In a thread: a long dialogue takes seconds to encode.
        self._prompt, dropped = await self._engine.pool.run(lay_out, self._engine, turns)
        if dropped:
            self._warnings.append(f"{dropped} earlier turns were left out for want of positions")

    async def _contents(self, reader: Reader, message: Message) -> list[Content]:
        if message.audio is not None:
            held = self._state.answers.get(message.audio.id, self._owner)
            if held is None:
                raise RefusedError(404, "no such spoken answer, or it has expired", "audio_not_found", "messages")
            return [held.units] if len(held.units) else []
        if isinstance(message.content, str):
            return [check_text(self._engine, message.content)] if message.content else []
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
            if delta or logprobs:
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
            told = chat_logprobs(self._engine, made.logprobs) if self._form.logprobs and made.logprobs else None
            yield {"audio": {"data": as_base64(data)}} if data else {}, told, made.ending, len(made.ids)
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
