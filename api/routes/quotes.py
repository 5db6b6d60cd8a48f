"""Quotes of pledge loans over HTTP: a pure computation from what the request holds; nothing is looked up or kept."""

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from api.description import reads
from api.service import Authenticated
from privacy import canonical
from valuation import report
from valuation.desk import wire
from valuation.errors import MissingKey, OutOfRange

router = APIRouter(prefix="/v1/pledges")

MOST_DRAWS = 500
"""Draws of a reconciliation that are computed here; more take longer than others should wait."""


@router.post("/quote", openapi_extra=reads({"type": "object"}))
async def quote(call: Authenticated) -> Response:
    """Quote a pledge loan from an appraisal's inputs with the lender's terms; the answer is the report, canonical JSON."""
    async with call.service.calculating:
        text = await run_in_threadpool(lambda: quoted(call.body))
    return Response(text, media_type="application/json")


def quoted(request: bytes) -> bytes:
    """Return the report of a request.

    Raises:
        Malformed: if the request is no JSON; BadInput, naming the key, if it is not what a quote demands.
        GatesClosed: if the asset may not be priced, or the loan would outlast it.
    """
    inputs = wire.parse(request)
    if isinstance(inputs, dict):
        if inputs.get("terms") is None:
            raise MissingKey("inputs.terms")
        method = inputs.get("method")
        judgement = method.get("judgement") if isinstance(method, dict) else None
        draws = judgement.get("draws") if isinstance(judgement, dict) else None
        if isinstance(draws, int) and draws > MOST_DRAWS:
            raise OutOfRange("inputs.method.judgement.draws", f"[100, {MOST_DRAWS}] here; more on your own machine")
    return canonical.encode(report.perform(inputs))
