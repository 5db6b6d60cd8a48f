"""Appraisals on record, offers, consents and the public register of liens over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from api import service
from api.description import takes
from api.routes.sessions import LONGEST_WAIT
from api.service import Authenticated
from api.tags import tagged
from exchange.hub import liens
from exchange.protocol.errors import Unknown
from exchange.protocol.messages import Appraisal, Consent, Objection, Offer

router = APIRouter(prefix="/v1")


@router.post("/appraisals", status_code=201, openapi_extra=takes(Appraisal))
async def record(call: Authenticated) -> dict[str, Any]:
    """Put a report's fingerprint on record: a signed appraisal envelope."""
    return {"id": await run_in_threadpool(liens.record_appraisal, call.store, call.envelope())}


@router.post("/offers", status_code=201, openapi_extra=takes(Offer))
async def offer(call: Authenticated) -> dict[str, Any]:
    """Offer a loan against an asset: a signed offer envelope. Refused if the rank is taken, naming holder and time."""
    return {"id": await run_in_threadpool(liens.offer, call.store, call.envelope())}


@router.get("/offers/{offer_id}")
async def follow(
    offer_id: str,
    call: Authenticated,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT)] = 0,
    seen: Annotated[int, Query(ge=-1)] = -1,
) -> Response:
    """Return where a pledge stands; with ``wait``, once more than ``seen`` steps were taken or it does not wait for its owner."""
    record = await service.follow(
        call, lambda: liens.describe(call.store.view(), offer_id, caller=call.party), wait=wait, seen=seen
    )
    return tagged(record)


@router.post("/offers/{offer_id}/answer", openapi_extra=takes(Consent, Objection))
async def answer(offer_id: str, call: Authenticated) -> dict[str, Any]:
    """Take the owner's signed consent, which is its signature under the agreement, or objection."""
    store = call.store_if(lambda view: liens.describe(view, offer_id, caller=call.party))
    return await run_in_threadpool(liens.answer, store, offer_id, call.envelope())


@router.get("/liens/{owner}/{dataset}")
async def register(owner: str, dataset: str, call: Authenticated) -> dict[str, Any]:
    """Return the live liens on an asset, and who operates it in its owner's place: what the register tells everybody."""
    asset = f"{owner}/{dataset}"
    view = call.store.view()
    if await run_in_threadpool(view.dataset, asset) is None:
        raise Unknown("asset")
    told = [liens.public(lien) for lien in await run_in_threadpool(view.liens, asset)]
    operator = await run_in_threadpool(view.operator, asset)
    return {"liens": told, "operator": None if operator is None else {"party": operator[0], "since": operator[1]}}
