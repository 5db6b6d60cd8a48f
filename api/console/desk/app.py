"""The desk's console as an application on loopback, and the command that serves it."""

import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from api import observing, problems
from api.console import everywhere
from api.console.desk import asking, jobs, log, pledging, requests, reviews, supervision
from api.console.desk.place import DeskPlace
from api.console.doors import Doors
from api.console.pages import Page
from api.console.places import DESK
from api.console.serving import routes
from api.processes import prepare
from exchange.protocol.errors import PeerFault

PAGES: Sequence[Page] = (
    *(page for page in everywhere.PAGES if DESK in page.places),
    *asking.PAGES,
    *jobs.PAGES,
    *requests.PAGES,
    *reviews.PAGES,
    *pledging.PAGES,
    *log.PAGES,
    *supervision.PAGES,
)


def create_app(pages: Sequence[Page], doors: Doors, *, hosts: frozenset[str]) -> FastAPI:
    """Build a console that is called under these hosts alone."""
    app = FastAPI(title="Touchstone console", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.add_middleware(observing.Observed)
    app.include_router(routes(pages, doors, hosts=hosts))
    return app


def serve(home: Path, *, exchange: str, port: int, open_browser: bool, lifeline: bool) -> None:
    """Serve the console of the party under ``home`` on loopback until Ctrl-C; prints the link that opens it."""
    prepare(home, lifeline=lifeline)
    place = DeskPlace(home, exchange)
    try:
        listen(PAGES, place, port=port, open_browser=open_browser)
    finally:
        place.close()


def listen(pages: Sequence[Page], place: DeskPlace, *, port: int, open_browser: bool) -> None:
    """Serve pages for one place on loopback until a signal comes; port 0 picks a free one.

    Raises:
        PeerFault: if the port is taken.
    """
    doors = Doors(time.time)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        raise PeerFault(f"port {port} is taken or not yours", fix="choose another port, or 0 for a free one") from None
    bound = listener.getsockname()[1]
    hosts = frozenset({f"127.0.0.1:{bound}", f"localhost:{bound}"})
    link = f"http://127.0.0.1:{bound}/enter/{doors.link(place)}"
    config = uvicorn.Config(
        create_app(pages, doors, hosts=hosts),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    listener.listen(64)
    sys.stdout.write(f"{link}\n")
    sys.stdout.flush()
    if open_browser:
        import webbrowser  # noqa: PLC0415  only where somebody wished for it

        webbrowser.open(link)
    uvicorn.Server(config).run(sockets=[listener])
