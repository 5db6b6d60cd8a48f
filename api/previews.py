"""Previews of joint queries over HTTP: what a plan would meet at each node, before anything is spent."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from api.service import Authenticated, Bell
from api.sessions import LONGEST_WAIT

router = APIRouter(prefix="/v1")


@router.post("/previews", status_code=201)
async def preview(call: Authenticated) -> dict[str, Any]:
    """Open a preview: a signed preview envelope. It is held for a minute, in memory alone."""
    service, envelope = call.service, call.envelope()
    opened = await run_in_threadpool(lambda: service.previews.open(envelope, now=service.now()))
    service.bell.ring()
    return {"id": opened}


@router.get("/previews/{preview_id}")
async def follow(
    preview_id: str,
    call: Authenticated,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT)] = 0,
    seen: Annotated[int, Query(ge=-1)] = -1,
) -> dict[str, Any]:
    """Return a preview's record to its asker; with ``wait``, once more than ``seen`` nodes have answered or all have."""
    service = call.service
    deadline = service.seconds() + wait
    while True:
        news = service.bell.now()
        record = service.previews.describe(preview_id, caller=call.party, now=service.now())
        left = deadline - service.seconds()
        if record["heard"] > seen or not record["waiting_for"] or left <= 0:
            return record
        await Bell.wait(news, left)


@router.post("/previews/{preview_id}/verdicts")
async def answer(preview_id: str, call: Authenticated) -> dict[str, Any]:
    """Take a node's signed verdict on a preview that names it."""
    service, envelope = call.service, call.envelope()
    heard = await run_in_threadpool(lambda: service.previews.receive(preview_id, envelope, now=service.now()))
    service.bell.ring()
    return {"heard": heard}
