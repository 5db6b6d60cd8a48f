"""The rules of the privacy ledger: what a charge costs, which caps it must fit, and how rho reads as (epsilon, delta).

A privacy filter in zCDP (Bun and Steinke 2016, Lemma 1.7; Feldman and Zrnic 2021): charges add up, and a charge that
would pass any cap is refused and leaves no trace. Budgets are integers of 1e-9 rho and belong to a population of
people, not to a dataset's name, so that renaming or versioning refills nothing. Source: PROOFS 3.1, 3.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log, log1p

from privacy.errors import Exhausted, Malformed, Mismatch
from privacy.plan import Plan
from privacy.sensitivity import exposure
from privacy.terms import NANO

RESERVE, UNRESERVED = "reserve", "unreserved"
"""Names of two limits beside the caps: what a pledge keeps back, and what is left for everybody else besides."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Lifetime caps over one population, in 1e-9 rho: for everybody together, for one partner, for one purpose.

    What they mean for a person at several institutions: PROOFS 3.4.
    """

    everyone: int
    partner: int
    purposes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for cap in (self.everyone, self.partner, *self.purposes.values()):
            if isinstance(cap, bool) or not isinstance(cap, int) or not 0 <= cap <= 1_000 * NANO:
                raise Malformed("a budget is not an integer of 1e-9 rho up to 1000 rho", fix="declare it in 1e-9 rho")


@dataclass(frozen=True, slots=True)
class Spent:
    """What was charged so far on the population, in 1e-9 rho: in all, by this partner, for this purpose."""

    everyone: int = 0
    partner: int = 0
    purpose: int = 0


@dataclass(frozen=True, slots=True)
class Reserve:
    """What a pledge keeps back of a population's budget for whoever steps in: ``left`` (1e-9 rho), to be spent for one purpose.

    ``caps`` are those of the pledged dataset's policy, whichever dataset of the population is asked about.
    """

    pledge: str
    purpose: str
    left: int
    caps: Caps


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a plan was charged: noise is drawn only against one. Amounts in 1e-9 rho. Source: PROOFS 7.2, 7.3.

    ``reserve`` names the pledge whose reserve has paid, if one has.
    """

    plan_hash: str
    population: str
    partner: str
    purpose: str
    charged: int
    left: int
    reserve: str | None = None


def remaining(caps: Caps, spent: Spent, *, purpose: str, reserves: Sequence[Reserve] = ()) -> tuple[str, int]:
    """Return the tightest cap's name and what it has left (1e-9 rho); an unlisted purpose has nothing.

    What ``reserves`` of the population keep back is nobody's to spend: every one of them could be spent to the last unit
    after a charge, for its own purpose and within its own dataset's caps. Source: PROOFS 3.5.
    """
    rooms = [
        ("population", caps.everyone - spent.everyone),
        ("partner", caps.partner - spent.partner),
        ("purpose", caps.purposes.get(purpose, 0) - spent.purpose),
    ]
    kept = [one for one in reserves if one.left > 0]
    whole, same = sum(one.left for one in kept), sum(one.left for one in kept if one.purpose == purpose)
    rooms += [(UNRESERVED, one.caps.everyone - spent.everyone - whole) for one in kept]
    rooms += [
        (UNRESERVED, one.caps.purposes.get(purpose, 0) - spent.purpose - same) for one in kept if one.purpose == purpose
    ]
    return min(rooms, key=lambda room: room[1])


def drawable(drawn: Reserve, spent: Spent) -> tuple[str, int]:
    """Return the tightest limit's name and what whoever stepped in has left of a reserve (1e-9 rho)."""
    own = remaining(drawn.caps, spent, purpose=drawn.purpose)
    return min((RESERVE, drawn.left), own, key=lambda room: room[1])


def charge(
    plan: Plan,
    *,
    caps: Caps,
    spent: Spent,
    population: str,
    partner: str,
    reserves: Sequence[Reserve] = (),
    drawn: Reserve | None = None,
) -> Receipt:
    """Charge ``plan.rho`` if every cap has room for it; the caller writes the receipt before anything is read.

    A ``drawn`` reserve, of a verified step-in of this partner for this purpose, pays; without it ``reserves`` stay whole.

    Raises:
        Exhausted: naming the tightest cap; nothing is charged.
        Mismatch: if a reserve were drawn for another purpose.
    """
    if drawn is None:
        cap, left = remaining(caps, spent, purpose=plan.purpose, reserves=reserves)
    elif drawn.purpose == plan.purpose:
        cap, left = drawable(drawn, spent)
    else:
        raise Mismatch("the reserve is kept for another purpose", fix="ask for the purpose that was agreed")
    if plan.rho > left:
        raise Exhausted(asked=plan.rho, left=max(left, 0), cap=cap)
    paid = None if drawn is None else drawn.pledge
    return Receipt(plan.hash, population, partner, plan.purpose, charged=plan.rho, left=left - plan.rho, reserve=paid)


def epsilon(rho: int, delta: float) -> float:
    """Return an epsilon such that ``rho`` (1e-9 zCDP) implies (epsilon, delta)-differential privacy, rounded up to 1e-6.

    Tightest known conversion: Canonne, Kamath and Steinke 2020, Proposition 12, minimised over the order alpha; PROOFS 3.3.

    Raises:
        Malformed: if delta is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise Malformed("delta lies outside (0, 1)", fix="use a delta such as 1e-6")
    if rho <= 0:
        return 0.0
    cost = rho / NANO

    def bound(alpha: float) -> float:
        return cost * alpha + (-log(delta) + (alpha - 1) * log1p(-1 / alpha) - log(alpha)) / (alpha - 1)

    low, high = 1 + 1e-9, 2 + 4 * (-log(delta) / cost) ** 0.5 + 1 / cost
    for _ in range(
        200
    ):  # the bound is unimodal in alpha; every alpha gives a valid epsilon, so precision is not safety
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if bound(left) < bound(right):
            high = right
        else:
            low = left
    return max(0.0, ceil(bound((low + high) / 2) * 1e6) / 1e6)


def coalitions(plan: Plan, *, asker: str = "") -> tuple[tuple[str, int], ...]:
    """Return who sees the answer at which cost (1e-9 rho, rounded up), for the receipt.

    Whoever works with ``c`` of ``n`` parties can take their noise away and faces that of the ``n - c`` others, where a
    person's rows at them stand against it: ``privacy.sensitivity.exposure``. The exchange adds nothing to what the analyst
    sees: the masks hide parts. An ``asker`` that is itself one of the parties knows its own noise: it stands one party
    further down. Source: PROOFS 2.6.
    """
    count = len(plan.parties)
    own = 1 if asker in plan.parties else 0
    others = "other " if own else ""
    rows = [("public", count), ("analyst", count - own), ("analyst and exchange", count - own)]
    rows += [
        (f"analyst, exchange and {colluding} of {count - own} {others}parties", count - own - colluding)
        for colluding in range(1, count - own)
    ]
    return tuple(
        (viewer, ceil(plan.rho * exposure(plan, honest) / exposure(plan))) for viewer, honest in rows if honest
    )
