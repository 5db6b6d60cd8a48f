"""The first page: what waits for this party, what it has, what happened last."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from api import supervising
from api.console.everywhere.supervision import read
from api.console.pages import Page, Visit
from api.console.places import DESK, Place
from api.console.wording import msg
from exchange.protocol.access import OPEN, Standing
from exchange.protocol.pledge import OVER
from privacy.errors import Refused

_ENDED = {state.value for state in OVER}
_ASKING = {
    "quoted": msg("Two officers of the lender approve it"),
    "approved": msg("The owner signs or objects"),
    "signed": msg("The lender files it"),
    "warning": msg("The cover is thin: look at the covenants"),
    "margin_call": msg("Cash or collateral must cure it"),
    "step_in": msg("The rows are operated in the owner's place"),
}
"""By state of a pledge: what it waits for."""


def show(visit: Visit) -> Mapping[str, Any]:
    """Return to-dos, three numbers and the pledges of the party."""
    place = visit.place
    pledges = place.get("pledges")["pledges"]
    live = [one for one in pledges if one["state"] not in _ENDED]
    found = place.get("datasets", limit=1, facets="true")
    return {
        "party": place.party,
        "role": place.role,
        "todo": [*_pledges(live), *_requests(place), *_reviews(place)],
        "numbers": [
            {"name": msg("Datasets in the catalog"), "value": sum(found["facets"]["state"].values()), "at": "/assets"},
            {"name": msg("Standards"), "value": len(place.get("standards")["standards"]), "at": "/standards"},
            {
                "name": msg("Live pledges on the register"),
                "value": len(supervising.live(read(visit))),
                "at": "/supervision",
            }
            if place.role == "regulator"
            else {"name": msg("Pledges under way or live"), "value": len(live), "at": "/pledges"},
        ],
        "pledges": live[:10],
    }


def _pledges(live: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in live:
        if one["state"] in _ASKING:
            yield {
                "what": _ASKING[one["state"]],
                "about": f"{one['asset']}, {one['lender']}",
                "since": one["since"],
                "until": one["cure_by"] or one["expires"],
                "at": f"/pledges/{one['id']}",
            }


def _requests(place: Place) -> Iterator[dict[str, Any]]:
    """Yield to officers what waits for their ruling, to an asker what was approved; read as the exchange tells it.

    The page that each leads to checks every signature; at the exchange, where nothing can be done, none leads anywhere.
    """
    for one in place.get("access")["requests"]:
        asked = json.loads(one["request"]["body"])
        own = [told for told in one["owners"].values() if "rulings" in told]
        words = [_last(told["words"]) for told in own or one["owners"].values()]
        standings = {word["standing"] for word in words}
        if own and standings & OPEN:
            what, until = msg("A request for access waits for officers"), asked["closes"]
        elif not own and standings == {Standing.APPROVED}:
            what, until = msg("Your request was approved: put the question"), min(word["until"] for word in words)
        else:
            continue
        if until >= datetime.now(UTC).date().isoformat():
            yield {
                "what": what,
                "about": f"{one['request']['signer']}, {asked['plan']['purpose']}",
                "since": one["since"],
                "until": until,
                "at": f"/requests/{one['id']}" if place.kind == DESK else None,
            }


def _last(words: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the last word of an owner's node that counts; a request that it has said nothing of waits."""
    told = [json.loads(word["body"]) for word in words]
    counted = [word for word in told if word["counted"]]
    return max(counted, key=lambda word: word["step"], default={"standing": Standing.WAITING})


def _reviews(place: Place) -> Iterator[dict[str, Any]]:
    if place.role != "officer":
        return
    try:
        waiting = place.get("reviews")["reviews"]
    except Refused:
        return  # an officer of a party is no reviewer
    for one in waiting:
        yield {
            "what": msg("Rows are alike: a reviewer rules before the pledge is filed"),
            "about": one["asset"],
            "since": None,
            "until": None,
            "at": "/reviews" if place.kind == DESK else None,
        }


PAGES = (Page("/", "home.html", msg("Home"), show, group=msg("Overview")),)
