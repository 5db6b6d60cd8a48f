"""What a policy would say: to a party and purpose, use by use; to one statement, item by item; to the change into another."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from api.console.node.budget import LIMITS, nano, share
from api.console.node.place import NodePlace
from api.console.node.rules import amounts, scaled
from api.console.wording import msg
from exchange.node.source import Dataset
from exchange.node.vault import Account
from privacy.atoms import ROWS, USES, Atom, atoms
from privacy.errors import Malformed
from privacy.floor import FLOORS, least_group
from privacy.necessity import decide, shown_from
from privacy.offences import Request, of_atom
from privacy.openings import Change, opened
from privacy.permissions import STRANGER, Person, permissions
from privacy.policy import Grant, Policy
from privacy.purposes import PURPOSES, ROLES
from privacy.terms import NANO, Column, Kind, Standard, rho

WORDS = {
    "open": msg("allowed"),
    "role": msg("another role's purpose"),
    "identifier": msg("identifier"),
    "level": msg("too sensitive"),
    "purpose": msg("not needed for it"),
    "prohibited": msg("prohibited"),
    "nobody": msg("no grant"),
    "closed": msg("not granted"),
    "days": msg("not on this day"),
}
"""By the layer that closes a use: a word for it."""

LAYERS = {
    "registry": msg("the registry"),
    "purpose": msg("the purpose"),
    "classification": msg("the level of the column"),
    "policy": msg("your policy"),
}

LONGEST_STATEMENT = 20_000


@dataclass(frozen=True, slots=True)
class Case:
    """Who asks for what on which day."""

    who: Person
    purpose: str
    day: date


def askers(place: NodePlace, policy: Policy) -> list[Person]:
    """Return everybody that a page offers: who is trusted here, whom the policy names, and a stranger in each role."""
    pinned = [one for one in place.history.pinned() if one.party != place.party]
    known = [Person(one.party, one.role) for one in pinned if one.role in ROLES]
    named = {name for grant in policy.grants for name in grant.recipients if name.isascii() and "*" not in name}
    told = {one.party for one in known}
    known += [Person(name, "lender") for name in sorted(named - told) if ":" not in name]
    known.sort(key=lambda one: (one.role != "lender", one))
    return [*known, *(Person(STRANGER, role) for role in ROLES)]


def grid(policy: Policy, standard: Standard, case: Case) -> list[dict[str, Any]]:
    """Return for each column which uses are open, and for the others what closes them."""
    columns = {column.name: column for column in standard.columns}
    found = permissions([policy], standard, [case.who], on=case.day)
    told = {one.atom: one.reasons for one in found if one.purpose == case.purpose}
    rows = [("*", [Atom(ROWS, "count")]), *((name, [Atom(name, use) for use in USES]) for name in columns)]
    return [
        {
            "column": name,
            "kind": columns[name].kind.value if name in columns else "",
            "level": columns[name].security if name in columns else None,
            "cells": [
                {"use": atom.use, "word": closing(policy, columns, case, atom), "reasons": list(told[atom])}
                for atom in listed
            ],
        }
        for name, listed in rows
    ]


def closing(policy: Policy, columns: Mapping[str, Column], case: Case, atom: Atom) -> str:
    """Return which layer closes a use, the first that does; ``open`` if none."""
    template = PURPOSES[case.purpose]
    asker, role = case.who.party, case.who.role
    if template.roles and role not in template.roles:
        return "role"
    for offence in of_atom(atom, columns, template):
        if offence.layer == "classification":
            return "identifier" if columns[atom.column].kind is Kind.IDENTIFIER else "level"
        return "purpose"
    if any(one.forbids(atom, purpose=case.purpose, asker=asker, role=role) for one in policy.prohibitions):
        return "prohibited"
    admitted = [grant for grant in policy.granted(case.purpose) if grant.admits(asker, role)]
    opening = [grant for grant in admitted if grant.opens(atom)]
    if not opening:
        return "closed" if admitted else "nobody"
    return "open" if any(grant.holds_on(case.day) for grant in opening) else "days"


def effective(place: NodePlace, dataset: Dataset, policy: Policy, case: Case) -> list[dict[str, Any]]:
    """Return what each grant for a party and purpose comes to: bounds, values, precision, least group, what is left."""
    left = place.room(dataset, partner=case.who.party, purpose=case.purpose)
    return [
        _effect(grant, policy, dataset.standard, left)
        for grant in policy.granted(case.purpose)
        if grant.admits(case.who.party, case.who.role)
    ]


def _effect(grant: Grant, policy: Policy, standard: Standard, left: Account) -> dict[str, Any]:
    template = PURPOSES[grant.purpose]
    opened_columns = [column for column in standard.columns if grant.columns.get(column.name)]
    return {
        "parties": max(grant.min_parties, template.min_parties),
        "group": max([grant.min_group, least_group(one for one in opened_columns if one.kind is not Kind.IDENTIFIER)]),
        "price": rho(grant.rho_per_query),
        "price_share": share(grant.rho_per_query, policy.everyone),
        "answers": left.left // max(grant.rho_per_query, 1),
        "tightest": LIMITS[left.cap],
        "left": rho(left.left),
        "keeps": min(template.keeps, template.keeps if grant.keeps is None else grant.keeps),
        "columns": [_limits(column, grant, policy) for column in opened_columns],
    }


def _limits(column: Column, grant: Grant, policy: Policy) -> dict[str, Any]:
    """Return within what a column may be used under a grant: bounds of sums, values, the finest cut."""
    bounds = policy.bounds.get(column.name, column.bounds)
    grain = grant.grain.get(column.name)
    uses = {*grant.columns[column.name]}
    summed, named = uses & {"sum", "product", "histogram"}, uses & {"group", "filter"}
    period: str | None = None
    if named and column.kind is Kind.DATE:
        order = ("year", "quarter", "month", "day")
        limits = [
            FLOORS[column.security].part,
            PURPOSES[grant.purpose].part,
            grain if isinstance(grain, str) else "day",
        ]
        period = min(limits, key=order.index)
    return {
        "column": column.name,
        "kind": column.kind.value,
        "bounds": amounts(column, bounds) if summed and bounds is not None and column.kind is Kind.MEASURE else None,
        "own": column.name in policy.bounds,
        "labels": [
            label
            for label in policy.domains.get(column.name, column.domain)
            if named and label in grant.domains.get(column.name, column.domain)
        ],
        "period": period,
        "width": scaled(column, grain) if isinstance(grain, int) else None,
        "finest": scaled(column, grant.finest[column.name]) if column.name in grant.finest else None,
    }


def judged(
    place: NodePlace, dataset: Dataset, policy: Policy, case: Case, *, sql: str, price: str, keeps: str
) -> dict[str, Any]:
    """Judge one statement as the node would now: verdict, every offending item, the nearest request that passes, the price.

    Raises:
        QueryFault: if the statement is not in the language.
        Malformed: if price or days are no numbers, or the statement is too long.
    """
    # the reader of SQL takes half a second to load: who only reads policies does not wait for it
    from exchange.analyst.narrowing import narrow  # noqa: PLC0415
    from exchange.analyst.reading import parse  # noqa: PLC0415
    from exchange.analyst.spelling import spell  # noqa: PLC0415

    if len(sql) > LONGEST_STATEMENT:
        raise Malformed("the statement is too long", fix=f"write at most {LONGEST_STATEMENT} characters")
    template, standard = PURPOSES[case.purpose], dataset.standard
    grants = [one for one in policy.granted(case.purpose) if one.admits(case.who.party, case.who.role)]
    usual = max(1, min((one.rho_per_query for one in grants), default=NANO // 10))
    paid = nano(price) if price else usual
    days = _days(keeps) if keeps else template.keeps
    least = max([template.min_parties, *(one.min_parties for one in grants)])
    others = sorted(place.vault.institutions() - {place.party})
    others += [f"institution-{number}" for number in range(1, least)]
    parties = (place.party, *others[: least - 1])
    question = parse(sql, standard=standard, purpose=case.purpose, parties=parties, rho=paid)
    request = Request(question.plan, case.who.party, case.who.role, days, case.day)
    approvals = place.vault.approvals(case.day, asker=case.who.party)
    decision = decide(request, standard=standard, policies=[policy], approvals=approvals)
    offered = None if decision.nearest is None else narrow(question, decision.nearest)
    pledge = place.vault.drawn_from(dataset, partner=case.who.party, purpose=case.purpose, day=case.day)
    asked, account = place.vault.price(question.plan, partner=case.who.party, dataset=dataset, pledge=pledge)
    return {
        "outcome": decision.outcome.value,
        "uses": [str(atom) for atom in atoms(question.plan)],
        "items": [one.to_json() for one in decision.violations],
        "parties": list(parties),
        "rho": rho(paid),
        "keeps": days,
        "charged": rho(asked),
        "left": rho(account.left),
        "enough": asked <= account.left,
        "group": max(
            (shown_from(question.plan, standard=standard, grant=one) for one in decision.grants), default=None
        ),
        "nearest": None
        if offered is None or decision.nearest is None
        else {"sql": spell(offered, standard), "rho": rho(decision.nearest.rho), "keeps": decision.keeps},
    }


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        raise Malformed("the days are not a whole number", fix="write them as 365")
    return int(text)


def changes(before: Policy, after: Policy, standard: Standard, *, on: date) -> Mapping[str, list[dict[str, Any]]]:
    """Return what a change of policy opens and what it closes, each with a request that shows it."""
    texts = [json.dumps(one.to_json(), sort_keys=True) for one in (before, after, standard)]
    return _changes(texts[0], texts[1], texts[2], on)


@lru_cache(maxsize=32)
def _changes(before: str, after: str, standard: str, on: date) -> Mapping[str, list[dict[str, Any]]]:
    """Return the same of documents as text: to find requests that show it takes a second, and a page is often drawn again."""
    old, new = (Policy.from_json(json.loads(text)) for text in (before, after))
    schema = Standard.from_json(json.loads(standard))
    return {
        "opens": list(_told(opened(old, new, schema, on=on))),
        "closes": list(_told(opened(new, old, schema, on=on))),
    }


def _told(found: Sequence[Change]) -> Iterator[dict[str, Any]]:
    for one in found:
        parties: dict[str, list[str]] = {}
        for who in one.who:
            parties.setdefault(who.party, []).append(who.role)
        yield {
            "who": [
                {"party": party, "roles": [] if len(roles) == len(ROLES) else roles} for party, roles in parties.items()
            ],
            "purpose": None if one.purpose == "*" else one.purpose,
            "what": one.what,
            "example": one.example,
        }
