"""The first page: what waits for this party, what it has, what happened last."""

from collections.abc import Iterator, Mapping
from typing import Any

from api.console.pages import Page, Visit
from api.console.places import Place
from api.console.wording import msg
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
            {"name": msg("Pledges under way or live"), "value": len(live), "at": "/pledges"},
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
    for one in place.get("access")["requests"]:
        if one.get("state") == "open":
            yield {
                "what": msg("A request for access waits for officers"),
                "about": f"{one['asker']}, {one['purpose']}",
                "since": one.get("since"),
                "until": one.get("closes"),
                "at": f"/requests/{one['id']}",
            }


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
            "about": str(one.get("asset", "")),
            "since": one.get("since"),
            "until": None,
            "at": "/reviews",
        }


PAGES = (Page("/", "home.html", msg("Home"), show, group=msg("Overview")),)
