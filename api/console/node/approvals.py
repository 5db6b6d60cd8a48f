"""Who is trusted here: approvals in force, the officers who give them, and every pinned key."""

from collections.abc import Mapping
from typing import Any

from api.console.node.place import beside
from api.console.pages import Page, Visit
from api.console.places import NODE, Same
from api.console.wording import msg
from privacy.approval import Manner
from privacy.terms import rho


def approvals(visit: Visit) -> Mapping[str, Any]:
    """Return what officers have approved and is in force today, who they are, and which grants ask for them."""
    place = beside(visit.place)
    officers = [one for one in place.history.pinned() if one.role == "officer"]
    return {
        "day": place.today().isoformat(),
        "approvals": [
            {
                "asker": one.asker,
                "purpose": one.purpose,
                "standing": one.plan_hash is None,
                "plan": one.plan_hash,
                "uses": sorted(one.atoms),
                "rho": rho(one.rho),
                "until": one.until.isoformat(),
                "persons": sorted(one.persons),
            }
            for one in place.vault.approvals(place.today())
        ],
        "officers": [{"party": one.party, "at": one.at, "key": one.key} for one in officers],
        "grants": [
            {
                "dataset": dataset.name,
                "purpose": grant.purpose,
                "manner": grant.consent.manner.value,
                "persons": grant.consent.persons,
                "days": grant.consent.days,
            }
            for dataset in place.vault.datasets()
            for grant in place.vault.policy(dataset.name).grants
            if grant.consent.manner is not Manner.AUTOMATIC
        ],
        "home": str(place.home),
        "same_as": [
            Same(msg("Command line, while the node is stopped"), f"touchstone node approvals {place.home}").to_json()
        ],
    }


def trusted(visit: Visit) -> Mapping[str, Any]:
    """Return whose keys are pinned here, and whether the exchange shows the same ones."""
    place = beside(visit.place)
    _, error = place.answers()
    shown = {} if error else {one["id"]: one["key"] for one in place.get("parties")["parties"]}
    return {
        "own": place.vault.signing.public_key().public_bytes_raw().hex(),
        "reached": error is None,
        "pinned": [
            {
                "party": one.party,
                "role": one.role,
                "at": one.at,
                "key": one.key,
                "shown": None if one.party not in shown else shown[one.party] == one.key,
            }
            for one in place.history.pinned()
        ],
        "same_as": [
            Same(
                msg("Command line, while the node is stopped"),
                f"touchstone node pin {place.home} PARTY KEY --role lender\ntouchstone node dismiss {place.home} OFFICER",
            ).to_json()
        ],
    }


PAGES = (
    Page(
        "/approvals",
        "approvals.html",
        msg("Approvals in force"),
        approvals,
        group=msg("What others learn"),
        places=frozenset({NODE}),
    ),
    Page(
        "/trusted",
        "trusted.html",
        msg("Whom this node trusts"),
        trusted,
        group=msg("This node"),
        places=frozenset({NODE}),
    ),
)
