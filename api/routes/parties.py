"""Enrolment by invite, and changes of parties' keys over HTTP: filed by their owners, read by everybody who pins a key."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.description import reads, takes
from api.service import Authenticated, Service
from exchange.hub import invites, parties
from exchange.protocol.rotation import Rotation
from privacy import canonical
from privacy.errors import Malformed

router = APIRouter(prefix="/v1")


@router.post("/rotations", openapi_extra=takes(Rotation))
async def rotate(call: Authenticated) -> dict[str, Any]:
    """Change the caller's key, as its present key signed; from then on nothing that this one signs is taken."""
    return await run_in_threadpool(lambda: parties.rotate(call.store, call.envelope()))


ENROLMENT = {
    "type": "object",
    "required": ["envelope", "proof"],
    "additionalProperties": False,
    "properties": {
        "envelope": {
            "$ref": "#/components/schemas/Envelope",
            "description": "Of kind enrolment, signed by the new key.",
        },
        "proof": {"type": "string", "pattern": "^[0-9a-f]{128}$", "description": "The invite's signature over its id."},
    },
}
LONGEST = 4096
"""Bytes of an enrolment: nobody has proved anything when they are read."""


@router.post("/enrolments", openapi_extra=reads(ENROLMENT))
async def enrol(request: Request) -> dict[str, Any]:
    """Enrol a party by its one-time invite; the one address that takes no caller's key. Answers with the exchange's word."""
    service: Service = request.app.state.service
    service.enrolling.take(request.client.host if request.client is not None else "")
    declared = request.headers.get("content-length", "")
    if not declared.isdecimal() or int(declared) > LONGEST:
        raise Malformed(f"the body has no length, or is longer than {LONGEST} bytes", fix="use `touchstone join`")
    document = canonical.decode(await request.body())
    now = service.now()
    return await run_in_threadpool(lambda: invites.enrol(service.store, document, now=now))


@router.get("/rotations")
async def rotations(call: Authenticated, after: Annotated[int, Query(ge=0, lt=1 << 62)] = 0) -> dict[str, Any]:
    """Return the changes of keys after an entry of the journal, oldest first, 500 at most, as their parties signed them."""
    return await run_in_threadpool(lambda: parties.changes(call.store.view(), after=after))
