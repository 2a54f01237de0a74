"""``/v1/audio/transcriptions``: a recording in, what is said out."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from fastapi import APIRouter, UploadFile
from fastapi import Form as FormField
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import Field
from starlette.requests import Request

from smoltolk.common.errors import InputError
from smoltolk.data.rows.documents import recognition_prompt
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.inference.running.rows import Ask
from smoltolk.serving.engine import Continuation, Engine
from smoltolk.serving.errors import RESPONSES, RefusedError
from smoltolk.serving.state import Shared, State
from smoltolk.serving.subtitles import TimedText, TimedWord, as_srt, as_vtt, check_aligned, segments_of, timed_words
from smoltolk.serving.wire import (
    DONE,
    Form,
    Streamed,
    Temperature,
    drawing_of,
    event,
    headers_of,
    new_seed,
    while_there,
)
from smoltolk.serving.writing import Writing

router = APIRouter(tags=["audio"], responses=RESPONSES)
_MEDIA: dict[str, Any] = {"application/json": {}, "text/plain": {}, "text/event-stream": {}}


class TranscriptionForm(Form):
    """A recording to be written down."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset(
        {"prompt", "include", "keywords", "languages", "chunking", "chunking_type", "chunking_prefix",
         "chunking_silence", "chunking_threshold", "known_names", "known_references"}
    )  # fmt: skip

    file: UploadFile = Field(description="wav, flac, mp3, ogg; with the extra media also m4a, webm and others.")
    model: str
    language: str | None = Field(None, description="ISO 639-1; times of words are known for en.", max_length=16)
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    temperature: Temperature = None
    timestamp_granularities: list[Literal["word", "segment"]] = Field([], alias="timestamp_granularities[]")
    stream: bool = False
    prompt: str | None = Field(None, description="Changes nothing.")
    include: list[str] = Field([], alias="include[]", description="Changes nothing.")
    keywords: list[str] = Field([], alias="keywords[]", description="Changes nothing.")
    languages: list[str] = Field([], alias="languages[]", description="Changes nothing.")
    chunking: str | None = Field(None, alias="chunking_strategy", description="Changes nothing.")
    chunking_type: str | None = Field(None, alias="chunking_strategy[type]")
    chunking_prefix: str | None = Field(None, alias="chunking_strategy[prefix_padding_ms]")
    chunking_silence: str | None = Field(None, alias="chunking_strategy[silence_duration_ms]")
    chunking_threshold: str | None = Field(None, alias="chunking_strategy[threshold]")
    known_names: list[str] = Field([], alias="known_speaker_names[]", description="Changes nothing.")
    known_references: list[str] = Field([], alias="known_speaker_references[]", description="Changes nothing.")


