"""Requests for access and officers' rulings over HTTP: seen by the asker and the officers of the owners named, by nobody else."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from api.description import takes
from api.routes.sessions import LONGEST_WAIT
from api.service import Authenticated, Bell
from api.tags import tagged
from exchange.hub import access
from exchange.protocol.messages import AccessRequest, Officers, Ruled, Ruling

router = APIRouter(prefix="/v1/access")

MOST = 100
"""Requests in one answer."""


@router.post("", status_code=201, openapi_extra=takes(AccessRequest))
async def ask(call: Authenticated) -> dict[str, Any]:
    """Ask the owners of a plan's data for access: a signed request envelope."""
    now = call.service.now()
    return {"id": await run_in_threadpool(lambda: access.request(call.store, call.envelope(), now=now))}


@router.get("")
async def every(
    call: Authenticated,
    before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> dict[str, Any]:
    """Return the requests that concern the caller, newest first; ``before`` is the ``seq`` of the last one seen."""
    found = await run_in_threadpool(
        lambda: access.listed(call.store.view(), caller=call.party, before=before, limit=limit)
    )
    return {"requests": found}


@router.post("/officers", openapi_extra=takes(Officers))
async def announce(call: Authenticated) -> dict[str, Any]:
    """Name an institution's officers: a signed list, in place of the last one."""
    return {"officers": await run_in_threadpool(access.announce, call.store, call.envelope())}


@router.get("/{request_id}")
async def follow(
    request_id: str,
    call: Authenticated,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT)] = 0,
    seen: Annotated[int, Query(ge=-1)] = -1,
) -> Response:
    """Return a request's record to those concerned; with ``wait``, once more than ``seen`` rulings and words were heard."""
    deadline = call.service.seconds() + wait
    while True:
        news = call.service.bell.now()
        record = await run_in_threadpool(lambda: access.describe(call.store.view(), request_id, caller=call.party))
        left = deadline - call.service.seconds()
        if record["heard"] > seen or left <= 0:
            return tagged(record)
        await Bell.wait(news, left)


@router.post("/{request_id}/rulings", openapi_extra=takes(Ruling, Ruled))
async def rule(request_id: str, call: Authenticated) -> dict[str, Any]:
    """Take an officer's signed ruling, or the word of the owner's node on one."""
    store = call.store_if(lambda view: access.describe(view, request_id, caller=call.party))
    await run_in_threadpool(access.receive, store, request_id, call.envelope())
    return {"id": request_id}
