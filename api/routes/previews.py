"""Previews of joint queries over HTTP: what a plan would meet at each node, before anything is spent."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from api import service
from api.description import takes
from api.routes.sessions import LONGEST_WAIT
from api.service import Authenticated
from exchange.protocol.messages import Preview, Verdict

router = APIRouter(prefix="/v1")


@router.post("/previews", status_code=201, openapi_extra=takes(Preview))
async def preview(call: Authenticated) -> dict[str, Any]:
    """Open a preview: a signed preview envelope. It is held for a minute, in memory alone."""
    here, envelope = call.service, call.envelope()
    opened = await run_in_threadpool(lambda: here.previews.open(envelope, now=here.now()))
    here.bell.ring()
    return {"id": opened}


@router.get("/previews/{preview_id}")
async def follow(
    preview_id: str,
    call: Authenticated,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT)] = 0,
    seen: Annotated[int, Query(ge=-1)] = -1,
) -> dict[str, Any]:
    """Return a preview's record to its asker; with ``wait``, once more than ``seen`` nodes have answered or all have."""
    previews, now = call.service.previews, call.service.now
    return await service.follow(
        call, lambda: previews.describe(preview_id, caller=call.party, now=now()), wait=wait, seen=seen
    )


@router.post("/previews/{preview_id}/verdicts", openapi_extra=takes(Verdict))
async def answer(preview_id: str, call: Authenticated) -> dict[str, Any]:
    """Take a node's signed verdict on a preview that names it."""
    here, envelope = call.service, call.envelope()
    heard = await run_in_threadpool(lambda: here.previews.receive(preview_id, envelope, now=here.now()))
    here.bell.ring()
    return {"heard": heard}
