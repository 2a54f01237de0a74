"""``/v1/models``, health and figures."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from smoltolk.serving.engine import Engine
from smoltolk.serving.errors import RESPONSES, RefusedError
from smoltolk.serving.state import Shared

router = APIRouter(responses={status: RESPONSES[status] for status in (401,)})


class ServedModel(BaseModel):
    """A model that requests can name."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "smoltolk"
    voices: list[str]
    hears: bool
    speaks: bool
    num_units: int
    positions: int | None
    chooses_modality: bool
    languages: list[str]


class ServedModels(BaseModel):
    """All of them."""

    object: str = "list"
    data: list[ServedModel]


def _told(engine: Engine) -> ServedModel:
    return ServedModel(
        id=engine.name, created=engine.created, voices=list(engine.voices), hears=engine.units is not None,
        speaks=engine.vocoder is not None, num_units=engine.space.num_units,
        positions=engine.config.max_position_embeddings, chooses_modality=engine.config.predict_switch,
        languages=list(engine.languages),
    )  # fmt: skip


@router.get("/v1/models", tags=["models"], summary="What can be asked")
async def models(state: Shared) -> ServedModels:
    """Models by name, with their voices."""
    return ServedModels(data=[_told(engine) for engine in state.engines.values()])


@router.get("/v1/models/{model:path}", tags=["models"], summary="One of them", responses={404: RESPONSES[404]})
async def model(model: str, state: Shared) -> ServedModel:
    """A model by its name, which may hold slashes."""
    return _told(state.engine(model))


@router.get("/health", tags=["server"], summary="Whether the process answers")
async def health() -> dict[str, str]:
    """It does."""
    return {"status": "ok"}


@router.get("/ready", tags=["server"], summary="Whether models take requests", responses={503: RESPONSES[503]})
async def ready(state: Shared) -> dict[str, str]:
    """All models are loaded, and none is about to stop."""
    if not all(engine.worker.alive for engine in state.engines.values()):
        raise RefusedError(503, "a model takes no requests", "not_ready")
    return {"status": "ready"}


@router.get(
    "/metrics", tags=["server"], summary="Figures for Prometheus", response_class=Response,
    responses={200: {"description": "Figures.", "content": {"text/plain": {}}}},
)  # fmt: skip
async def metrics(state: Shared) -> Response:
    """Requests, ids, slots, and times."""
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
