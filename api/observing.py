"""What the operator may know of each request: an id that the caller sees, too, a line in the log, and counts for Prometheus.

None of it holds a value from data, a body, a key or an address with ids in it: only the route's pattern, and in the log the
caller's short name, or where somebody who proved none came from.
"""

import json
import logging
import secrets
import time
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exchange.protocol.errors import Unknown

log = logging.getLogger("touchstone.requests")

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
"""Upper ends of the histogram's classes; a poll is held for up to 20 seconds."""

UNPROVED = (401, 429)
"""Statuses of who proved no name, or tried too often to: what an operator looks for after an attack (OWASP ASVS 5.0, 16.3)."""

HERE = ("127.0.0.1", "::1")


class Metrics:
    """The counts of one exchange; ``journal`` returns how long its journal is."""

    def __init__(self, journal: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "touchstone_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "touchstone_request_seconds", "Time to answer", ["route"], buckets=SECONDS, registry=self._registry
        )
        length = Gauge("touchstone_journal_entries", "Entries in the journal", registry=self._registry)
        length.set_function(journal)

    def note(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the exposition format of Prometheus."""
        return generate_latest(self._registry)


class Observed:
    """Gives each request its id, and notes how it ended."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics | None = None) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if route != "unknown" else "any"  # a stranger's words are no labels
        if self._metrics is not None:
            self._metrics.note(method=method, route=route, status=status, seconds=seconds)
        told = {"request": scope["state"]["request_id"], "method": method, "route": route, "status": status}
        told |= {"ms": round(seconds * 1000, 1), "party": scope["state"].get("party")}
        if status in UNPROVED and told["party"] is None and scope.get("client"):
            told["from"] = scope["client"][0]
        log.info("%s", json.dumps(told))


def router(metrics: Metrics) -> APIRouter:
    """Return the route under which Prometheus on the same machine reads the counts; to others it does not exist."""
    made = APIRouter(include_in_schema=False)

    @made.get("/metrics")
    async def scrape(request: Request) -> Response:
        if request.client is None or request.client.host not in HERE or "x-forwarded-for" in request.headers:
            raise Unknown("address")
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    return made
