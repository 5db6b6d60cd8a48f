"""Repayment on real dates: money to the cent, conserved; the desk's worked examples on dates; days and business days."""

import itertools
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.test_desk import EXAMPLES
from valuation.days import Basis, Calendar, days, falls, later, share
from valuation.errors import OutOfRange
from valuation.loan import Kind
from valuation.money import Money
from valuation.schedule import Plan, repay

WEEK = Calendar()
YEAR = date(2026, 1, 1)


def yuan(amount):
    return Money(Decimal(amount), "CNY")


def plan(kind, **changes):
    usual = {
        "drawn": YEAR,
        "maturity": date(2027, 1, 1),
        "months": 1,
        "rate": Fraction("0.06"),
        "basis": Basis.ACT_360,
        "calendar": WEEK,
        "ceiling": lambda day: Fraction(800_000) - 400 * (day - YEAR).days,
        "cash": lambda start, end: Fraction(3_000) * (end - start).days,
        "target": Fraction("1.3"),
    }
    return Plan(kind=kind, **{**usual, **changes})


some_days = st.dates(date(2020, 1, 1), date(2060, 12, 31))
plans = st.builds(
    lambda kind, drawn, span, months, rate, basis, rest: plan(
        kind,
        drawn=drawn,
        maturity=drawn + timedelta(days=span),
        months=months,
        rate=rate,
        basis=basis,
        calendar=Calendar(holidays=frozenset(drawn + timedelta(days=n) for n in rest)),
    ),
    st.sampled_from(Kind),
    some_days,
    st.integers(1, 2_000),
    st.sampled_from([1, 3, 6, 12]),
    st.fractions(Fraction(1, 10**6), Fraction(99, 100), max_denominator=10**6),
    st.sampled_from(Basis),
    st.sets(st.integers(0, 2_000), max_size=40),
)


