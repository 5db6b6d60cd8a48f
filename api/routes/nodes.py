"""Which institutions' nodes are at work: for everybody when each last polled, for an institution what is known of its own."""

from collections import Counter
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from api.service import Authenticated, Call
from exchange.hub import access, rounds
from exchange.hub.view import View

router = APIRouter(prefix="/v1/nodes")

ONLINE = 60
"""Seconds after its last poll for which a node counts as on line; a poll is held for at most 20."""


@router.get("")
async def nodes(call: Authenticated) -> dict[str, Any]:
    """Return when each institution's node last polled this exchange since it was started; of the caller's own node, all that is known.

    ``clock`` is by how many seconds the caller's clock was ahead of the exchange's, ``waiting`` what its node has to do, by kind.
    """
    return await run_in_threadpool(_told, call)


def _told(call: Call) -> dict[str, Any]:
    view, now = call.store.view(), call.service.now()
    owners = [one["id"] for one in view.parties() if one["role"] == "institution"]
    return {
        "now": now,
        "nodes": [_seen(call, party, now) for party in owners],
        "own": _own(call, view) if call.party in owners else None,
    }


def _seen(call: Call, party: str, now: int) -> dict[str, Any]:
    polled = call.service.polled.get(party)
    return {
        "party": party,
        "online": polled is not None and now - polled.at <= ONLINE,
        "last_poll": None if polled is None else polled.at,
    }


def _own(call: Call, view: View) -> dict[str, Any]:
    party = call.party
    polled = call.service.polled.get(party)
    latest = call.store.heads.latest(party, view.witnessed(party))
    followed = {envelope.signer: said.size for said, envelope in call.store.log.cosigned()}
    todo = [*rounds.tasks(view, party), *access.tasks(view, party)]
    return {
        "behind": polled is not None and polled.behind,
        "clock": None if polled is None else polled.clock,
        "witnessed": None if latest is None else {"seq": latest[0], "head": latest[1]},
        "cosigned": followed.get(party),
        "waiting": dict(sorted(Counter(str(task["task"]) for task in todo).items())),
    }
