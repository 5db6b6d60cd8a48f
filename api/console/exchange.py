"""The console at the exchange: for reading, by whoever comes with a link that its party's key has asked for.

A page reads what the party itself could read over the interface, through the interface: the same rights, the same limits.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio.from_thread
import httpx2
from fastapi import APIRouter, FastAPI
from starlette.types import Receive, Scope, Send

from api.console import everywhere
from api.console.doors import Doors
from api.console.places import EXCHANGE, Place
from api.console.serving import routes
from api.description import reads
from api.service import WITHIN, Authenticated, Guest, Service
from exchange.protocol import problems
from privacy.errors import Malformed

PAGES = everywhere.PAGES


def router(app: FastAPI, service: Service) -> APIRouter:
    """Return the console's routes, and the one that makes links."""
    doors = Doors(service.seconds)
    made = APIRouter()

    @made.post("/v1/links", status_code=201, openapi_extra=reads({"type": "object", "additionalProperties": False}))
    async def link(call: Authenticated) -> dict[str, str]:
        """Make a link that opens the console at the exchange once, within ten minutes, for the caller; takes an empty object."""
        if call.value != {}:
            raise Malformed("the body is not an empty object", fix="send {}")
        view = call.store.view()
        guest = Guest(call.party, view.signer(call.party).get(call.party, b""))
        role = view.role(call.party) or ""
        place = Place(party=call.party, role=role, read=_reading(app, guest), alone=lambda: _alone(service))
        secret = doors.link(place)
        return {"path": f"/enter/{secret}"}

    made.include_router(routes([page for page in PAGES if EXCHANGE in page.places], doors))
    return made


def _reading(app: FastAPI, guest: Guest) -> Any:
    """Return what reads the interface for a party, from a thread of the server's."""

    async def as_party(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, WITHIN: guest}, receive, send)

    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(as_party), base_url="http://exchange")

    def read(path: str) -> Any:
        answer = anyio.from_thread.run(client.get, path)
        document = json.loads(answer.content)
        if answer.status_code >= 400:
            raise problems.error(document)
        return document

    return read


@contextmanager
def _alone(service: Service) -> Iterator[None]:
    """Wait, in a thread of the server's, until no other long calculation runs."""
    anyio.from_thread.run(service.calculating.acquire)
    try:
        yield
    finally:
        anyio.from_thread.run_sync(service.calculating.release)
