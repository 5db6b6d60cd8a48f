"""Every error as a problem document (RFC 9457): one table, no echo of what was sent."""

import asyncio
import logging
import secrets

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exchange.book import Closed, Mended
from exchange.journal import NoSpace
from exchange.protocol import problems
from privacy.errors import PrivacyError

log = logging.getLogger(__name__)

_STORAGE: dict[type[PrivacyError], tuple[str, int, str]] = {
    Closed: ("TS-SYS-001", 503, "The service is stopping"),
    Mended: ("TS-SYS-002", 503, "The catalogue is being made again"),
    NoSpace: ("TS-SYS-003", 507, "There is no space left"),
}
"""What can happen to the exchange's own storage; a client tries again after a 503."""

MEDIA_TYPE = "application/problem+json"


def install(app: FastAPI) -> None:
    """Answer every kind of failure with a problem document that carries a request id."""
    app.add_exception_handler(PrivacyError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)
    app.add_middleware(_Stopping)


class _Stopping:
    """Answers the requests that a stopping server cuts short, held polls most of all, with a 503 that clients know.

    A server that stops cancels what does not end by itself; a caller that hangs up does not.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        started = scope["type"] != "http"

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if started:
                raise
            await _told(Closed())(scope, receive, send)


def _respond(told: dict[str, object], status: int) -> JSONResponse:
    body = told | {"request_id": secrets.token_hex(8)}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE)


async def _known(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, PrivacyError):
        raise error
    return _told(error)


def _told(error: PrivacyError) -> JSONResponse:
    told = problems.document(error)
    for kind, (code, status, title) in _STORAGE.items():
        if isinstance(error, kind):
            told |= {"type": f"/problems/{code}", "code": code, "status": status, "title": title}
    return _respond(told, told["status"])


async def _invalid(_: Request, __: Exception) -> JSONResponse:
    told: dict[str, object] = {
        "type": "/problems/TS-REQ-001",
        "code": "TS-REQ-001",
        "status": 422,
        "title": "The request is not well formed",
        "detail": "a parameter of the address is not valid",
        "fix": "compare the address with /openapi.json",
    }
    return _respond(told, 422)


async def _http(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    told: dict[str, object] = {
        "type": "about:blank",
        "code": f"TS-HTTP-{status}",
        "status": status,
        "title": "There is nothing at this address" if status == 404 else "The address does not take this method",
        "detail": "the service has no such address or method",
        "fix": "compare the address with /openapi.json",
    }
    return _respond(told, status)


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    log.error("unexpected failure: %s", type(error).__name__, exc_info=error)
    told = problems.document(PrivacyError("an unexpected failure", fix="send the request id to the operator"))
    return _respond(told, 500)