@router.post(
    "/v1/audio/transcriptions",
    summary="Write down a recording",
    response_class=Response,
    responses={200: {"description": "What is said, in the form that was asked for.", "content": _MEDIA}},
)
async def transcriptions(
    request: Request, form: Annotated[TranscriptionForm, FormField(media_type="multipart/form-data")], state: Shared
) -> Response:
    """The model writes down what it hears, if recognition was among its tasks."""
    engine = state.engine(form.model)
    language = (form.language or engine.languages[0]).lower()
    timed = form.response_format in ("srt", "vtt") or "word" in form.timestamp_granularities
    if form.timestamp_granularities and form.response_format != "verbose_json":
        message = "timestamp_granularities are told in verbose_json"
        raise RefusedError(400, message, "invalid_value", "timestamp_granularities")
    if form.stream and form.response_format not in ("json", "text"):
        raise RefusedError(400, "a stream is json or text", "invalid_value", "stream")
    if timed:
        check_aligned(language)
    data = await form.file.read()
    if not data:
        raise RefusedError(400, "the recording is empty", "invalid_value", "file")
    heard = _Heard(engine, *await while_there(request, engine.hear(data), state.limits.seconds), language)
    state.metrics.heard.inc(heard.duration)
    row = engine.start(heard.ask(form, state.limits.new_ids))
    headers = headers_of(form.warnings())
    if form.stream:
        events = _events(engine, row)
        return Streamed(events, seconds=state.limits.seconds, closes=[row.close], headers=headers)
    return await while_there(request, _answer(row, heard, form, state, headers), state.limits.seconds)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A recording."""

    engine: Engine
    units: np.ndarray
    waveform: np.ndarray
    language: str

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.waveform) / self.engine.units.sample_rate

    def ask(self, form: TranscriptionForm, most: int) -> Ask:
        """The most likely text, where nothing is said of the temperature."""
        prompt = recognition_prompt(self.engine.space, self.units).input_ids
        drawing = drawing_of(self.engine.settings, form.temperature or 0.0, None, None, new_seed(None))
        return Ask(
            prompt, frozenset([self.engine.space.eos_text]),
            self.engine.room(prompt, min(2 * len(self.units) + 32, most)), drawing,
            top_logprobs=0 if form.response_format == "verbose_json" else None, at_once=form.stream,
        )  # fmt: skip

    def words(self, text: str) -> list[TimedWord]:
        """When each is said."""
        return timed_words(self.waveform, self.engine.units.sample_rate, text, self.language)


async def _answer(
    row: Continuation, heard: _Heard, form: TranscriptionForm, state: State, headers: dict[str, str]
) -> Response:
    made = await row.whole()
    writing = Writing(heard.engine.tokenizer, heard.engine.space, row.ask.prompt)
    writing.whole(made.ids)
    text = writing.text.strip()
    if form.response_format == "text":
        return PlainTextResponse(text + "\n", headers=headers)
    if form.response_format == "json":
        return JSONResponse({"text": text, "usage": _usage(row, len(made.ids))}, headers=headers)
    duration = round(heard.duration, 3)
    words: list[TimedWord] = []
    segments = [TimedText(text, 0.0, duration)] if text else []
    if form.response_format in ("srt", "vtt") or "word" in form.timestamp_granularities:
        try:
            words = await heard.engine.pool.run(heard.words, text)
            segments = segments_of(words)
        except InputError as error:  # what the model wrote is not what is said
            headers = headers_of([*form.warnings(), f"the words were not found on the recording: {error.found}"])
    if form.response_format == "srt":
        return PlainTextResponse(as_srt(segments), headers=headers, media_type="application/x-subrip")
    if form.response_format == "vtt":
        return PlainTextResponse(as_vtt(segments), headers=headers, media_type="text/vtt")
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": heard.language,
        "duration": duration,
        "text": text,
        "usage": {"type": "duration", "seconds": duration},
    }
    wanted = form.timestamp_granularities or ["segment"]
    if "word" in wanted:
        body["words"] = [asdict(word) for word in words]
    if "segment" in wanted:
        sure = [one.own for one in made.logprobs if one.own is not None]
        told = {"seek": 0, "temperature": form.temperature or 0.0, "avg_logprob": sum(sure) / max(1, len(sure))}
        body["segments"] = [
            {"id": number, **asdict(one), **told, **_figures(heard.engine, one.text)}
            for number, one in enumerate(segments)
        ]
    return JSONResponse(body, headers=headers)


def _figures(engine: Engine, text: str) -> dict[str, Any]:
    """What the OpenAI API tells of a segment besides; nothing here knows how likely it is that nobody speaks."""
    written = text.encode()
    return {
        "tokens": plain_ids(engine.tokenizer, text),
        "compression_ratio": len(written) / len(zlib.compress(written)),
        "no_speech_prob": 0.0,
    }


def _usage(row: Continuation, made: int) -> dict[str, Any]:
    prompt = len(row.ask.prompt)
    return {
        "type": "tokens",
        "input_tokens": prompt,
        "output_tokens": made,
        "total_tokens": prompt + made,
        "input_token_details": {"audio_tokens": prompt, "text_tokens": 0},
    }


async def _events(engine: Engine, row: Continuation) -> AsyncIterator[bytes]:
    writing, count = Writing(engine.tokenizer, engine.space, row.ask.prompt), 0
    begun = False
    async for made in row:
        count += len(made.ids)
        text = writing.add(made.ids)[0]
        if made.ending is not None:
            text += writing.end()[0]
        if not begun:
            text = text.lstrip()
        begun = begun or bool(text)
        if text:
            yield event({"type": "transcript.text.delta", "delta": text})
    yield event({"type": "transcript.text.done", "text": writing.text.strip(), "usage": _usage(row, count)})
    yield DONE
