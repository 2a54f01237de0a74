"""The app: routes, what stands before them, and what lives as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.formparsers import MultiPartParser
from starlette.middleware.cors import CORSMiddleware

from smoltolk import __version__
from smoltolk.common.errors import InputError
from smoltolk.serving import chat, completions, models, speech, transcriptions
from smoltolk.serving.admission import Admission
from smoltolk.serving.answers import SpokenAnswers
from smoltolk.serving.engine import Engine, SoundPool
from smoltolk.serving.errors import handle_errors
from smoltolk.serving.keys import KeyCheck, Keys
from smoltolk.serving.limits import Limits
from smoltolk.serving.metrics import Measured, Metrics
from smoltolk.serving.state import State
from smoltolk.serving.wire import WARNING_HEADER

_DESCRIPTION = """Models that hear, speak and write, by the OpenAI API.

Errors are `{"error": {message, type, param, code}}`. Fields that mean nothing here are told of in the header
`x-smoltolk-warning`; fields that nobody knows are refused. `top_k`, `parts`, `modality` and `segments` are ours."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model to be served.

    Attributes:
        talker: a SpeechText; its model belongs to the app from now on.
        languages: that it was made for, ISO 639-1, the usual one first.
    """

    talker: Any
    languages: Sequence[str] = ("en",)


def create_app(
    offers: Mapping[str, Offer],
    *,
    limits: Limits | None = None,
    keys: Keys | None = None,
    origins: Sequence[str] = (),
    sound_threads: int = 2,
) -> FastAPI:
    """An ASGI app that serves models.

    Args:
        offers: by the names that requests know them by.
        limits: of the server.
        keys: that open it; None: everybody may ask.
        origins: pages of these, e.g. ``https://example.org``, may ask from browsers; others read no answer.
        sound_threads: for recordings and sounds.

    Raises:
        InputError: nothing to serve, or a model whose rows cannot come and go.
    """
    if not offers:
        raise InputError("a server serves a model at least", "none", "name a bundle")
    limits = limits or Limits()
    for name in ("spool_max_size", "max_file_size"):  # as starlette calls it now, and before 0.46
        setattr(MultiPartParser, name, limits.body_bytes)  # no recording of a client is written to a disk
    pool = SoundPool(sound_threads, len(offers) * limits.slots + limits.queue)
    engines = {name: Engine(name, offer.talker, limits, pool, offer.languages) for name, offer in offers.items()}
    state = State(
        engines, limits, Metrics({name: engine.worker for name, engine in engines.items()}),
        SpokenAnswers(limits.kept_answers),
    )  # fmt: skip

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for engine in engines.values():  # what was under way has been answered, or given up
            engine.worker.close(wait=False)
        pool.close()

    app = FastAPI(
        title="smoltolk", version=__version__, description=_DESCRIPTION, lifespan=lifespan, redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )  # fmt: skip
    app.state.smoltolk = state
    handle_errors(app)
    for routes in (transcriptions, speech, chat, completions, models):
        app.include_router(routes.router)
    app.add_middleware(Admission, limits=limits)
    app.add_middleware(KeyCheck, keys=keys)
    if origins:  # before the keys: browsers ask whether they may ask without one
        app.add_middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST"], allow_headers=["*"],
            expose_headers=[WARNING_HEADER, "retry-after"],
        )  # fmt: skip
    app.add_middleware(Measured, metrics=state.metrics)  # the last one added stands first
    return app
