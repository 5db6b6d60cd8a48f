"""How a data trust pays out: fees in their order, then beneficiaries by metered use, every cent accounted for."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from valuation.finance.cents import split


@dataclass(frozen=True, slots=True)
class Fee:
    """A fee in cents a period and as a share of the trust's income."""

    party: str
    fixed: int
    share: Fraction


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """Who shares in the income; ``units`` count where use cannot."""

    name: str
    units: int


@dataclass(frozen=True, slots=True)
class Period:
    """Revenue of the operator, in cents, up to ``end``, and the metered use by beneficiary, in their order."""

    end: date
    metered: bool
    revenue: int
    usage: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Paid:
    """What became of one period's revenue, in cents."""

    settlor: int
    income: int
    brought: int
    fees: tuple[int, ...]
    shares: tuple[int, ...]
    carried: int


def distribute(
    periods: tuple[Period, ...], fees: tuple[Fee, ...], units: tuple[int, ...], share: Fraction
) -> list[Paid]:
    """Pay out period by period; every cent of revenue and of what was brought over is in one of the amounts."""
    owed, brought, paid = [0] * len(fees), 0, []
    for number, period in enumerate(periods, start=1):
        income = int(period.revenue * share)
        cash, taken = income + brought, []
        for place, fee in enumerate(fees):
            due = owed[place] + fee.fixed + round(income * fee.share)
            part = min(due, cash)
            owed[place] = due - part
            cash -= part
            taken.append(part)
        if any(period.usage):
            shares, carried = split(cash, period.usage), 0
        elif number == len(periods):
            shares, carried = split(cash, units), 0
        else:
            shares, carried = (0,) * len(units), cash
        paid.append(Paid(period.revenue - income, income, brought, tuple(taken), shares, carried))
        brought = carried
    return paid
