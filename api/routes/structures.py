"""Products on pledged data over HTTP: pure computation, nothing is kept."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from api.description import reads
from api.service import Authenticated
from exchange.protocol.errors import Unknown
from privacy import canonical
from valuation.desk import wire
from valuation.finance import document

router = APIRouter(prefix="/v1/structures")


@router.get("")
async def structures(_: Authenticated) -> dict[str, Any]:
    """Return the kinds of structures and what each is for."""
    return {"structures": [{"kind": kind, "purpose": purpose} for kind, purpose in document.PURPOSES.items()]}


@router.post("/{kind}", openapi_extra=reads({"type": "object"}))
async def work_out(kind: str, call: Authenticated) -> Response:
    """Work a structure out from a JSON object of inputs and return its canonical document."""
    if kind not in document.KINDS:
        raise Unknown("structure")
    async with call.service.calculating:
        text = await run_in_threadpool(lambda: canonical.encode(document.perform(kind, wire.parse(call.body))))
    return Response(text, media_type="application/json")
