"""The exchange's log over HTTP: heads and proofs for every registered party, entries for regulators."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from api.service import Authenticated
from exchange.hub import log as logs
from exchange.hub.log import Log
from exchange.hub.store import Store
from exchange.protocol.errors import Unknown

router = APIRouter(prefix="/v1/log")
Number = Annotated[int, Query(ge=0, lt=1 << 62)]


def shown(log: Log, *, since: int, now: int, covering: int = 0) -> dict[str, Any]:
    """Return the newest head, with the proof that it goes on from ``since`` and what each party cosigned last."""
    head, attested = log.head(now=now, covering=covering)
    return {
        "head": attested.to_json(),
        "consistency": _texts(log.tree.consistency(since, head.size)) if since <= head.size else [],
        "cosigned": [
            {"said": envelope.to_json(), "consistency": _texts(log.tree.consistency(said.size, head.size))}
            for said, envelope in log.cosigned()
            if said.size <= head.size
        ],
    }


@router.get("/head")
async def head(call: Authenticated, since: Number = 0, covering: Number = 0) -> dict[str, Any]:
    """Return a head that covers an entry, with the proof that it goes on from the caller's last one."""
    now = call.service.now()
    return await run_in_threadpool(lambda: shown(call.store.log, since=since, now=now, covering=covering))


@router.get("/inclusion")
async def inclusion(
    call: Authenticated,
    seq: Annotated[int, Query(ge=1, lt=1 << 62)],
    leaf: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")],
    size: Number,
) -> dict[str, Any]:
    """Return the audit path of an entry in the log of a size; the caller must know what the entry is."""
    tree = call.store.log.tree
    if not seq <= size <= tree.size or tree.leaf(seq - 1).hex() != leaf:
        raise Unknown("entry of the log")
    return {"path": await run_in_threadpool(lambda: _texts(tree.inclusion(seq - 1, size)))}


@router.get("/consistency")
async def consistency(call: Authenticated, old: Number, new: Number) -> dict[str, Any]:
    """Return the proof that the log of one size begins with the log of another."""
    tree = call.store.log.tree
    if not old <= new <= tree.size:
        raise Unknown("size of the log")
    return {"proof": await run_in_threadpool(lambda: _texts(tree.consistency(old, new)))}


@router.get("/entries")
async def entries(
    call: Authenticated, after: Number = 0, limit: Annotated[int, Query(ge=1, le=logs.MOST)] = logs.MOST
) -> dict[str, Any]:
    """Return entries after a number, as text, to a regulator: up to a count and a size."""
    return {"entries": await run_in_threadpool(lambda: _read(call.store, after=after, limit=limit))}


def _read(store: Store, *, after: int, limit: int) -> list[str]:
    found: list[str] = []
    left = logs.MOST_BYTES
    for entry in store.book.journal.entries(after=after):
        left -= len(entry.text)
        if found and left < 0:
            break
        found.append(entry.text.decode())
        if len(found) == limit:
            break
    return found


def _texts(hashes: list[bytes]) -> list[str]:
    return [one.hex() for one in hashes]
