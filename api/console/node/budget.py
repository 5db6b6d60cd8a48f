"""The budget: what is spent of each cap, how fast, what is left in answers, and every charge with what it told."""

import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import Any

from api.console.node.answered import described
from api.console.node.place import NodePlace, beside
from api.console.pages import Offer, Page, Visit
from api.console.places import NODE, Same
from api.console.wording import msg
from exchange.node.source import Dataset
from exchange.protocol.errors import Unknown
from privacy.errors import Malformed
from privacy.ledger import epsilon
from privacy.policy import Policy
from privacy.terms import DELTA, NANO, rho

ON_A_PAGE = 25
LOOKING_BACK = 30
"""Days whose pace the forecast goes by."""

LEAST_DAYS = 7
"""Days that the first charge must lie back before there is a forecast."""

LIMITS = {
    "population": msg("the cap for everybody"),
    "partner": msg("the cap for each asker"),
    "purpose": msg("the cap of the purpose"),
    "unreserved": msg("what pledges do not keep back"),
    "reserve": msg("what the pledge keeps back"),
}
"""By limit, as the ledger names it: the words for it."""

_DAY = 86_400_000_000


def share(part: int, whole: int) -> str:
    """Return a share of a cap as a decimal of four places; of nothing, nothing is left."""
    return f"{part / whole:.4f}" if whole else "1.0000"


def nano(text: str) -> int:
    """Return a number of rho, written as ``0.1``, in 1e-9 rho; the least is 1.

    Raises:
        Malformed: if it is none from 0 to 999 with nine decimals at most.
    """
    whole, _, rest = text.strip().partition(".")
    digits = f"{whole}{rest}"
    if not (digits.isascii() and digits.isdecimal() and 1 <= len(whole) <= 3 and len(rest) <= 9):
        raise Malformed("the amount is not a number of rho", fix="write it as 0.1")
    return max(1, int(whole) * NANO + int(rest.ljust(9, "0")))


def _meter(name: str, spent: int, cap: int) -> dict[str, Any]:
    left = max(0, cap - spent)
    return {
        "name": name,
        "cap": cap,
        "rho": rho(cap),
        "spent": spent,
        "left": left,
        "spent_share": share(min(spent, cap), cap),
        "left_share": share(left, cap),
        "epsilon": f"{epsilon(cap, DELTA):.4g}",
    }


def usual(rows: Sequence[Mapping[str, Any]], policy: Policy, purpose: str) -> int:
    """Return what an answer for a purpose costs as a rule: the middle of what was charged, else the most that may be."""
    paid = [row["nano"] for row in rows if row["purpose"] == purpose]
    return median_low(paid) if paid else max(grant.rho_per_query for grant in policy.granted(purpose))


def _population(place: NodePlace, dataset: Dataset) -> dict[str, Any]:
    policy = place.vault.policy(dataset.name)
    rows = [row for row in place.vault.spending() if row["population"] == dataset.population]
    spent, partners, purposes = place.spent(dataset.population)
    pointed = place.vault.pointed(dataset, place.today())
    asked = [one.party for one in place.history.pinned() if one.role != "officer" and one.party != place.party]
    burn = _burn(place, rows, policy.everyone)
    prices = {purpose: usual(rows, policy, purpose) for purpose in policy.caps.purposes}
    answers = [
        {
            "partner": partner,
            "purpose": purpose,
            "price": price,
            "price_share": share(price, policy.everyone),
            "answers": room.left // max(price, 1),
            "tightest": LIMITS[room.cap],
        }
        for partner in sorted({*asked, *partners})
        for purpose, price in prices.items()
        if any(grant.admits(partner, place.vault.role(partner)) for grant in pointed.granted(purpose))
        for room in [place.room(dataset, partner=partner, purpose=purpose)]
    ]
    return {
        "population": dataset.population,
        "dataset": dataset.name,
        "unit": dataset.standard.unit,
        "policy": policy.id,
        "everyone": _meter("", spent, policy.everyone),
        "partners": [_meter(name, amount, policy.partner) for name, amount in sorted(partners.items())],
        "purposes": [_meter(name, purposes.get(name, 0), cap) for name, cap in sorted(policy.caps.purposes.items())],
        "answers": answers,
        "reserves": [
            one | {"share": share(one["nano"], policy.everyone), "left_share": share(one["left"], policy.everyone)}
            for one in place.vault.kept_back()
            if one["population"] == dataset.population
        ],
        "burn": burn,
        "steps": [[at, rho(max(0, left))] for at, left in burn],
        "since": datetime.fromtimestamp(burn[0][0] / 1e6, tz=UTC).date().isoformat(),
        "forecast": _forecast(place, rows, policy.everyone - spent),
    }


