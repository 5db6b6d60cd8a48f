"""Standards, parties, datasets and policies over HTTP: metadata that every registered party may read."""

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from api.service import Authenticated
from exchange.hub import catalog
from exchange.protocol.errors import Unknown

router = APIRouter(prefix="/v1")


@router.get("/standards/{name}/{version}")
async def standard(name: str, version: int, call: Authenticated) -> dict[str, Any]:
    """Return a published standard."""
    found = await run_in_threadpool(lambda: call.store.view().standard(f"{name}/{version}"))
    if found is None:
        raise Unknown("standard")
    return found.to_json()


@router.get("/parties")
async def parties(call: Authenticated) -> dict[str, Any]:
    """Return who is registered, with roles and keys; compare fingerprints out of band before pinning."""
    return {"parties": await run_in_threadpool(lambda: call.store.view().parties())}


@router.get("/datasets")
async def datasets(call: Authenticated) -> dict[str, Any]:
    """Return the metadata of every registered dataset."""
    return {"datasets": await run_in_threadpool(lambda: call.store.view().datasets())}


@router.post("/datasets", status_code=201)
async def register(call: Authenticated) -> dict[str, Any]:
    """Register a dataset: a signed registration envelope."""
    return {"asset": await run_in_threadpool(catalog.register, call.store, call.envelope())}


@router.post("/policies", status_code=201)
async def publish(call: Authenticated) -> dict[str, Any]:
    """Put a dataset's policy in force: a signed policy envelope."""
    return {"asset": await run_in_threadpool(catalog.publish_policy, call.store, call.envelope())}
