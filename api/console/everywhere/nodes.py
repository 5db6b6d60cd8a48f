"""The institutions' nodes: which are at work, how far each has followed the log, what it holds, what waits for one's own."""

from collections.abc import Mapping
from typing import Any

from api.console.pages import Page, Visit
from api.console.places import Same
from api.console.wording import msg
from exchange.protocol.envelope import Envelope
from exchange.protocol.messages import Cosigned, unverified

_AGAIN = 15
_MOST = 100

_TASKS: Mapping[str, str] = {
    "judge": msg("questions to be judged"),
    "commit": msg("questions to commit masks for"),
    "answer": msg("questions to be answered"),
    "consent": msg("pledges to be signed or refused"),
    "access": msg("requests for access to be ruled on"),
}
"""What a node has to do, by the name of its task."""


def show(visit: Visit) -> Mapping[str, Any]:
    """Return each institution's node, and what is known of the party's own."""
    place = visit.place
    told = place.get("nodes")
    head = place.get("log", "head")
    size = {}
    for one in head["cosigned"]:
        envelope = Envelope.from_json(one["said"])
        size[envelope.signer] = unverified(envelope, Cosigned).size
    names = {one["id"]: one["name"] for one in place.get("parties")["parties"]}
    return {
        "nodes": [
            {
                **one,
                "name": names.get(one["party"], one["party"]),
                "state": _state(one),
                "cosigned": size.get(one["party"]),
                "datasets": _datasets(visit, one["party"]),
            }
            for one in told["nodes"]
        ],
        "own": None if told["own"] is None else _own(told["own"]),
        "again_in": _AGAIN,
        "same_as": [
            Same(msg("Command line"), "touchstone doctor HOME --exchange URL").to_json(),
            Same("HTTP", "GET /v1/nodes").to_json(),
        ],
    }


def _state(one: Mapping[str, Any]) -> str:
    if one["online"]:
        return msg("on line")
    return msg("away") if one["last_poll"] is not None else msg("not heard of since the exchange was started")


def _datasets(visit: Visit, owner: str) -> list[dict[str, Any]]:
    found = visit.place.get("datasets", owner=owner, limit=_MOST)["datasets"]
    return [{"asset": one["asset"], "refreshed": one["refreshed"], "state": one["state"]} for one in found]


def _own(own: Mapping[str, Any]) -> dict[str, Any]:
    waiting = [{"what": _TASKS.get(task, task), "count": count} for task, count in own["waiting"].items()]
    return {**own, "waiting": waiting}


PAGES = (Page("/nodes", "nodes.html", msg("Nodes"), show, group=msg("Oversight")),)
