"""The exchange as an ASGI application: store and clock come in, routes and problems are wired once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from api import description, observing, problems, reference, tags
from api.console import exchange as console
from api.routes import (
    access,
    catalog,
    collateral,
    formulas,
    liens,
    log,
    nodes,
    parties,
    previews,
    quotes,
    registry,
    reports,
    sessions,
    structures,
    supervision,
)
from api.service import Service
from exchange.hub import liens as pledges
from exchange.hub import rounds
from exchange.hub.store import Store


def create_app(store: Store, *, seconds: Callable[[], float]) -> FastAPI:
    """Build the application around an open store; ``seconds`` tells the time since 1970."""
    service = Service(store, seconds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        stop_ringing = store.listen(lambda: _call(loop, service))
        watch = asyncio.create_task(_tend(service))
        try:
            yield
        finally:
            stop_ringing()
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            await asyncio.to_thread(rounds.note_heads, service.store)

    app = FastAPI(
        title="Touchstone exchange",
        version="0.1.0",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be to whatever host the request names
    )
    app.state.service = service
    metrics = observing.Metrics(lambda: store.book.head[0])
    problems.install(app)
    app.add_middleware(tags.Tagged)
    app.add_middleware(observing.Observed, metrics=metrics)
    for router in (
        catalog.router,
        parties.router,
        sessions.router,
        previews.router,
        access.router,
        liens.router,
        registry.router,
        collateral.router,
        supervision.router,
        formulas.router,
        structures.router,
        quotes.router,
        reports.router,
        observing.router(metrics),
        reference.router(app),
        log.router,
        nodes.router,
        console.router(app, service),
    ):
        app.include_router(router)

    @app.get("/healthz")
    async def health() -> dict[str, Any]:
        """Tell that the process serves, the id of its log, to which callers bind their tokens, and how long its journal is."""
        seq, _ = store.book.head
        return {"status": "serving", "log": store.log.id, "journal": seq}

    @app.get("/readyz")
    async def ready() -> dict[str, Any]:
        """Tell that a request that writes would be taken now; otherwise a problem tells why not."""
        await run_in_threadpool(store.check_ready)
        return {"status": "ready"}

    description.install(app)
    return app


def _call(loop: asyncio.AbstractEventLoop, service: Service) -> None:
    """Ring the bell from the thread that wrote; news after the loop has ended concern nobody."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(service.bell.ring)


async def _tend(service: Service) -> None:
    """Every second, journal the heads that nodes have shown, keep what they cosigned, end sessions and pledges whose time has passed."""
    while True:
        await asyncio.sleep(1)
        await asyncio.to_thread(rounds.note_heads, service.store)
        await asyncio.to_thread(service.store.log.keep)
        await asyncio.to_thread(rounds.expire, service.store, now=service.now())
        await asyncio.to_thread(pledges.expire, service.store, now=service.now())
