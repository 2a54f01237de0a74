"""``/v1/completions``: a prompt of text, of ids, or of text and speech in turns, and what comes behind it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from fastapi import APIRouter, Body
from fastapi.responses import Response
from pydantic import Field
from starlette.requests import Request

from smoltolk.common.errors import InputError
from smoltolk.inference.running.rows import Ask, Logprob
from smoltolk.model.generation.modes import due_is_speech
from smoltolk.serving.answers import new_id
from smoltolk.serving.choices import answered, check_most, start_all
from smoltolk.serving.engine import Continuation, Engine
from smoltolk.serving.errors import RESPONSES, RefusedError
from smoltolk.serving.parts import Part, Reader
from smoltolk.serving.prompts import check_text, prompt_of
from smoltolk.serving.sounds import check_format, encoded
from smoltolk.serving.speaking import ChatAudio, voice_name
from smoltolk.serving.state import Shared, State
from smoltolk.serving.streaming import StreamedSound
from smoltolk.serving.tokens import completion_logprobs, ids_as_text, segments_of_ids
from smoltolk.serving.wire import (
    DONE,
    EITHER,
    Form,
    Seed,
    Stop,
    StreamOptions,
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

router = APIRouter(tags=["completions"], responses=RESPONSES)
_MOST_IDS = 1 << 16  # of a prompt on the wire; the model's positions hold fewer
_Item = TypeVar("_Item")
Several = Annotated[list[_Item], Field(min_length=1, max_length=1000)]
Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=_MOST_IDS)]


class CompletionForm(Form):
    """A prompt to go on with."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {"best_of", "frequency_penalty", "presence_penalty", "logit_bias", "suffix", "user"}
    )

    model: str
    prompt: Ids | Several[Ids] | str | Several[str] | None = Field(None, description="Text, ids, or a list of either.")
    parts: list[Part] | None = Field(
        None, min_length=1, max_length=1000, description="In place of prompt: text, recordings and units in turns."
    )
    modality: Literal["text", "speech", "any"] | None = Field(
        None, description="Of what comes; default: the prompt goes on as it ends. any: the model chooses, if it can."
    )
    audio: ChatAudio | None = Field(None, description="How what is said is spoken; without it only its units are told.")
    max_tokens: int | None = Field(None, ge=0, description="Ids that come; 0 with echo: the prompt alone is scored.")
    echo: bool | None = Field(False, description="Tell the prompt too.")
    logprobs: int | None = Field(None, ge=0, le=20, description="Log-probabilities, and of so many ids beside.")
    temperature: Temperature = None
    top_p: TopP = None
    top_k: TopK = None
    seed: Seed = None
    n: int | None = Field(1, ge=1)
    stop: Stop = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    best_of: Any = None
    frequency_penalty: Any = None
    presence_penalty: Any = None
    logit_bias: Any = None
    suffix: Any = None
    user: Any = None


_EXAMPLES: dict[str, Any] = {
    "text": {"value": {"model": "bundle", "prompt": "In Oslo, Mia has a", "max_tokens": 8, "seed": 0}},
    "scored": {"value": {"model": "bundle", "prompt": "Mia has a dog.", "max_tokens": 0, "echo": True, "logprobs": 1}},
    "text and speech": {
        "value": {
            "model": "bundle",
            "parts": [{"type": "text", "text": "Mia has a"}, {"type": "units", "units": [3, 1, 4]}],
            "modality": "speech",
        }
    },
}


@router.post(
    "/v1/completions",
    summary="Go on with a prompt, or score it",
    response_class=Response,
    responses={200: {"description": "What comes.", "content": EITHER}},
)
async def completions(
    request: Request, form: Annotated[CompletionForm, Body(openapi_examples=_EXAMPLES)], state: Shared
) -> Response:
    """The model goes on where a prompt ends. ``parts`` is the door for text and speech in turns."""
    engine = state.engine(form.model)
    work = _Completion(form, state, engine)
    await while_there(request, work.read(), state.limits.seconds)
    rows, headers = start_all(engine, work.asks()), headers_of(form.warnings())
    return await answered(request, work, rows, streams=bool(form.stream), seconds=state.limits.seconds, headers=headers)


