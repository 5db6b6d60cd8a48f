"""Fingerprints, daily confirmations, what lenders see of both, and reviewers' rulings over HTTP."""

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from api.description import takes
from api.service import Authenticated, Call
from exchange.hub import collateral
from exchange.hub.watch import watch
from exchange.protocol.collateral import Clearance, Confirmation, Fingerprint
from privacy import canonical

router = APIRouter(prefix="/v1")


@router.post("/fingerprints", status_code=201, openapi_extra=takes(Fingerprint))
async def fingerprint(call: Authenticated) -> dict[str, Any]:
    """Put the fingerprint of a dataset's version in force on record: a signed fingerprint envelope."""
    return _about(call, await run_in_threadpool(collateral.record_fingerprint, call.store, call.envelope()))


@router.post("/confirmations", status_code=201, openapi_extra=takes(Confirmation))
async def confirm(call: Authenticated) -> dict[str, Any]:
    """Take a node's signed word of the day on the version in force."""
    now = call.service.now()
    said = await run_in_threadpool(lambda: collateral.record_confirmation(call.store, call.envelope(), now=now))
    return _about(call, said)


def _about(call: Call, said: str) -> dict[str, Any]:
    """Return the id of what an owner has said, and the dataset of which it was said."""
    told = canonical.decode(call.envelope().body)
    return {"id": said, "owner": call.party, "dataset": told["dataset"]}


@router.get("/collateral/{owner}/{dataset}")
async def follow(owner: str, dataset: str, call: Authenticated) -> dict[str, Any]:
    """Return an asset's state (confirmed, late, changed, gone) and why, to its owner, its lenders and regulators."""
    now, view = call.service.now(), call.store.view()
    return await run_in_threadpool(lambda: watch(view, f"{owner}/{dataset}", caller=call.party, now=now))


@router.get("/reviews")
async def reviews(call: Authenticated) -> dict[str, Any]:
    """Return to a reviewer of the exchange which pledges wait because rows are alike."""
    return {"reviews": await run_in_threadpool(lambda: collateral.reviews(call.store.view(), caller=call.party))}


@router.post("/reviews", status_code=201, openapi_extra=takes(Clearance))
async def rule(call: Authenticated) -> dict[str, Any]:
    """Take a reviewer's signed ruling on rows that are alike; the lender files its pledge again after it."""
    return {"id": await run_in_threadpool(collateral.rule, call.store, call.envelope())}