def _burn(place: NodePlace, rows: Sequence[Mapping[str, Any]], cap: int) -> list[list[Any]]:
    """Return what was left of a cap over time, as steps: moments (microseconds since 1970) with what was left then."""
    left = cap
    policies = place.history.policies
    begun = [put.at for held in place.vault.datasets() for put in policies(held.name)[-1:]]
    first = [place.history.charged(row["seq"]) for row in rows[:1]]
    points: list[list[Any]] = [[min([*begun, *first], default=0), left]]
    for row in rows:
        at = place.history.charged(row["seq"])
        points += [[at, left], [at, left - row["nano"]]]
        left -= row["nano"]
    return [*points, [time.time_ns() // 1000, left]]


def _forecast(place: NodePlace, rows: Sequence[Mapping[str, Any]], left: int) -> dict[str, Any]:
    """Return when the cap is used up at the pace of the last days; ``why`` tells why there is no date."""
    now = time.time_ns() // 1000
    if not rows:
        return {"day": None, "why": msg("Nothing was spent yet.")}
    since = place.history.charged(rows[0]["seq"])
    if left <= 0:
        return {"day": None, "why": msg("Nothing is left.")}
    if now - since < LEAST_DAYS * _DAY:
        return {"day": None, "why": msg("A forecast needs a week of charges; the first one is more recent.")}
    first = max(since, now - LOOKING_BACK * _DAY)
    pace = sum(row["nano"] for row in rows if place.history.charged(row["seq"]) >= first)
    if not pace:
        return {"day": None, "why": msg("Nothing was spent in the last 30 days.")}
    days = left * (now - first) // pace // _DAY
    if days > 36_600:
        return {"day": None, "why": msg("At the pace of the last 30 days it lasts for a century.")}
    return {"day": (datetime.fromtimestamp(now / 1e6, tz=UTC).date() + timedelta(days=days)).isoformat(), "why": ""}


def _charges(place: NodePlace) -> Iterator[dict[str, Any]]:
    """Yield every charge, newest first, without what it told."""
    caps = {}
    for dataset in place.vault.datasets():
        caps[dataset.population] = place.vault.policy(dataset.name).everyone
    for row in reversed(place.vault.spending()):
        cap = caps.get(row["population"], 0)
        yield {
            "at": place.history.charged(row["seq"]),
            "seq": row["seq"],
            "population": row["population"],
            "partner": row["partner"],
            "purpose": row["purpose"],
            "nano": row["nano"],
            "rho": rho(row["nano"]),
            "share": share(row["nano"], cap) if cap else None,
            "session": row["session"],
            "plan": row["plan_hash"],
        }


def show(visit: Visit) -> Mapping[str, Any]:
    """Return each population's caps with what is spent of them, and one page of the charges."""
    place = beside(visit.place)
    asked = {name: visit.query.get(name, "") for name in ("partner", "purpose")}
    fitting = [one for one in _charges(place) if all(not value or one[name] == value for name, value in asked.items())]
    at = visit.number("from", 0, least=0, most=1 << 30)
    page = [one | _told(place, one["session"]) for one in fitting[at : at + ON_A_PAGE]]
    return {
        "populations": [_population(place, dataset) for dataset in place.vault.datasets()],
        "asked": asked,
        "choices": {name: sorted({one[name] for one in _charges(place)}) for name in asked},
        "charges": page,
        "count": len(fitting),
        "next": at + ON_A_PAGE if at + ON_A_PAGE < len(fitting) else None,
        "now": time.time_ns() // 1000,
        "same_as": [
            Same(msg("Command line, while the node is stopped"), f"touchstone node budget {place.home}").to_json(),
            Same(msg("As a file for a spreadsheet"), "GET /budget/as/charges.csv").to_json(),
        ],
    }


def _told(place: NodePlace, session: str) -> dict[str, Any]:
    told = described(place, session)
    return {name: told[name] for name in ("statement", "figures", "groups", "parties", "standard")}


def give(visit: Visit, name: str) -> Offer:
    """Return every charge as CSV.

    Raises:
        Unknown: if another file is asked for.
    """
    if name != "charges.csv":
        raise Unknown("file")
    place = beside(visit.place)
    text = io.StringIO()
    heads = ("at", "seq", "population", "partner", "purpose", "standard", "rho", "statement", "session", "plan")
    lines = csv.DictWriter(text, heads, extrasaction="ignore", lineterminator="\r\n")
    lines.writeheader()
    for one in _charges(place):
        at = datetime.fromtimestamp(one["at"] / 1e6, tz=UTC).isoformat(timespec="seconds")
        lines.writerow(one | _told(place, one["session"]) | {"at": at})
    # a byte order mark, so that Excel reads Chinese names as what they are
    return Offer(f"charges-{place.party}.csv", "text/csv; charset=utf-8", text.getvalue().encode("utf-8-sig"))


PAGES = (
    Page(
        "/budget",
        "budget.html",
        msg("Budget"),
        show,
        group=msg("What others learn"),
        places=frozenset({NODE}),
        give=give,
    ),
)
