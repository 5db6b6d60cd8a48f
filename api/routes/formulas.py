"""The formula desk over HTTP: every valuation method by name, its contract and its figures."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from api.description import reads
from api.service import Authenticated
from exchange.protocol.errors import Unknown
from valuation import desk
from valuation.desk import wire
from valuation.desk.method import Method
from valuation.errors import OutOfRange

router = APIRouter(prefix="/v1/formulas")


@router.get("")
async def formulas(_: Authenticated) -> dict[str, Any]:
    """Return the name and purpose of every method, in the order of the contract."""
    return {"formulas": [{"name": method.name, "purpose": method.purpose} for method in desk.methods()]}


@router.get("/{name}")
async def contract(name: str, _: Authenticated) -> dict[str, Any]:
    """Return a method's contract: formula, source, inputs with ranges, outputs."""
    return _method(name).to_json()


@router.post("/{name}", openapi_extra=reads({"type": "object"}))
async def evaluate(name: str, call: Authenticated) -> Response:
    """Compute a method from a JSON object of inputs; numbers count as the exact decimals that they spell, both ways."""
    method = _method(name)
    async with call.service.calculating:
        text = await run_in_threadpool(lambda: computed(method, call.body))
    return Response(text, media_type="application/json")


def computed(method: Method, request: bytes) -> str:
    """Return a method's answer to a JSON request, as JSON: ``method``, ``outputs`` and ``warnings``.

    Raises:
        Malformed: if the request is no JSON; BadInput, naming the key, if it is not what the method demands.
    """
    inputs = wire.parse(request)
    outputs = desk.evaluate(method.name, inputs)
    remarks = [remark.to_json() for remark in desk.warnings(method.name, inputs)]
    return wire.spell({"method": method.name, "outputs": outputs, "warnings": remarks})


def _method(name: str) -> Method:
    try:
        return desk.find(name)
    except OutOfRange:
        raise Unknown("formula") from None
