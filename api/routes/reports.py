"""Appraisals over HTTP: facts in, a report out, and a report computed anew. Pure computation: nothing is stored or asked."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from api.description import reads
from api.service import Authenticated
from privacy import canonical
from valuation import report
from valuation.desk import wire

router = APIRouter(prefix="/v1/reports")


@router.post("", openapi_extra=reads({"type": "object"}))
async def appraise(call: Authenticated) -> Response:
    """Appraise from the inputs of a report, and return the report in its canonical form."""
    async with call.service.calculating:
        text = await run_in_threadpool(lambda: canonical.encode(report.perform(wire.parse(call.body))))
    return Response(text, media_type="application/json")


@router.post("/verify", openapi_extra=reads({"type": "object"}))
async def verify(call: Authenticated) -> dict[str, Any]:
    """Compute a report anew from the inputs in it; a figure that does not follow is named."""
    async with call.service.calculating:
        found = await run_in_threadpool(lambda: report.verify(call.body))
    return {"digest": found.digest, "basis": found.basis, "figures": found.figures}
