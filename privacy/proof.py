"""The necessity proof: what was asked, what it needs, who granted it by which policy, and what stayed closed.

It follows from plan and standard alone, but for the owners' policy digests, which the owners' signed messages carry. So
anybody who holds plan and standard can check it offline, and whoever holds the policies can check that they grant it.
Source: PROOFS 8.6.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from privacy.atoms import USES, Atom, atoms, atoms_of
from privacy.errors import Malformed, Mismatch
from privacy.expression import ByCase, ByCategory, Dimension, known, tested
from privacy.necessity import Decision, decide
from privacy.offences import Request
from privacy.plan import Measure, Plan
from privacy.policy import Grant, Policy
from privacy.purposes import PURPOSES
from privacy.recipients import ANYBODY
from privacy.terms import Kind, Standard

FORMAT = "touchstone-necessity/1"

_DAY = date(2000, 1, 1)
"""The least grant holds on every day: any will do."""


def prove(plan: Plan, *, asker: str, keeps: int, standard: Standard, granted: Mapping[str, str]) -> dict[str, Any]:
    """Return the proof as a canonical JSON object; ``granted`` has the digest of each party's policy.

    Raises:
        Malformed: if the purpose is not registered, or the plan is not about this standard.
    """
    template = PURPOSES.get(plan.purpose)
    if template is None or plan.standard_digest != standard.digest:
        raise Malformed(
            "no necessity can be proved for this plan", fix="give the standard and the purpose it was asked for"
        )
    needed = atoms(plan)
    return {
        "format": FORMAT,
        "asked": {
            "plan_hash": plan.hash,
            "purpose": template.id,
            "asker": asker,
            "parties": list(plan.parties),
            "rho": plan.rho,
            "cells": plan.cells_count,
            "keeps": keeps,
        },
        "standard": {"id": standard.id, "digest": standard.digest},
        "needed": [{"use": str(atom), "without_it_fails": _needing(plan, atom)} for atom in needed],
        "granted": dict(sorted(granted.items())),
        "withheld": [
            {"column": column.name, "uses": closed}
            for column in standard.columns
            if column.kind is not Kind.IDENTIFIER
            and (closed := [use for use in USES if Atom(column.name, use) not in needed])
        ],
    }


def verify(proof: Any, plan: Plan, standard: Standard, *, policies: Iterable[Policy] = ()) -> int:
    """Check a proof against plan and standard, and against the policies at hand; return how many uses it shows needed.

    Each use is taken out of the least grant in turn: the plan must then be refused, naming it and nothing else.

    Raises:
        Mismatch: naming the part that does not hold.
        Malformed: if it is no proof.
    """
    asker, keeps, granted = _read(proof)
    again = prove(plan, asker=asker, keeps=keeps, standard=standard, granted=granted)
    for part in again.keys() | proof.keys():
        if proof.get(part) != again.get(part):
            raise Mismatch(f"the proof's part {part} does not follow from plan and standard", fix="do not rely on it")
    if sorted(granted) != list(plan.parties):
        raise Mismatch("the proof names other owners than the plan", fix="do not rely on it")
    _check_need(plan, asker=asker, keeps=keeps, standard=standard)
    for policy in policies:
        if granted.get(policy.owner) != policy.digest:
            raise Mismatch(f"{policy.owner} has granted by another policy", fix="take the version in force on the day")
    return len(atoms(plan))


def _read(proof: Any) -> tuple[str, int, dict[str, str]]:
    """Return the asker, the days that the result is kept, and the policy digests by owner."""
    match proof:
        case {"asked": {"asker": str(asker), "keeps": int(keeps)}, "granted": dict(granted)} if all(
            isinstance(owner, str) and isinstance(digest, str) for owner, digest in granted.items()
        ):
            return asker, keeps, granted
    raise Malformed("the document is no necessity proof", fix="take it from the receipt of an answer")


def _check_need(plan: Plan, *, asker: str, keeps: int, standard: Standard) -> None:
    """Make sure that the least grant suffices, and that each use taken out of it is missed."""
    least = least_policy(plan)
    if not _judged(plan, asker=asker, keeps=keeps, standard=standard, policy=least).allowed:
        raise Mismatch("what the proof calls needed is refused whoever grants it", fix="do not rely on it")
    for atom in atoms(plan):
        decision = _judged(plan, asker=asker, keeps=keeps, standard=standard, policy=_without(least, atom))
        if {violation.item for violation in decision.violations} != {str(atom)}:
            raise Mismatch(f"the plan does not need {atom}", fix="do not rely on the proof")


def least_policy(plan: Plan) -> Policy:
    """Return the smallest policy that allows a plan, whoever asks: what an owner would have to grant, and no more."""
    columns: dict[str, tuple[str, ...]] = {}
    for atom in atoms(plan):
        columns[atom.column] = (*columns.get(atom.column, ()), atom.use)
    domains: dict[str, tuple[str, ...]] = {}
    for by in plan.groups:
        if isinstance(by, ByCategory):
            held = domains.get(by.column, ())
            domains[by.column] = (*held, *(label for label in known(by) if label not in held))
    grant = Grant(
        purpose=plan.purpose,
        recipients=(ANYBODY,),
        columns=columns,
        min_parties=1,
        min_group=0,
        rho_per_query=plan.rho,
        budget=plan.rho,
        shared_from=plan.shared,
    )
    return Policy("owner", "dataset", plan.standard, 1, plan.rho, plan.rho, (grant,), plan.clipped, domains)


def closed(proof: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a proof shows withheld as pairs of a column and the reason, for a report."""
    purpose = proof["asked"]["purpose"].partition("/")[0]
    told = []
    for item in proof["withheld"]:
        opened = [use for use in USES if use not in item["uses"]]
        reason = f"{purpose} does not need it"
        if opened:
            reason = f"{purpose} needs it for {', '.join(opened)} alone"
        told.append((str(item["column"]), reason))
    return told


def _judged(plan: Plan, *, asker: str, keeps: int, standard: Standard, policy: Policy) -> Decision:
    roles = PURPOSES[plan.purpose].roles
    request = Request(plan, asker, roles[0] if roles else None, keeps, _DAY)
    return decide(request, standard=standard, policies=[policy])


def _without(policy: Policy, atom: Atom) -> Policy:
    (grant,) = policy.grants
    left = {
        name: tuple(use for use in uses if (name, use) != (atom.column, atom.use))
        for name, uses in grant.columns.items()
    }
    return replace(policy, grants=(replace(grant, columns=left),))


def _needing(plan: Plan, atom: Atom) -> list[str]:
    """The parts of a plan that could not be answered without a use, as text."""
    found = [_told(item) for item in (*plan.measures, *plan.groups) if atom in atoms_of(item)]
    found += [f"where {test}" for test in plan.where if atom.use == "filter" and atom.column in tested(test)]
    return [text if len(text) <= 200 else f"{text[:199]}…" for text in found]


def _told(item: Measure | Dimension) -> str:
    if isinstance(item, Measure):
        return item.key
    by = "case" if isinstance(item, ByCase) else item.column
    return f"group by {by}"
