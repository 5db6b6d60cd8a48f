"""A reviewer's page: pledges that wait because their rows are like those of another asset, and the ruling on each pair."""

import secrets
from collections.abc import Mapping
from typing import Any, Literal, cast

from api.console.desk.place import beside
from api.console.pages import Page, Visit
from api.console.places import DESK, Same
from api.console.wording import msg
from exchange.protocol.collateral import Clearance
from exchange.protocol.errors import Unknown
from privacy.errors import Malformed, Refused


def show(visit: Visit) -> Mapping[str, Any]:
    """Return the pairs of assets that wait for a reviewer, with how alike their rows are."""
    place = beside(visit.place)
    try:
        waiting = place.get("reviews")["reviews"]
    except Refused:
        waiting = None
    return {
        "reviewer": waiting is not None,
        "pairs": [
            {"asset": one["asset"], "offer": one["offer"], "fingerprint": one["fingerprint"], **_like(found)}
            for one in waiting or ()
            for found in one["found"]
        ],
        "because": visit.form.get("because", ""),
        "same_as": [
            Same(msg("Command line"), f"touchstone pledge reviews HOME --exchange {place.exchange}").to_json(),
            Same("HTTP", "GET /v1/reviews").to_json(),
        ],
    }


def _like(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "other": found["asset"],
        "other_fingerprint": found["fingerprint"],
        "pledged": found["pledged"],
        "likeness": found["likeness"],
    }


def rule(visit: Visit) -> str:
    """Rule that two assets are different ones or the same, with the reason."""
    place, form = beside(visit.place), visit.form
    because = " ".join(form.get("because", "").split())
    if form.get("do") not in ("clear", "same") or not 0 < len(because) <= 400 or not because.isprintable():
        raise Malformed(
            "the ruling is not one", fix="say why in one line of plain text, and use one of the two buttons"
        )
    named = ("asset", "fingerprint", "other", "other_fingerprint")
    pair = next((one for one in show(visit)["pairs"] if all(one[name] == form.get(name) for name in named)), None)
    if pair is None:
        raise Unknown("pair of assets that waits for a ruling")
    ruling = Clearance(
        **{name: pair[name] for name in named},
        act=cast("Literal['clear', 'same']", form["do"]),
        because=because,
        nonce=secrets.token_hex(32),
    )
    place.line.post("/v1/reviews", place.client.desk.sign(ruling))
    return "/reviews"


PAGES = (
    Page(
        "/reviews",
        "reviews.html",
        msg("Rows that are alike"),
        show,
        group=msg("Access"),
        roles=frozenset({"officer"}),
        places=frozenset({DESK}),
        act=rule,
    ),
)
