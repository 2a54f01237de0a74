"""What clients are told that ask for something that cannot be: JSON as the OpenAI API has it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request

from smoltolk.common.errors import InputError, MissingExtraError, NotFoundError, SmolTolkError
from smoltolk.inference.running.rows import BusyError

_NAMED = 5  # unknown fields that a message names
_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class Told(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: Told


class RefusedError(Exception):
    """A request that cannot be answered.

    Args:
        status: of HTTP, 4xx, or 503.
        message: for people.
        code: for programs.
        param: the field that is meant.
    """

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None):
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param


# What the OpenAPI document says of every route.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": text}
    for status, text in {
        400: "The request cannot be answered as it is.",
        401: "The key is missing or wrong.",
        404: "No such model or answer.",
        408: "The request was not sent in time.",
        413: "The body is too large.",
        422: "The body is not of this form.",
        429: "Too many requests wait; ask again later.",
        503: "It took too long, or the server is about to stop.",
    }.items()
}


def told_of(status: int, message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    kind = _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(status: int, message: str, code: str | None = None, param: str | None = None) -> JSONResponse:
    """An answer that is an error."""
    headers = {429: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}.get(status)
    return JSONResponse(told_of(status, message, code, param), status, headers)


def as_refused(error: Exception) -> RefusedError:
    """What a client is told of an error that a request met."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, BusyError):
        return RefusedError(429, _sentence(error), "busy")
    if isinstance(error, NotFoundError):
        return RefusedError(404, _sentence(error), "not_found")
    if isinstance(error, MissingExtraError):
        return RefusedError(400, _sentence(error), "not_installed")
    if isinstance(error, InputError):
        return RefusedError(400, _sentence(error), "invalid_value")
    if isinstance(error, TimeoutError):
        return RefusedError(503, "the request took too long", "timeout")
    return RefusedError(500, "the server failed", "internal_error")


def handle_errors(app: FastAPI) -> None:
    """Let every error of an app have this form."""

    async def ours(request: Request, error: Exception) -> JSONResponse:
        told = as_refused(error)
        return error_response(told.status, told.message, told.code, told.param)

    async def of_http(request: Request, error: Exception) -> JSONResponse:
        status, detail, headers = (
            (error.status_code, str(error.detail), error.headers)
            if isinstance(error, StarletteHTTPException)
            else (500, "the server failed", None)
        )
        answer = error_response(status, detail)
        answer.headers.update(headers or {})
        return answer

    async def of_form(request: Request, error: Exception) -> JSONResponse:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        first = found[0] if found else {"loc": (), "msg": "not of this form"}
        param = ".".join(str(part) for part in first["loc"] if part not in ("body", "form"))
        told = f"{param or 'the body'}: {first['msg']}"
        # A field that is missing is often there under a misspelt name.
        unknown = [
            str(one["loc"][-1]) for one in found[1:] if one["type"] == "extra_forbidden" and len(one["loc"]) == 2
        ]
        if unknown:
            told += f"; fields that nobody knows: {', '.join(unknown[:_NAMED])}"
        return error_response(422, told, "invalid_form", param or None)

    for kind in (RefusedError, SmolTolkError, TimeoutError, Exception):
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(StarletteHTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_form)


def _sentence(error: SmolTolkError) -> str:
    return f"{error.rule}; found: {error.found}; {error.fix}"
