"""The node's console as an application on loopback, served in a thread of the node's own process."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from api import observing, problems
from api.console import everywhere
from api.console.doors import Doors
from api.console.loopback import Loopback
from api.console.node import approvals, budget, health, learned, policies, register
from api.console.node.doorbell import ADDRESS, PATH
from api.console.node.place import NodePlace
from api.console.pages import Page
from api.console.places import NODE
from api.console.serving import routes
from exchange import identity
from exchange.node.vault import Vault
from exchange.protocol.errors import Denied
from exchange.protocol.request import public_bytes, verify

PAGES: Sequence[Page] = (
    *(page for page in everywhere.PAGES if NODE in page.places),
    *register.PAGES,
    *policies.PAGES,
    *budget.PAGES,
    *learned.PAGES,
    *approvals.PAGES,
    *health.PAGES,
)

_BODY = 16
"""Bytes that a request for a link may have: it is an empty object."""


def create_app(pages: Sequence[Page], doors: Doors, place: NodePlace, *, hosts: frozenset[str]) -> FastAPI:
    """Build the console of one node, which is called under these hosts alone."""
    app = FastAPI(title="Touchstone console", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.add_middleware(observing.Observed)
    app.include_router(routes(pages, doors, hosts=hosts))
    app.include_router(_bell(doors, place))
    return app


def _bell(doors: Doors, place: NodePlace) -> APIRouter:
    """Return the route that makes links for whoever signs with the node's key."""
    made = APIRouter(include_in_schema=False)
    heard: dict[str, int] = {}

    @made.post(PATH, status_code=201)
    async def link(request: Request) -> JSONResponse:
        """Make a link that opens this console once, within ten minutes."""
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > _BODY:
            raise Denied("the request is not an empty object", fix="use touchstone node console HOME")
        now = int(time.time())
        _, _, proof = request.headers.get("authorization", "").partition(" ")
        directory = {place.party: public_bytes(place.vault.signing)}
        caller = verify(proof, audience=place.party, directory=directory, method="POST", path=PATH, now=now)
        caller.check(await request.body())
        for old in [one for one, until in heard.items() if until < now]:
            del heard[old]
        if caller.token_id in heard:
            raise Denied("this request was made before", fix="ask anew")
        heard[caller.token_id] = caller.expires
        return JSONResponse({"path": f"/enter/{doors.link(place)}"}, status_code=201)

    return made


class Served:
    """The console of a node that runs; it serves from a thread of its own until it is told to end.

    While it runs, its address stands in a file of the node's home.
    """

    def __init__(
        self,
        home: Path,
        vault: Vault,
        *,
        exchange: str,
        port: int,
        working: threading.Lock,
        announce: Callable[[], str | None],
    ) -> None:
        """Listen on a port of loopback; 0 picks a free one. The rest is as :class:`NodePlace` has it.

        Raises:
            PeerFault: if the port is taken.
        """
        here = Loopback(port)
        self._file = home / ADDRESS
        self._url = here.url
        self._doors = Doors(time.time)
        self._place = NodePlace(home, vault, exchange, working=working, announce=announce)
        self._server = here.server(create_app(PAGES, self._doors, self._place, hosts=here.hosts))
        # off the main thread the server leaves signals to the node
        self._thread = threading.Thread(target=self._server.run, args=([here.listener],), daemon=True, name="console")
        self._thread.start()
        identity.write_secret(self._file, json.dumps({"url": self._url}))

    def link(self) -> str:
        """Return a link that opens the console once."""
        return f"{self._url}/enter/{self._doors.link(self._place)}"

    def end(self) -> None:
        """Let requests under way finish, for a moment, and close."""
        self._file.unlink(missing_ok=True)
        self._server.should_exit = True
        self._thread.join(timeout=3)
        self._place.close()
