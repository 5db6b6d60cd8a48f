"""A policy in the words of others: an ODRL 2.2 offer with purposes of the Data Privacy Vocabulary (DPV), as JSON-LD.

ODRL has no budgets, no grids and no joint answers; what it lacks is said by operands of our own profile (``mn:``). The
policy document is what counts; this is a projection of it that can be read back. Reading refuses every term that it does
not know: a constraint that is not understood is not satisfied.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from privacy.errors import Malformed
from privacy.policy import AUTOMATIC, Grant, Policy, Prohibition
from privacy.purposes import PURPOSES

CONTEXT = [
    "http://www.w3.org/ns/odrl.jsonld",
    {"dpv": "https://w3id.org/dpv#", "mn": "urn:touchstone:necessity:1#", "xsd": "http://www.w3.org/2001/XMLSchema#"},
]
PROFILE = "urn:touchstone:necessity:1"
MEASURES = ["dpv:DifferentialPrivacy", "dpv:HomomorphicEncryption", "dpv:SecureMultiPartyComputation"]
"""How whatever is permitted is carried out, always."""

_DURATION = re.compile(r"P(0|[1-9][0-9]{0,5})D")

_OPERATORS = {
    "purpose": ("isA",),
    "mn:purpose": ("eq",),
    "recipient": ("isAnyOf",),
    "mn:uses": ("isPartOf",),
    "mn:institutions": ("gteq",),
    "mn:groupRows": ("gteq",),
    "mn:rhoPerQuestion": ("lteq",),
    "mn:budget": ("lteq",),
    "mn:sharedFrom": ("gteq",),
    "mn:grain": ("eq",),
    "mn:labels": ("isPartOf",),
    "mn:rows": ("eq",),
    "mn:halfWidth": ("gteq",),
    "mn:answerCells": ("lteq",),
    "elapsedTime": ("lteq",),
    "dateTime": ("gteq", "lt"),
}
"""Every operand of a permission with its operators."""

_EACH = ("mn:grain", "mn:labels", "mn:rows", "mn:halfWidth")
"""Operands that may stand more than once."""


def export(policy: Policy) -> dict[str, Any]:
    """Return a policy as an ODRL offer (JSON-LD)."""
    told = policy.to_json()
    return {
        "@context": CONTEXT,
        "@type": "Offer",
        "uid": f"urn:touchstone:policy:{policy.owner}:{policy.dataset}:{policy.version}",
        "profile": PROFILE,
        "conflict": "prohibit",
        "assigner": policy.owner,
        "target": policy.dataset,
        "dpv:hasTechnicalMeasure": MEASURES,
        "mn:standard": policy.standard,
        "mn:version": policy.version,
        "mn:everyone": policy.everyone,
        "mn:partner": policy.partner,
        "mn:bounds": told["bounds"],
        "mn:domains": told["domains"],
        "mn:pledging": told["pledging"],
        "permission": [_permission(grant) for grant in policy.grants],
        "prohibition": [_prohibition(one) for one in policy.prohibitions],
    }


def read(document: Any) -> Policy:
    """Read a policy back from its ODRL offer.

    Raises:
        Malformed: if anything is missing, unknown, doubled or mistyped; never with its text.
    """
    try:
        _check_frame(document)
        struck = [_read_prohibition(item) for item in document["prohibition"]]
        native = {
            "owner": document["assigner"],
            "dataset": document["target"],
            "standard": document["mn:standard"],
            "version": document["mn:version"],
            "everyone": document["mn:everyone"],
            "partner": document["mn:partner"],
            "grants": [_read_permission(item) for item in document["permission"]],
            "bounds": document["mn:bounds"],
            "domains": document["mn:domains"],
            "pledging": document["mn:pledging"],
            **({"prohibitions": struck} if struck else {}),
        }
        policy = Policy.from_json(native)
        same = document["uid"] == export(policy)["uid"]
    except (LookupError, TypeError, ValueError, AttributeError):
        raise _foreign() from None
    if not same:
        raise _foreign()
    return policy


def _check_frame(document: Mapping[str, Any]) -> None:
    """Make sure that an offer has our context and profile, and no field that is not read."""
    fixed = {
        "@context": CONTEXT,
        "@type": "Offer",
        "profile": PROFILE,
        "conflict": "prohibit",
        "dpv:hasTechnicalMeasure": MEASURES,
    }
    known = {
        "uid", "assigner", "target", "mn:standard", "mn:version", "mn:everyone", "mn:partner", "mn:bounds",
        "mn:domains", "mn:pledging", "permission", "prohibition",
    }  # fmt: skip
    if any(document[name] != value for name, value in fixed.items()) or set(document) != known | set(fixed):
        raise ValueError


def _foreign() -> Malformed:
    return Malformed(
        "the offer says something that a policy cannot hold, or leaves something out",
        fix="export a policy and keep to its operands: what is not understood is refused",
    )


# -- writing ---------------------------------------------------------------------------------------------------------


def _permission(grant: Grant) -> dict[str, Any]:
    told = grant.to_json()
    constraints = [
        _constraint("purpose", "isA", {"@id": PURPOSES[grant.purpose].parent}),
        _constraint("mn:purpose", "eq", grant.purpose),
        _constraint("recipient", "isAnyOf", told["recipients"]),
        _constraint("mn:uses", "isPartOf", [[column, use] for column, uses in grant.columns.items() for use in uses]),
        _constraint("mn:institutions", "gteq", grant.min_parties),
        _constraint("mn:groupRows", "gteq", grant.min_group),
        _constraint("mn:rhoPerQuestion", "lteq", grant.rho_per_query),
        _constraint("mn:budget", "lteq", grant.budget),
    ]
    if grant.shared_from is not None:
        constraints.append(_constraint("mn:sharedFrom", "gteq", grant.shared_from))
    constraints += [_constraint("mn:grain", "eq", [name, grain]) for name, grain in grant.grain.items()]
    constraints += [_constraint("mn:labels", "isPartOf", [name, list(said)]) for name, said in grant.domains.items()]
    constraints += [_constraint("mn:rows", "eq", test) for test in told.get("rows", [])]
    constraints += [_constraint("mn:halfWidth", "gteq", [name, half]) for name, half in grant.finest.items()]
    if grant.max_cells is not None:
        constraints.append(_constraint("mn:answerCells", "lteq", grant.max_cells))
    if grant.keeps is not None:
        constraints.append(_constraint("elapsedTime", "lteq", _typed(f"P{grant.keeps}D", "duration")))
    if grant.valid is not None:
        constraints.append(_constraint("dateTime", "gteq", _typed(grant.valid[0], "date")))
        constraints.append(_constraint("dateTime", "lt", _typed(grant.valid[1], "date")))
    consent = grant.consent
    if consent == AUTOMATIC:
        return {"action": "use", "constraint": constraints}
    duty = [
        _constraint("mn:manner", "eq", consent.manner.value),
        _constraint("mn:persons", "gteq", consent.persons),
        _constraint("mn:days", "lteq", consent.days),
    ]
    return {"action": "use", "constraint": constraints, "duty": [{"action": "obtainConsent", "constraint": duty}]}


def _prohibition(one: Prohibition) -> dict[str, Any]:
    constraints = [_constraint(f"mn:{name}", "eq", value) for name, value in one.to_json().items()]
    return {"action": "use", "constraint": constraints}


def _constraint(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _typed(value: str, kind: str) -> dict[str, str]:
    return {"@value": value, "@type": f"xsd:{kind}"}


# -- reading; whatever does not fit raises LookupError, TypeError or ValueError ------------------------------------


def _read_permission(item: Mapping[str, Any]) -> dict[str, Any]:
    told = _sorted_out(item["constraint"], _OPERATORS, each=_EACH)
    if item["action"] != "use" or not set(item) <= {"action", "constraint", "duty"}:
        raise ValueError
    purpose = _one(told, "mn:purpose eq")
    if _one(told, "purpose isA") != {"@id": PURPOSES[purpose].parent}:
        raise ValueError
    columns: dict[str, list[str]] = {}
    for column, use in _one(told, "mn:uses isPartOf"):
        columns.setdefault(column, []).append(use)
    native = {
        "purpose": purpose,
        "recipients": _one(told, "recipient isAnyOf"),
        "columns": columns,
        "min_parties": _one(told, "mn:institutions gteq"),
        "min_group": _one(told, "mn:groupRows gteq"),
        "rho_per_query": _one(told, "mn:rhoPerQuestion lteq"),
        "budget": _one(told, "mn:budget lteq"),
        "shared_from": told.get("mn:sharedFrom gteq", [None])[0],
    }
    rest: dict[str, Any] = {
        "grain": _pairs(told.get("mn:grain eq", [])),
        "domains": _pairs(told.get("mn:labels isPartOf", [])),
        "rows": told.get("mn:rows eq", []),
        "finest": _pairs(told.get("mn:halfWidth gteq", [])),
        "max_cells": told.get("mn:answerCells lteq", [None])[0],
        "keeps": _optional(told, "elapsedTime lteq", _days),
        "valid": _span(told),
        "consent": _duty(item["duty"]) if "duty" in item else None,
    }
    return native | {name: value for name, value in rest.items() if value not in (None, {}, [])}


def _read_prohibition(item: Mapping[str, Any]) -> dict[str, Any]:
    names = ("purpose", "column", "use", "recipient")
    told = _sorted_out(item["constraint"], {f"mn:{name}": ("eq",) for name in names})
    if item["action"] != "use" or set(item) != {"action", "constraint"}:
        raise ValueError
    return {name: _one(told, f"mn:{name} eq") for name in names}


def _duty(duties: Any) -> dict[str, Any]:
    (duty,) = duties
    told = _sorted_out(duty["constraint"], {"mn:manner": ("eq",), "mn:persons": ("gteq",), "mn:days": ("lteq",)})
    if duty["action"] != "obtainConsent" or set(duty) != {"action", "constraint"}:
        raise ValueError
    return {
        "manner": _one(told, "mn:manner eq"),
        "persons": _one(told, "mn:persons gteq"),
        "days": _one(told, "mn:days lteq"),
    }


def _sorted_out(
    listed: Any, operators: Mapping[str, tuple[str, ...]], *, each: tuple[str, ...] = ()
) -> dict[str, list[Any]]:
    """Return the right operands by ``operand operator``; unknown ones, and doubles of what may stand once, raise."""
    if not isinstance(listed, list):
        raise TypeError
    found: dict[str, list[Any]] = {}
    for item in listed:
        left, operator = item["leftOperand"], item["operator"]
        if set(item) != {"leftOperand", "operator", "rightOperand"} or operator not in operators[left]:
            raise ValueError
        found.setdefault(f"{left} {operator}", []).append(item["rightOperand"])
    if any(len(told) > 1 and name.partition(" ")[0] not in each for name, told in found.items()):
        raise ValueError
    return found


def _one(told: Mapping[str, list[Any]], name: str) -> Any:
    (value,) = told[name]
    return value


def _optional(told: Mapping[str, list[Any]], name: str, parse: Callable[[Any], Any]) -> Any:
    return parse(told[name][0]) if name in told else None


def _pairs(listed: list[Any]) -> dict[str, Any]:
    found = dict(listed)
    if len(found) != len(listed):
        raise ValueError
    return found


def _days(value: Any) -> int:
    match = _DURATION.fullmatch(_untyped(value, "duration"))
    if match is None:
        raise ValueError
    return int(match.group(1))


def _span(told: Mapping[str, list[Any]]) -> list[str] | None:
    ends = [name for name in ("dateTime gteq", "dateTime lt") if name in told]
    if len(ends) == 1:
        raise ValueError
    return [_untyped(told[name][0], "date") for name in ends] or None


def _untyped(value: Any, kind: str) -> str:
    text = value["@value"]
    if value != _typed(text, kind):
        raise ValueError
    return str(text)