class _Completion:
    """The continuations of one request.

    Args:
        form, state, engine: what is asked, and of whom.
    """

    def __init__(self, form: CompletionForm, state: State, engine: Engine):
        self._form, self._state, self._engine = form, state, engine
        self._id, self._created, self._seed = new_id("cmpl"), int(time.time()), new_seed(form.seed)
        self._prompts: list[np.ndarray] = []
        self._begin = 0  # ids of the prompt that are not the client's
        if (form.prompt is None) == (form.parts is None):
            raise RefusedError(400, "give prompt or parts", "invalid_value", "prompt")
        if form.modality == "any" and not engine.config.predict_switch:
            raise InputError("a model chooses its modality if it learned to", f"{engine.name} did not", "ask for one")
        self._format = self._voice = None
        if form.audio is not None:
            self._format = check_format(form.audio.written_as)
            self._voice = engine.voice(voice_name(form.audio.voice))

    async def read(self) -> None:
        """Make the prompts.

        Raises:
            InputError, RefusedError, BusyError: one that cannot be read, or too many.
        """
        form, engine = self._form, self._engine
        in_speech = {"speech": True, "text": False}.get(form.modality or "")
        if form.parts is not None:
            contents = await Reader(engine, self._state).read(form.parts)
            self._prompts = [await engine.pool.run(partial(prompt_of, in_speech=in_speech), engine, contents)]
        else:
            prompt: Any = form.prompt
            many = isinstance(prompt, list) and not isinstance(prompt[0] if prompt else 0, int)
            prompts = prompt if many else [prompt]
            check_most(0, len(prompts) * (form.n or 1), self._state, streams=bool(form.stream))
            for one in prompts:
                if isinstance(one, str):
                    self._begin = 1  # the end id that every document begins with
                    self._prompts.append(prompt_of(engine, [check_text(engine, one)], in_speech=in_speech))
                else:
                    self._prompts.append(self._led(np.array(one, np.int64), in_speech))
        choices = len(self._prompts) * (form.n or 1)
        most = form.max_tokens
        if most is None:
            usual = engine.settings.max_units if in_speech else engine.settings.max_tokens
            most = min(usual, self._state.limits.new_ids)
        self._most = most
        check_most(most, choices, self._state, streams=bool(form.stream))

    def _led(self, ids: np.ndarray, in_speech: bool | None) -> np.ndarray:
        """Ids of a client, with a ``<switch>`` where another modality is to come."""
        if ids.max() >= self._engine.config.vocab_size:
            raise InputError(
                f"ids are 0 .. {self._engine.config.vocab_size - 1}", f"{ids.max()}", "use the model's own"
            )
        due = bool(due_is_speech(torch.from_numpy(ids)[None], self._engine.space)[0])
        if in_speech is None or due == in_speech:
            return ids
        if ids[-1] == self._engine.space.switch:
            raise InputError(
                "something stands between two switches", "a <switch> to the other modality", "leave it out"
            )
        return np.append(ids, self._engine.space.switch)

    def asks(self) -> Iterator[Ask]:
        """What is asked for, choice by choice.

        Raises:
            InputError: there is no room behind a prompt.
        """
        form, space = self._form, self._engine.space
        ends = frozenset([space.eos_text, space.eos_speech])
        told = form.logprobs is not None
        for number, prompt in enumerate(one for one in self._prompts for _ in range(form.n or 1)):
            drawing = drawing_of(self._engine.settings, form.temperature, form.top_p, form.top_k, self._seed + number)
            most = self._engine.room(prompt, self._most) if self._most else 0
            yield Ask(
                prompt, ends, most, drawing, holds=form.modality != "any", top_logprobs=form.logprobs,
                echo=bool(form.echo) and told, at_once=bool(form.stream or form.stop),
            )  # fmt: skip

    # ------------------------------------------------------------------ whole

    async def whole(self, rows: list[Continuation]) -> dict[str, Any]:
        """All continuations as one object."""
        made = [await self._choice(number, row) for number, row in enumerate(rows)]
        prompts = sum(len(prompt) for prompt in self._prompts)
        usage = usage_of(prompts, sum(count for _, count in made))
        return {**self._head(), "choices": [choice for choice, _ in made], "usage": usage}

    async def _choice(self, number: int, row: Continuation) -> tuple[dict[str, Any], int]:
        engine, form = self._engine, self._form
        writing = self._writing(row)
        made = await writing.follow(row)
        ids = made.ids
        choice: dict[str, Any] = {
            "index": number,
            "text": (ids_as_text(engine, row.ask.prompt.tolist()) if form.echo else "") + writing.text,
            "finish_reason": "stop" if writing.stopped else finish_reason(made.ending),
            "logprobs": None,
        }
        if form.logprobs is not None:
            choice["logprobs"] = completion_logprobs(engine, [*made.prompt_logprobs[self._begin :], *made.logprobs])
        if len(writing.units):
            choice["segments"] = segments_of_ids(engine, ids)
            if self._format is not None:
                waveform = await engine.speak(writing.units, self._voice, row.ask.drawing.seed)
                rate = engine.vocoder.sample_rate
                self._state.metrics.spoken.inc(len(waveform) / rate)
                choice["audio"] = {"data": as_base64(await engine.pool.run(encoded, waveform, rate, self._format))}
        return choice, len(ids)

    # ------------------------------------------------------------------ streamed

    async def events(self, row: Continuation) -> AsyncIterator[bytes]:
        """The continuation in pieces: text as it is written, units as they are said."""
        engine, form, writing, count = self._engine, self._form, self._writing(row), 0
        sound = None
        if self._format is not None:
            sound = self._streamed_sound(row)
        if form.echo:
            yield self._event(text=ids_as_text(engine, row.ask.prompt.tolist()))
        reason = "stop"
        async for made in row:
            count += len(made.ids)
            text, units = writing.add(made.ids)
            if made.ending is not None or writing.stopped:
                more_text, more_units = writing.end()
                text, units = text + more_text, np.concatenate([units, more_units])
            found = [*made.prompt_logprobs[self._begin :], *made.logprobs] if form.logprobs is not None else []
            data = await sound.add(units) if sound is not None else b""
            if (made.ending is not None or writing.stopped) and sound is not None and len(writing.units):
                data += await sound.finish()
            if text or len(units) or found or data:
                yield self._event(text=text, units=units, found=found, data=data)
            reason = "stop" if writing.stopped else finish_reason(made.ending)
            if writing.stopped:
                break
        yield self._event(reason=reason)
        if form.stream_options is not None and form.stream_options.include_usage:
            yield event({**self._head(), "choices": [], "usage": usage_of(len(row.ask.prompt), count)})
        yield DONE

    def _event(
        self,
        text: str = "",
        units: np.ndarray | None = None,
        found: list[Logprob] | None = None,
        data: bytes = b"",
        reason: str | None = None,
    ) -> bytes:
        told = completion_logprobs(self._engine, found) if found else None
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": reason, "logprobs": told}
        if units is not None and len(units):
            choice["segments"] = [{"type": "units", "units": units.tolist()}]
        if data:
            choice["audio"] = {"data": as_base64(data)}
        return event({**self._head(), "choices": [choice]})

    def _streamed_sound(self, row: Continuation) -> Any:
        return StreamedSound(
            self._engine, self._state.metrics, self._format or "wav", self._voice, row.ask.drawing.seed
        )

    def _head(self) -> dict[str, Any]:
        return {"id": self._id, "object": "text_completion", "created": self._created, "model": self._engine.name}

    def _writing(self, row: Continuation) -> Writing:
        return Writing(self._engine.tokenizer, self._engine.space, row.ask.prompt, stops_of(self._form.stop))
