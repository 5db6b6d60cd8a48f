"""Changes of parties' keys over HTTP: filed by their owners, read by everybody who pins a key."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from api.description import takes
from api.service import Authenticated
from exchange.hub import parties
from exchange.protocol.rotation import Rotation

router = APIRouter(prefix="/v1")


@router.post("/rotations", openapi_extra=takes(Rotation))
async def rotate(call: Authenticated) -> dict[str, Any]:
    """Change the caller's key, as its present key signed; from then on nothing that this one signs is taken."""
    return await run_in_threadpool(lambda: parties.rotate(call.store, call.envelope()))


@router.get("/rotations")
async def rotations(call: Authenticated, after: Annotated[int, Query(ge=0, lt=1 << 62)] = 0) -> dict[str, Any]:
    """Return the changes of keys after an entry of the journal, oldest first, 500 at most, as their parties signed them."""
    return await run_in_threadpool(lambda: parties.changes(call.store.view(), after=after))
