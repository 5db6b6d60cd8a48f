"""A policy as sentences: messages with their values, so that the page says them in its own language."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from api.console.wording import msg
from privacy.approval import Manner
from privacy.atoms import ROWS, USES, Atom
from privacy.floor import least_group
from privacy.policy import ANY, Grant, Policy, Prohibition
from privacy.purposes import PURPOSES
from privacy.recipients import ANYBODY, ROLE
from privacy.terms import Bounds, Column, Kind, Standard, rho

USE_WORDS = (
    msg("group"),
    msg("filter"),
    msg("count"),
    msg("valid"),
    msg("sum"),
    msg("multiplied"),  # "product" in policies, which is also what a loan is
    msg("histogram"),
)
PURPOSE_WORDS = (
    msg("credit-risk-statistics"),
    msg("pledge-valuation"),
    msg("portfolio-risk"),
    msg("fraud-pattern"),
    msg("money-laundering-typology"),
    msg("supervision-statistics"),
    msg("pledge-monitoring"),
)
PERIODS = (msg("year"), msg("quarter"), msg("month"), msg("day"))

_EVERY = {
    "institution": msg("every institution that this node trusts"),
    "lender": msg("every lender that this node trusts"),
    "regulator": msg("every regulator that this node trusts"),
}

Sentence = dict[str, Any]


def say(text: str, **values: object) -> Sentence:
    """Return a message with its values, as JSON."""
    return {"text": text, "values": values}


def recipient(listed: str) -> Sentence:
    """Return who is meant by one item of a list of recipients."""
    if listed == ANYBODY:
        return say(msg("every party that this node trusts"))
    return say(_EVERY[listed.removeprefix(ROLE)]) if listed.startswith(ROLE) else say("{party}", party=listed)


def scaled(column: Column, units: int) -> str:
    """Return an amount of a column's integer units in its unit, exactly."""
    return f"{Decimal(units).scaleb(-column.decimals):f}"


def amounts(column: Column, bounds: Bounds) -> dict[str, str]:
    """Return bounds in the column's unit; a date's in days since 1970-01-01."""
    return {"low": scaled(column, bounds.lower), "high": scaled(column, bounds.upper), "unit": column.unit}


def conditions(grant: Grant, standard: Standard) -> Iterator[Sentence]:
    """Yield the conditions of a grant, as ``privacy.permissions.conditions`` tells them."""
    template = PURPOSES[grant.purpose]
    columns = {column.name: column for column in standard.columns}
    used = [column for column in standard.columns if any(grant.opens(Atom(column.name, use)) for use in USES)]
    shown = max([grant.min_group, least_group(column for column in used if column.kind is not Kind.IDENTIFIER)])
    parties = max(grant.min_parties, template.min_parties)
    if parties == 1:
        yield say(msg("an answer may be of this institution alone"))
    else:
        yield say(msg("an answer joins at least {n} institutions"), n=parties)
    if shown == grant.min_group:
        yield say(msg("groups are shown from {n} rows on"), n=shown)
    else:
        text = msg("groups are shown from {n} rows on, from {most} where the most sensitive column is used")
        yield say(text, n=grant.min_group, most=shown)
    yield say(
        msg("at most {price} rho a question, {budget} rho for the purpose in all"),
        price=rho(grant.rho_per_query),
        budget=rho(grant.budget),
    )
    days = min(template.keeps, grant.keeps if grant.keeps is not None else template.keeps)
    yield say(msg("the asker keeps an answer for {n} days at most"), n=days)
    if grant.shared_from is not None:
        text = msg("institutions may share the noise if the protection withstands {n} of them in collusion")
        yield say(text, n=grant.shared_from)
    yield from _cuts(grant, columns)
    if grant.max_cells is not None:
        yield say(msg("an answer has {n} numbers at most"), n=grant.max_cells)
    if grant.valid is not None:
        yield say(msg("in force from {first}, and no more from {end} on"), first=grant.valid[0], end=grant.valid[1])
    consent = grant.consent
    if consent.manner is Manner.ONCE:
        text = msg("{n} officers approve each question, for {days} days at most")
        yield say(text, n=consent.persons, days=consent.days)
    elif consent.manner is Manner.STANDING:
        text = msg("{n} officers approve such questions, for {days} days at most")
        yield say(text, n=consent.persons, days=consent.days)


def _cuts(grant: Grant, columns: Mapping[str, Column]) -> Iterator[Sentence]:
    """Yield how finely columns are cut, which values and rows are open, and how exact sums may be."""
    for name, grain in grant.grain.items():
        if isinstance(grain, str):
            yield say(msg("{column} is cut by the {period} at the finest"), column=name, period={"say": grain})
        else:
            text = msg("{column} is cut at multiples of {width} alone")
            yield say(text, column=name, width=scaled(columns[name], grain))
    for name, labels in grant.domains.items():
        yield say(msg("of {column} only these values are named: {labels}"), column=name, labels=", ".join(labels))
    yield from (say(msg("only rows where {test}"), test=str(test)) for test in grant.rows)
    for name, half in grant.finest.items():
        if name == ROWS:
            yield say(msg("counts are told to ± {half} at the most exact (95 %)"), half=str(half))
        else:
            text = msg("sums of {column} are told to ± {half} at the most exact (95 %)")
            yield say(text, column=name, half=scaled(columns[name], half))


def prohibition(one: Prohibition) -> dict[str, Any]:
    """Return what a prohibition strikes; ``None`` stands for all."""
    return {
        "purpose": None if one.purpose == ANY else one.purpose,
        "column": None if one.column == ANY else one.column,
        "use": None if one.use == ANY else one.use,
        "who": recipient(one.recipient),
    }


def described(policy: Policy, standard: Standard) -> dict[str, Any]:
    """Return everything that a policy says, grant by grant, as sentences and tables."""
    meanings = {column.name: column for column in standard.columns}
    return {
        "id": policy.id,
        "digest": policy.digest,
        "version": policy.version,
        "budgets": {"everyone": rho(policy.everyone), "partner": rho(policy.partner)},
        "grants": [
            {
                "purpose": grant.purpose,
                "title": PURPOSES[grant.purpose].title,
                "recipients": [recipient(one) for one in grant.recipients],
                "columns": [
                    {
                        "column": name,
                        "meaning": meanings[name].meaning if name in meanings else "",
                        "uses": list(uses),
                    }
                    for name, uses in grant.columns.items()
                ],
                "conditions": list(conditions(grant, standard)),
            }
            for grant in policy.grants
        ],
        "prohibitions": [prohibition(one) for one in policy.prohibitions],
        "bounds": [
            {"column": name, **amounts(meanings[name], bounds), "kind": meanings[name].kind.value}
            for name, bounds in policy.bounds.items()
        ],
        "domains": [{"column": name, "labels": list(labels)} for name, labels in policy.domains.items()],
        "pledging": None
        if policy.pledging is None
        else {
            "lenders": list(policy.pledging.lenders),
            "limit": policy.pledging.limit,
            "until": policy.pledging.until,
        },
    }
