"""The operator's door of an exchange that runs: a socket in its directory, which only the directory's owner can open.

The commands that change an exchange use it, so that nobody has to be stopped for an invite or a stolen key.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from api import observing, problems
from exchange.hub import office
from exchange.hub.premises import DOOR
from exchange.hub.store import Store
from exchange.line import knock
from privacy import canonical

PATH = "/acts/"


def create_app(store: Store) -> FastAPI:
    """Build the application behind the door."""
    app = FastAPI(title="Touchstone operator", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.add_middleware(observing.Observed)

    @app.post(f"{PATH}{{kind}}")
    async def act(kind: str, request: Request) -> dict[str, Any]:
        asked = office.read(kind, canonical.decode(await request.body()))
        return await run_in_threadpool(asked.perform, store)

    return app


@contextmanager
def opened(home: Path, store: Store) -> Iterator[None]:
    """Keep the door of the exchange under ``home`` open meanwhile, served by a thread of its own."""
    config = uvicorn.Config(
        create_app(store), log_config=None, access_log=False, timeout_graceful_shutdown=1, server_header=False
    )
    server = uvicorn.Server(config)
    with _reached(home) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with suppress(FileNotFoundError):
            path.unlink()  # of a process that was killed; who holds the journal's lock is alone here
        listener.bind(str(path))
        path.chmod(0o600)  # before anybody is listened to
        listener.listen(8)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True, name="operator")
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(timeout=3)
            with suppress(FileNotFoundError):
                path.unlink()


def operate(home: Path, act: office.Act) -> dict[str, Any]:
    """Do one act at the exchange under ``home``: by its door if it runs, else in its files; return what it tells.

    Raises:
        PrivacyError: if it is refused, or the exchange neither runs nor can be opened.
    """
    with _reached(home) as path:
        if _listens(path):
            return dict(knock(path, f"{PATH}{act.kind}", act.model_dump(mode="json")))
    with closing(Store.open(home, clock=lambda: time.time_ns() // 1000)) as store:
        return act.perform(store)


def _listens(path: Path) -> bool:
    """Whether a process listens at a socket; one that was killed leaves the file, and nobody behind it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


@contextmanager
def _reached(home: Path) -> Iterator[Path]:
    """Yield a path of the socket that is short enough for one (108 bytes), however deep the home lies."""
    try:
        held = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield home / DOOR  # there is no such home: who opens it says so
        return
    try:
        short = Path(f"/proc/self/fd/{held}")
        yield (short if short.exists() else home) / DOOR
    finally:
        os.close(held)
