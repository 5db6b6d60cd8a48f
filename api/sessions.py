"""Joint queries over HTTP: asked, followed and answered by outbound calls alone."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from api.service import Authenticated, Bell
from exchange.hub import rounds

router = APIRouter(prefix="/v1")

LONGEST_WAIT = 20
"""Seconds that a poll is held open at most."""


@router.post("/sessions", status_code=201)
async def ask(call: Authenticated) -> dict[str, Any]:
    """Open a session: a signed ask envelope. Refused with every offending item if it exceeds its purpose."""
    now = call.service.now()
    return {"id": await run_in_threadpool(lambda: rounds.open_session(call.store, call.envelope(), now=now))}


@router.get("/sessions/{session}")
async def follow(
    session: str,
    call: Authenticated,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT)] = 0,
    seen: Annotated[int, Query(ge=-1)] = -1,
) -> dict[str, Any]:
    """Return a session's record; with ``wait``, once more than ``seen`` messages were heard or it is over."""
    deadline = call.service.seconds() + wait
    while True:
        news = call.service.bell.now()
        record = await run_in_threadpool(lambda: rounds.describe(call.store.view(), session, caller=call.party))
        left = deadline - call.service.seconds()
        if record["heard"] > seen or not record["waiting_for"] or left <= 0:
            return record
        await Bell.wait(news, left)


@router.post("/sessions/{session}/messages")
async def tell(session: str, call: Authenticated) -> dict[str, Any]:
    """Take a node's message: a signed accept, decline, commit, share or abort envelope."""
    now = call.service.now()
    stage = await run_in_threadpool(lambda: rounds.receive(call.store, session, call.envelope(), now=now))
    return {"stage": stage.value}


@router.post("/poll")
async def poll(call: Authenticated) -> dict[str, Any]:
    """Return what the calling node has to do next; held open for ``wait`` seconds while there is nothing."""
    asked = call.value.get("wait", 0) if isinstance(call.value, dict) else 0
    wait = asked if isinstance(asked, int) and not isinstance(asked, bool) else 0
    deadline = call.service.seconds() + min(max(wait, 0), LONGEST_WAIT)
    while True:
        news = call.service.bell.now()
        tasks = await run_in_threadpool(lambda: rounds.tasks(call.store.view(), call.party))
        left = deadline - call.service.seconds()
        if tasks or left <= 0:
            return {"tasks": tasks}
        await Bell.wait(news, left)
