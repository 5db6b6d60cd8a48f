"""The desk's console as an application on loopback, and the command that serves it."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI

from api import observing, problems
from api.console import everywhere
from api.console.desk import asking, jobs, log, pledging, requests, reviews, supervision
from api.console.desk.place import DeskPlace
from api.console.doors import Doors
from api.console.loopback import Loopback
from api.console.pages import Page
from api.console.places import DESK
from api.console.serving import routes
from api.processes import prepare

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
    here = Loopback(port)
    link = f"{here.url}/enter/{doors.link(place)}"
    server = here.server(create_app(pages, doors, hosts=here.hosts))
    sys.stdout.write(f"{link}\n")
    sys.stdout.flush()
    if open_browser:
        import webbrowser  # noqa: PLC0415  only where somebody wished for it

        webbrowser.open(link)
    server.run(sockets=[here.listener])
