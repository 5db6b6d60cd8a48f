"""Every error as a problem document (RFC 9457): one table, no echo of what was sent."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exchange.book import Closed, Mended
from exchange.journal import Broken, NoSpace
from exchange.protocol import problems
from exchange.protocol.errors import Throttled
from exchange.protocol.problems import Problem
from privacy.errors import Malformed, PrivacyError

log = logging.getLogger(__name__)

_STORAGE: dict[type[PrivacyError], Problem] = {
    Closed: Problem(
        "TS-SYS-001",
        503,
        "The service is stopping",
        "Nothing was done. Clients of this release ask again by themselves.",
    ),
    Mended: Problem(
        "TS-SYS-002",
        503,
        "The catalogue is being made again",
        "The exchange found its catalogue damaged and makes it again from its journal; nothing acknowledged is lost. Ask again.",
    ),
    NoSpace: Problem(
        "TS-SYS-003",
        507,
        "There is no space left",
        "Nothing was done. The operator has to make room on the exchange's disk.",
    ),
    Broken: Problem(
        "TS-SYS-004",
        503,
        "The disk failed",
        "The exchange cannot tell whether its last write reached the disk and promises nothing more until it is started again. "
        "Ask again later; what is sent twice counts once.",
    ),
}
"""What can happen to the exchange's own storage; a client tries again after a 503."""

_ADDRESS: dict[int, Problem] = {
    404: Problem(
        "TS-HTTP-404",
        404,
        "There is nothing at this address",
        "Compare the address with the description of the interface.",
    ),
    405: Problem(
        "TS-HTTP-405",
        405,
        "The address does not take this method",
        "Compare the method with the description of the interface.",
    ),
}
"""Addresses and methods that the service does not have."""


_BESIDE = (
    Problem(
        "TS-ENV-001",
        503,
        "The files are in use or cannot be written",
        "Another process holds them, or the disk takes no writing. The reason names the process or the file.",
    ),
    Problem(
        "TS-FIG-001",
        422,
        "The figures do not carry this",
        "A figure that was asked for cannot be worked out of noisy ones as they are: coarser groups or more budget can help.",
    ),
    Problem(
        "TS-KEY-001",
        422,
        "The keys do not open",
        "They are sealed, and what was given does not open them. See the page on keys for where a passphrase or key file is named.",
    ),
    Problem(
        "TS-LOG-001",
        409,
        "The journal is older than it was",
        "What lies on the disk is an old state, as after a backup was put back. The reason says how far; operations tells how to go on.",
    ),
    Problem(
        "TS-LOG-002",
        409,
        "It is not the log that was seen before",
        "The exchange shows a log that forgets or changes something. Do nothing more there; keep both heads and ask the operator by phone.",
    ),
    Problem(
        "TS-LOG-003",
        422,
        "The bundle does not hold",
        "The first entry that is wrong is named. Fetch the bundle again, from the exchange itself.",
    ),
    Problem(
        "TS-NET-001",
        503,
        "The exchange does not answer",
        "It could not be reached in time. Check its address and that outbound traffic to it is allowed; what was sent can be sent again.",
    ),
    Problem(
        "TS-NET-002",
        503,
        "Somebody else answers in the exchange's place",
        "The certificate is not the one that was pinned. Send nothing; compare the pin with the operator by phone.",
    ),
    Problem(
        "TS-SQL-001",
        422,
        "The statement is not in the language",
        "The place in the statement is pointed at, with what could stand there instead.",
    ),
    Problem(
        "TS-SRC-001",
        422,
        "The source cannot be read",
        "The file is missing, is not what its kind says, or is beyond the limits. Nothing of it was told to anybody.",
    ),
)
"""What happens beside a key or a ledger, never at the service: shown by the consoles that stand there."""


def known() -> list[Problem]:
    """Return every problem that a console may show, by code."""
    return sorted((*every(), *_BESIDE), key=lambda problem: problem.code)


def every() -> list[Problem]:
    """Return every problem that the service may answer with, by code."""
    rows = (*problems.TABLE.values(), *_STORAGE.values(), *_ADDRESS.values())
    return sorted(rows, key=lambda problem: problem.code)


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
            await _told(Request(scope), Closed())(scope, receive, send)


def _respond(request: Request, told: dict[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    body = told | {"request_id": request.state.request_id}
    return JSONResponse(body, status_code=told["status"], media_type=MEDIA_TYPE, headers=headers)


async def _known(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, PrivacyError):
        raise error
    return _told(request, error)


def document(error: PrivacyError) -> dict[str, Any]:
    """Return an error's problem document, without its request id."""
    told = problems.document(error)
    for kind, problem in _STORAGE.items():
        if isinstance(error, kind):
            told |= _named(problem)
    for problem in _BESIDE:
        if problem.code == error.code:
            told |= _named(problem)
    return told


def _told(request: Request, error: PrivacyError) -> JSONResponse:
    return _respond(
        request, document(error), {"retry-after": str(error.seconds)} if isinstance(error, Throttled) else None
    )


def _named(problem: Problem) -> dict[str, Any]:
    return {
        "type": f"/problems/{problem.code}",
        "code": problem.code,
        "status": problem.status,
        "title": problem.title,
    }


async def _invalid(request: Request, _: Exception) -> JSONResponse:
    reason = Malformed("a parameter of the address is not valid", fix="compare the address with /docs")
    return _told(request, reason)


async def _http(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status not in _ADDRESS:
        return await _unknown(request, error)
    told = {"detail": "the service has no such address or method", "fix": "compare the address with /docs"}
    return _respond(request, _named(_ADDRESS[status]) | told)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected failure: %s in %s", type(error).__name__, request.state.request_id, exc_info=error)
    return _told(request, PrivacyError("an unexpected failure", fix="send the request id to the operator"))