@settings(max_examples=120, deadline=None)
@given(plans, st.integers(1, 10**12))
def test_every_schedule_conserves_money_to_the_cent(made, cents):
    payments = repay(yuan(Decimal(cents).scaleb(-2)), made)
    owed = Decimal(cents)
    before = made.drawn
    for number, payment in enumerate(payments, 1):
        assert (payment.number, payment.start) == (number, before)
        assert payment.opening.amount * 100 == owed
        assert payment.principal.amount >= 0
        # interest again, in decimals: cents * rate * days / 360
        exact = Fraction(owed) * made.rate * payment.days / 360
        assert payment.interest.amount * 100 == Decimal(round(exact))
        owed -= payment.principal.amount * 100
        assert payment.closing.amount * 100 == owed
        assert made.calendar.works(payment.due)
        assert payment.due >= payment.end
        before = payment.end
    assert owed == 0
    assert before == made.maturity
    assert sum(payment.principal.amount for payment in payments) * 100 == cents
    assert sum(payment.days for payment in payments) == days(made.basis, made.drawn, made.maturity)


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(100, 10**11))
def test_what_each_schedule_is_for_holds_after_every_payment(made, cents):
    payments = repay(yuan(Decimal(cents).scaleb(-2)), made)
    inner = payments[:-1]
    match made.kind:
        case Kind.BULLET:
            assert all(payment.principal.amount == 0 for payment in inner)
        case Kind.EQUAL_PRINCIPAL:
            assert {payment.principal.amount for payment in inner} <= {Decimal(cents // len(payments)).scaleb(-2)}
        case Kind.ANNUITY:
            # level but for the cents of the last payment, unless interest alone exceeds the level payment
            service = {payment.service.amount for payment in inner if payment.principal.amount > 0}
            assert len(service) <= 1
        case Kind.LTV_CONSTANT:
            for payment in inner:
                assert payment.closing.fraction <= max(made.ceiling(payment.end), 0)
        case Kind.DSCR_SCULPTED:
            for payment in inner:
                afforded = made.cash(payment.start, payment.end) / made.target
                assert payment.principal.amount == 0 or payment.service.fraction <= afforded


def example(method, number):
    return [one for one in EXAMPLES if one["method"] == method][number]


@pytest.mark.parametrize(("number", "months"), [(0, 12), (1, 36), (2, 12)])
def test_the_desk_s_schedules_come_back_on_dates(number, months):
    """Monthly, 30E/360: every month is a twelfth of a year, as the desk's examples have it."""
    case = example("repayment_schedule", number)
    inputs, wanted = case["inputs"], case["outputs"]
    got = repay(
        yuan(str(inputs["principal"])),
        plan(
            Kind(inputs["kind"]),
            maturity=later(YEAR, months),
            rate=Fraction(str(inputs["annual_rate"])),
            basis=Basis.THIRTY_E_360,
        ),
    )
    assert len(got) == months
    figures = {
        "first_interest": got[0].interest,
        "first_principal": got[0].principal,
        "mid_balance": got[months // 2 - 1].closing,
        "last_principal": got[-1].principal,
    }
    for key, money in figures.items():
        assert abs(money.fraction - Fraction(str(wanted[key]))) < Fraction(months, 100)
    total = sum(payment.interest.fraction for payment in got)
    assert abs(total - Fraction(str(wanted["total_interest"]))) < Fraction(months, 100)


def test_the_desk_s_ltv_constant_and_sculpted_examples_come_back_on_dates():
    case = example("ltv_constant_amortisation", 0)
    inputs, wanted = case["inputs"], case["outputs"]
    top, life = float(inputs["max_ltv"]) * float(inputs["value0"]), float(inputs["half_life"])
    months = int(inputs["months"])

    def ceiling(day):
        return Fraction(top * 2 ** (-((day.year - YEAR.year) * 12 + day.month - YEAR.month) / 12 / life))

    got = repay(
        yuan(str(inputs["loan"])),
        plan(
            Kind.LTV_CONSTANT,
            maturity=later(YEAR, months),
            rate=Fraction(str(inputs["rate"])),
            basis=Basis.THIRTY_E_360,
            ceiling=ceiling,
        ),
    )
    for key, money in (
        ("first_principal", got[0].principal),
        ("principal_month_6", got[5].principal),
        ("last_principal", got[-1].principal),
    ):
        assert abs(money.fraction - Fraction(str(wanted[key]))) < Fraction(1, 10)
    case = example("dscr_sculpting", 0)
    inputs, wanted = case["inputs"], case["outputs"]
    got = repay(
        yuan(str(inputs["loan"])),
        plan(
            Kind.DSCR_SCULPTED,
            maturity=later(YEAR, 12 * len(inputs["cfads"])),
            months=12,
            rate=Fraction(str(inputs["rate"])),
            basis=Basis.THIRTY_E_360,
            cash=lambda start, _end: Fraction(str(inputs["cfads"][start.year - YEAR.year])),
            target=Fraction(str(inputs["target_dscr"])),
        ),
    )
    for payment, principal in zip(got, wanted["principal"], strict=True):
        assert abs(payment.principal.fraction - Fraction(str(principal))) < Fraction(1, 10)


def test_a_quarter_by_hand():
    """1,000,000 at 6 % from 15 July 2026, quarterly, ACT/360, equal principal: worked out on paper."""
    made = plan(
        Kind.EQUAL_PRINCIPAL,
        drawn=date(2026, 7, 15),
        maturity=date(2027, 7, 15),
        months=3,
        calendar=Calendar(frozenset({date(2027, 1, 15)}), frozenset()),
    )
    got = repay(yuan(1_000_000), made)
    assert [payment.days for payment in got] == [92, 92, 90, 91]
    wanted = ["15333.33", "11500.00", "7500.00", "3791.67"]
    assert [payment.interest.amount for payment in got] == [Decimal(text) for text in wanted]
    assert [payment.principal.amount for payment in got] == [Decimal(250_000)] * 4
    # a Thursday, a holiday Friday moved over its weekend, two Thursdays
    assert [payment.due.isoformat() for payment in got] == ["2026-10-15", "2027-01-18", "2027-04-15", "2027-07-15"]


def test_schedules_that_cannot_be_are_refused():
    for amount in ("0", "-1", "0.001"):
        with pytest.raises(OutOfRange):
            repay(yuan(amount), plan(Kind.BULLET))
    with pytest.raises(OutOfRange):
        repay(yuan(1), plan(Kind.BULLET, maturity=YEAR))
    with pytest.raises(OutOfRange):
        repay(yuan(1), plan(Kind.BULLET, maturity=date(2150, 1, 1)))
    with pytest.raises(OutOfRange):
        repay(yuan(1), plan(Kind.DSCR_SCULPTED, cash=None))
    with pytest.raises(OutOfRange):
        repay(yuan(1), plan(Kind.LTV_CONSTANT, ceiling=None))


# --- days --------------------------------------------------------------------------------------------------------------


@given(some_days, some_days, some_days, st.sampled_from(Basis))
def test_day_counts_add_up_over_any_split(one, other, third, basis):
    start, middle, end = sorted((one, other, third))
    assert days(basis, start, middle) + days(basis, middle, end) == days(basis, start, end) >= 0
    assert share(basis, start, end) == Fraction(days(basis, start, end), 360)


@given(some_days, st.integers(1, 600), st.sampled_from([1, 3, 6, 12]))
def test_periods_cover_the_loan_and_never_drift(drawn, span, every):
    maturity = drawn + timedelta(days=span)
    periods = list(falls(drawn, maturity, every))
    assert periods[0][0] == drawn
    assert periods[-1][1] == maturity
    for number, ((_, end), (start, _)) in enumerate(itertools.pairwise(periods), 1):
        # counted from the drawdown: a 31st comes back after a short month
        assert end == start == later(drawn, every * number)


def test_months_end_where_a_month_ends():
    assert later(date(2027, 1, 31), 1) == date(2027, 2, 28)
    assert later(date(2028, 1, 31), 1) == date(2028, 2, 29)
    assert later(date(2026, 12, 15), 1) == date(2027, 1, 15)
    assert days(Basis.THIRTY_E_360, date(2026, 1, 31), date(2026, 2, 28)) == 28
    assert days(Basis.THIRTY_E_360, date(2026, 8, 31), date(2026, 9, 30)) == 30
    with pytest.raises(OutOfRange):
        later(date(2199, 12, 1), 1)


@given(some_days, st.integers(1, 30), st.sets(st.integers(-5, 60)), st.sets(st.integers(-5, 60)))
def test_business_days_by_counting_them(day, count, off, on):
    assume(not off & on)
    calendar = Calendar(frozenset(day + timedelta(days=n) for n in off), frozenset(day + timedelta(days=n) for n in on))
    end = calendar.after(day, count)
    between = [day + timedelta(days=n) for n in range(1, (end - day).days + 1)]
    assert sum(calendar.works(each) for each in between) == count
    assert calendar.works(end)
    assert Calendar().after(date(2026, 7, 17), 10) == date(2026, 7, 31)  # a Friday; two weekends pass


def test_a_level_payment_repays_at_its_own_rate():
    """The level payment, discounted by the accruals themselves, is worth the loan to within its cents."""
    got = repay(yuan("1234567.89"), plan(Kind.ANNUITY, maturity=date(2029, 3, 17), months=1))
    level = got[0].service.amount
    factor, worth = Decimal(1), Decimal(0)
    for payment in got:
        factor /= 1 + Decimal("0.06") * payment.days / 360
        worth += level * factor
    assert abs(worth - Decimal("1234567.89")) < Decimal("0.005") * len(got)
    assert got[-1].service.amount.quantize(Decimal(1), ROUND_HALF_EVEN) == level.quantize(Decimal(1), ROUND_HALF_EVEN)
    assert floor(level) > 0
