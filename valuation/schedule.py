"""Repayment of a loan on real dates, to the cent: annuity, equal principal, bullet, LTV-constant, DSCR-sculpted.

Interest of a period is opening balance * rate * days / 360, half-even to the cent. Principal is whole cents; the last
payment takes what is left, so the balance ends at exactly 0. Interest accrues between unadjusted dates; a payment that
would fall on a day of rest is due on the next business day.

Source: loan mathematics; the desk's ``repayment_schedule``, ``ltv_constant_amortisation`` and ``dscr_sculpting``, on dates.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor

from valuation.cash import SOURCE as COVER
from valuation.cash import Cash
from valuation.days import Basis, Calendar, days, falls, share
from valuation.desk.reals import rounded, total
from valuation.errors import OutOfRange
from valuation.loan import Kind
from valuation.money import Money
from valuation.trace import Traced, derived

MOST_PAYMENTS = 480


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment: the period from ``start`` to ``end``, its ``days`` of interest, and the day on which it is ``due``."""

    number: int
    start: date
    end: date
    days: int
    due: date
    opening: Money
    interest: Money
    principal: Money
    closing: Money

    @property
    def service(self) -> Money:
        """Interest and principal."""
        return self.interest + self.principal


@dataclass(frozen=True, slots=True)
class Plan:
    """How a loan is to be repaid. ``ceiling`` gives the highest balance after a day, ``cash`` the cash between two days.

    ``ceiling`` is needed by an LTV-constant schedule alone, ``cash`` and ``target`` by a DSCR-sculpted one.
    """

    kind: Kind
    drawn: date
    maturity: date
    months: int
    rate: Fraction
    basis: Basis
    calendar: Calendar
    ceiling: Callable[[date], Fraction] | None = None
    cash: Callable[[date, date], Fraction] | None = None
    target: Fraction = Fraction(1)


def repay(amount: Money, plan: Plan) -> tuple[Payment, ...]:
    """The payments of ``amount``, whole cents above 0, by ``plan``.

    Raises:
        OutOfRange: if the amount is not, if there are too many periods, or if the schedule lacks what it follows.
    """
    owed = _cents(amount)
    periods = list(falls(plan.drawn, plan.maturity, plan.months))
    if not 0 < len(periods) <= MOST_PAYMENTS:
        raise OutOfRange("loan.maturity", f"days after the drawdown, with at most {MOST_PAYMENTS} payments")
    accruals = [plan.rate * share(plan.basis, start, end) for start, end in periods]
    principal = _rule(plan, owed, periods, accruals)
    payments = []
    for number, ((start, end), accrual) in enumerate(zip(periods, accruals, strict=True), 1):
        interest = round(owed * accrual)
        part = owed if number == len(periods) else min(max(principal(number - 1, owed, interest), 0), owed)
        payments.append(
            Payment(
                number=number,
                start=start,
                end=end,
                days=days(plan.basis, start, end),
                due=plan.calendar.following(end),
                opening=_money(owed, amount.currency),
                interest=_money(interest, amount.currency),
                principal=_money(part, amount.currency),
                closing=_money(owed - part, amount.currency),
            )
        )
        owed -= part
    return tuple(payments)


def figures(payments: Iterable[Payment], amount: Traced, rate: Traced) -> Iterator[Traced]:
    """The schedule as figures: each balance, under it its principal and interest, and the sum of the interest."""
    balance, interests = amount, []
    for payment in payments:
        key = f"schedule.{payment.number}"
        due = f"payment {payment.number}, due {payment.due.isoformat()}"
        interest = derived(
            f"{key}.interest",
            f"interest of {due}",
            payment.interest,
            formula=f"balance before * rate * {payment.days} / 360, half-even to the cent",
            because=(balance, rate),
            source="loan mathematics",
        )
        principal = derived(
            f"{key}.principal",
            f"principal of {due}",
            payment.principal,
            formula="by the schedule, whole cents; the last one takes what is left",
            because=(balance, interest),
            source="loan mathematics",
        )
        balance = derived(
            f"{key}.balance",
            f"balance after {due}",
            payment.closing,
            formula="balance before - principal",
            because=(balance, principal),
            source="loan mathematics",
        )
        interests.append(interest)
    yield balance
    yield derived(
        "schedule.interest",
        "interest over the whole loan",
        Money.of(sum((figure.fraction for figure in interests), Fraction(0)), amount.unit),
        formula="sum of the interest of every payment",
        because=tuple(interests),
        source="loan mathematics",
    )


def cover(payments: Iterable[Payment], cash: Cash) -> Traced:
    """The least cash over debt service of a period."""
    covers = {
        payment.number: cash.between(payment.start, payment.end) / payment.service.fraction
        for payment in payments
        if payment.service.fraction
    }
    worst = min(covers, key=lambda number: covers[number])
    return derived(
        "loan.cover",
        "least debt service cover of a period",
        covers[worst],
        unit="ratio",
        formula=f"cash of the period / (interest + principal), smallest: payment {worst}",
        because=cash.years,
        source=COVER,
    )


def _rule(
    plan: Plan, owed: int, periods: Sequence[tuple[date, date]], accruals: Sequence[Fraction]
) -> Callable[[int, int, int], int]:
    """Principal of a period in cents, from its place, the balance and the interest; the caller keeps it within the balance."""
    match plan.kind:
        case Kind.ANNUITY:
            level = round(owed / _annuity(accruals))
            return lambda _place, _balance, interest: level - interest
        case Kind.EQUAL_PRINCIPAL:
            part = owed // len(periods)
            return lambda _place, _balance, _interest: part
        case Kind.BULLET:
            return lambda _place, _balance, _interest: 0
        case Kind.LTV_CONSTANT:
            ceiling = plan.ceiling
            if ceiling is None:
                raise OutOfRange("loan.kind", "schedules for which there is a recognised value")
            # a ceiling is rounded down, so the balance is brought to it or below
            return lambda place, balance, _interest: balance - floor(ceiling(periods[place][1]) * 100)
        case Kind.DSCR_SCULPTED:
            cash = plan.cash
            if cash is None:
                raise OutOfRange("loan.kind", "schedules for which there is a cash flow")
            return lambda place, _balance, interest: floor(cash(*periods[place]) * 100 / plan.target) - interest


def _annuity(accruals: Sequence[Fraction]) -> Fraction:
    """Value of 1 at the end of each period, discounted at the loan's own accruals."""
    factor, values = Fraction(1), []
    for accrual in accruals:
        factor = rounded(factor / (1 + accrual))
        values.append(factor)
    return total(values)


def _cents(amount: Money) -> int:
    cents = amount.fraction * 100
    if cents.denominator != 1 or cents <= 0:
        raise OutOfRange("loan.amount", "whole cents above 0")
    return cents.numerator


def _money(cents: int, currency: str) -> Money:
    return Money(Decimal(cents).scaleb(-2), currency)
