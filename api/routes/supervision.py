"""What regulators read of the register over HTTP: every pledge, and refused requests as counts. Never what is in a dataset."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from api.service import Authenticated
from exchange.hub import supervision

router = APIRouter(prefix="/v1/supervision")

MOST = 100
"""Pledges in one answer."""


@router.get("/pledges")
async def pledges(
    call: Authenticated,
    before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> dict[str, Any]:
    """Return every pledge of the register, newest first, amounts in cents; ``before`` is the ``seq`` of the last one seen."""
    found = await run_in_threadpool(lambda: supervision.pledges(call.store.view(), before=before, limit=limit))
    return {"pledges": found}


@router.get("/refusals")
async def refusals(call: Authenticated) -> dict[str, Any]:
    """Return how many requests minimum necessity refused, by the asker's role, standard, purpose and kind of offending item.

    A request counts once for each kind of item. ``null`` stands where no rule that refused it names a standard or purpose.
    """
    async with call.service.calculating:
        return {"refusals": await run_in_threadpool(lambda: supervision.refusals(call.store.view()))}
