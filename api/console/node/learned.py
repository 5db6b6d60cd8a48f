"""What others have learned: every question that was judged here, what its answer told and how exactly, and who asked for what."""

from collections.abc import Mapping
from typing import Any

from api.console.node.answered import described, plan_of
from api.console.node.budget import share
from api.console.node.place import NodePlace, beside
from api.console.pages import Page, Visit
from api.console.places import NODE, Same
from api.console.wording import msg
from exchange.node.vault import Standing
from exchange.protocol.messages import Decline, unverified
from exchange.protocol.session import Part
from privacy.policy import Policy
from privacy.terms import rho

ON_A_PAGE = 25

_STATES = {
    Part.ACCEPTED: msg("accepted, not yet answered"),
    Part.DECLINED: msg("refused"),
    Part.COMMITTED: msg("promised, not yet answered"),
    Part.CHARGED: msg("charged, not yet sent"),
    Part.ANSWERED: msg("answered"),
    Part.ABORTED: msg("given up"),
}


def show(visit: Visit) -> Mapping[str, Any]:
    """Return who learned how much for which purpose, and one page of the questions, newest first."""
    place = beside(visit.place)
    asked = {name: visit.query.get(name, "") for name in ("asker", "stage")}
    every = place.history.questions()
    fitting = [one for one in every if asked["asker"] in ("", one.asker) and asked["stage"] in ("", one.stage)]
    at = visit.number("from", 0, least=0, most=1 << 30)
    paid = {row["session"]: row["nano"] for row in place.vault.spending()}
    return {
        "learned": _summary(place),
        "asked": asked,
        "choices": {"asker": sorted({one.asker for one in every}), "stage": sorted({one.stage for one in every})},
        "stages": {stage.value: told for stage, told in _STATES.items()},
        "questions": [
            {
                "session": one.session,
                "at": one.at,
                "asker": one.asker,
                "stage": one.stage,
                "rho": rho(paid.get(one.session, 0)),
                "free": one.stage == Part.ANSWERED and one.session not in paid,
                **described(place, one.session),
            }
            for one in fitting[at : at + ON_A_PAGE]
        ],
        "count": len(fitting),
        "next": at + ON_A_PAGE if at + ON_A_PAGE < len(fitting) else None,
        "same_as": [
            Same(msg("Command line, while the node is stopped"), f"touchstone node budget {place.home}").to_json()
        ],
    }


def _summary(place: NodePlace) -> list[dict[str, Any]]:
    """Return by asker and purpose how many different answers were charged, and what they cost of the cap for everybody."""
    caps = {}
    for dataset in place.vault.datasets():
        policy: Policy = place.vault.policy(dataset.name)
        caps[dataset.population] = policy.everyone
    told: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in place.vault.spending():
        told.setdefault((row["partner"], row["purpose"], row["population"]), []).append(row)
    return [
        {
            "asker": partner,
            "purpose": purpose,
            "population": population,
            "answers": len(rows),
            "share": share(sum(row["nano"] for row in rows), caps[population]) if population in caps else None,
            "rho": rho(sum(row["nano"] for row in rows)),
            "last": place.history.charged(rows[-1]["seq"]),
        }
        for (partner, purpose, population), rows in sorted(told.items())
    ]


def one(visit: Visit) -> Mapping[str, Any]:
    """Return everything that is on record of one question."""
    place = beside(visit.place)
    session = visit.path["session"]
    standing = place.vault.standing(session)
    plan, _ = plan_of(place, session)
    asked = next((found for found in place.history.questions() if found.session == session), None)
    paid = next((row for row in place.vault.spending() if row["session"] == session), None)
    return {
        "session": session,
        "at": None if asked is None else asked.at,
        "asker": None if standing is None else standing.ask.signer,
        "stage": None if standing is None else standing.part.value,
        "stages": {stage.value: told for stage, told in _STATES.items()},
        "rho": rho(paid["nano"]) if paid else "0",
        "charge": None if paid is None else {"seq": paid["seq"], "at": place.history.charged(paid["seq"])},
        "refusal": None if standing is None else _refusal(standing),
        "plan": plan.to_json(),
        "plan_hash": plan.hash,
        "cells": plan.groups_count * len(plan.measures),
        "roster": None if standing is None else standing.roster,
        **described(place, session),
    }


def _refusal(standing: Standing) -> Mapping[str, Any] | None:
    """Return what the asker was told where its question was declined."""
    if standing.part is not Part.DECLINED or standing.reply is None:
        return None
    told = unverified(standing.reply, Decline)
    return {"reason": told.reason, "fix": told.fix, "offences": [one.model_dump(mode="json") for one in told.offences]}


PAGES = (
    Page(
        "/learned",
        "learned.html",
        msg("What others learned"),
        show,
        group=msg("What others learn"),
        places=frozenset({NODE}),
    ),
    Page("/learned/{session}", "learned-one.html", msg("One answer"), one, places=frozenset({NODE})),
)
