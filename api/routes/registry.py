"""The steps of a pledge over HTTP, its certificate and its field sheet: for its parties, the lender's officers and supervisors."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from api.description import takes
from api.service import Authenticated
from exchange.hub import certificates, liens
from exchange.interop import movables
from exchange.protocol import pledge_certificate
from exchange.protocol.agreement import STEPS
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Consent, Objection

router = APIRouter(prefix="/v1/pledges")

TAKEN = [step for step in STEPS.values() if step not in (Consent, Objection)]
"""Every step but the owner's answer, which has an address of its own."""

MOST = 100
"""Pledges in one answer."""


@router.get("")
async def every(
    call: Authenticated,
    before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> dict[str, Any]:
    """Return the pledges that concern the caller, newest first; ``before`` is the ``seq`` of the last one seen."""
    found = await run_in_threadpool(
        lambda: liens.listed(call.store.view(), caller=call.party, before=before, limit=limit)
    )
    return {"pledges": found}


@router.post("/{offer_id}/steps", openapi_extra=takes(*TAKEN))
async def step(offer_id: str, call: Authenticated) -> dict[str, Any]:
    """Take a signed step of a pledge and return where it stands. What its table does not allow is refused by name."""
    now = call.service.now()
    store = call.store_if(lambda view: liens.describe(view, offer_id, caller=call.party))
    return await run_in_threadpool(lambda: liens.step(store, offer_id, call.envelope(), now=now))


@router.get("/{offer_id}/certificate")
async def certificate(offer_id: str, call: Authenticated) -> dict[str, Any]:
    """Return the certificate of a registered pledge, signed by the exchange, with every step as it was signed."""
    return (await _issued(offer_id, call)).to_json()


@router.get("/{offer_id}/form")
async def form(offer_id: str, call: Authenticated) -> dict[str, Any]:
    """Return the fields that the national movables registry asks for."""
    issued = await _issued(offer_id, call)
    key = bytes.fromhex(certificates.public_key(call.store))
    pledged = await run_in_threadpool(lambda: pledge_certificate.verify(issued.to_json(), exchange_key=key))
    return movables.field_sheet(pledged, certificate=issued.id)


async def _issued(offer_id: str, call: Authenticated) -> Envelope:
    return await run_in_threadpool(lambda: certificates.issue_pledge(call.store, offer_id, reader=call.party))
