"""Margin states: monotone, without flutter, beyond the noise; cures that cure, deadlines in business days."""

import itertools
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import Mismatch
from tests.test_desk import EXAMPLES
from valuation import desk
from valuation.covenant import RULES
from valuation.days import Calendar
from valuation.errors import BadInput, CurrencyMismatch, MissingKey, OutOfRange
from valuation.margin import Bands, Reading, Standing, State, cure, opened, step
from valuation.money import Money

BANDS, WEEK = Bands(), Calendar()
DAY = date(2026, 7, 15)


def yuan(amount):
    return Money(Decimal(amount), "CNY")


def reading(ltv, *, on=DAY, error="0", breached=(), balance=1_000_000):
    """A reading whose LTV is ``ltv``, a decimal text that divides the balance evenly."""
    return Reading(on, yuan(Decimal(balance) * Decimal(ltv)), yuan(balance), Decimal(error), breached)


def told(standing, *readings, bands=BANDS, calendar=WEEK):
    """The states and kinds of notices along a history."""
    story = []
    for one in readings:
        standing, notices = step(standing, one, bands, calendar)
        story.append((standing.state.value, *(notice.kind for notice in notices)))
    return standing, story


ltvs = st.integers(0, 1500).map(lambda n: str(Decimal(n) / 1000))
errors = st.integers(0, 300).map(lambda n: str(Decimal(n) / 1000))
names = st.lists(st.sampled_from(sorted(RULES)), max_size=2, unique=True).map(tuple)
standings = st.builds(
    lambda state, age, left: Standing(
        state, DAY - timedelta(days=age), DAY + timedelta(days=left) if state is State.CALL else None
    ),
    st.sampled_from(State),
    st.integers(0, 40),
    st.integers(-10, 20),
)


@given(standings, ltvs, ltvs, errors, names)
def test_a_higher_ltv_never_gives_a_better_state(standing, one, other, error, breached):
    low, high = sorted((one, other), key=Decimal)
    states = [step(standing, reading(ltv, error=error, breached=breached), BANDS, WEEK)[0].state for ltv in (low, high)]
    assert states[0].rank <= states[1].rank


@given(standings, ltvs, errors, errors, names)
def test_more_noise_never_enters_a_worse_state(standing, ltv, one, other, breached):
    calm, noisy = sorted((one, other), key=Decimal)
    states = [step(standing, reading(ltv, error=e, breached=breached), BANDS, WEEK)[0].state for e in (noisy, calm)]
    assert states[0].rank <= states[1].rank


@given(standings, st.lists(st.tuples(ltvs, errors), min_size=1, max_size=12), names)
def test_within_the_band_nothing_flips(standing, path, breached):
    """Between release and the raised threshold of the next state, a loan stays where it is, whatever the path."""
    for ltv, error in path:
        before = standing.state
        inside = Decimal(ltv) >= BANDS.release
        nexts = {State.NORMAL: BANDS.warning, State.WARNING: BANDS.call, State.CALL: BANDS.liquidation}
        threshold = nexts.get(before)
        raised = threshold is None or Fraction(ltv) < Fraction(threshold) * (1 + 2 * Fraction(error))
        standing, _ = step(replace(standing, due=None), reading(ltv, error=error, breached=breached), BANDS, WEEK)
        if inside and raised and not breached:
            assert standing.state is before


@given(standings, ltvs, errors, names)
def test_the_same_reading_again_tells_nothing_new(standing, ltv, error, breached):
    one = reading(ltv, error=error, breached=breached)
    after, _ = step(standing, one, BANDS, WEEK)
    again, notices = step(after, one, BANDS, WEEK)
    assert again == after
    assert {notice.kind for notice in notices} <= {"unclear"}


@given(ltvs.filter(lambda ltv: Decimal(ltv) > 0), st.integers(1, 10**9))
def test_a_cure_cures_and_a_cent_less_would_not(ltv, balance):
    one = reading(ltv, balance=balance)
    needed = cure(one, BANDS)
    owed, value = one.balance.fraction, one.value.fraction
    assert owed - needed.cash.fraction <= Fraction(1, 2) * value
    assert owed <= Fraction(1, 2) * (value + needed.collateral.fraction)
    if needed.cash.amount:
        assert owed - needed.cash.fraction + Fraction(1, 100) > Fraction(1, 2) * value
        assert owed > Fraction(1, 2) * (value + needed.collateral.fraction - Fraction(1, 100))
    paid = Reading(DAY, one.balance - needed.cash, one.value)
    assert step(Standing(State.CALL, DAY, DAY), paid, BANDS, WEEK)[0].state is State.NORMAL


def test_a_history_of_a_loan():
    days = [DAY + timedelta(days=7 * n) for n in range(9)]
    path = ["0.50", "0.60", "0.58", "0.56", "0.66", "0.58", "0.569", "0.80", "0.70"]
    standing, story = told(opened(DAY), *(reading(ltv, on=on) for ltv, on in zip(path, days, strict=True)))
    assert story == [
        ("normal",),
        ("warning", "warning"),
        ("warning",),  # inside the band: no flutter
        ("normal", "cured"),
        ("margin_call", "margin_call"),
        ("margin_call",),  # a partial cure is taken and does not end the call
        ("normal", "cured"),
        ("liquidation", "liquidation"),
        ("liquidation",),
    ]
    assert standing == Standing(State.LIQUIDATION, days[7])


def test_a_call_says_what_cures_it_and_by_when():
    calendar = Calendar(holidays=frozenset({date(2026, 7, 20)}))
    standing, notices = step(opened(DAY), reading("0.66"), BANDS, calendar)
    (call,) = notices
    assert call.kind == "margin_call"
    assert (call.cure.cash, call.cure.collateral) == (yuan(160_000), yuan(320_000))
    # ten business days after Wednesday 15 July, with one holiday on the way
    assert call.due == standing.due == date(2026, 7, 30)
    assert "66.0 %" in call.text
    on_time, notices = step(standing, reading("0.66", on=date(2026, 7, 30)), BANDS, calendar)
    assert (on_time, notices) == (standing, ())
    late, (overdue,) = step(standing, reading("0.66", on=date(2026, 7, 31)), BANDS, calendar)
    assert (late.state, overdue.kind) == (State.LIQUIDATION, "overdue")
    assert "not cured in time" in overdue.text
    cured, _ = step(standing, reading("0.55", on=date(2026, 8, 20)), BANDS, calendar)
    assert cured.state is State.NORMAL


def test_noise_alone_calls_nobody():
    """At a threshold of 0.65 and 3 % of error, two sigmas raise it to 0.689: in between, another measurement is asked for."""
    standing = Standing(State.WARNING, DAY)
    for ltv, wanted in (("0.649", ()), ("0.65", ("unclear",)), ("0.6889", ("unclear",)), ("0.689", ("margin_call",))):
        _, notices = step(standing, reading(ltv, error="0.03"), BANDS, WEEK)
        assert tuple(notice.kind for notice in notices) == wanted
    # the desk's probability of a false call, with and without the band
    case = next(one for one in EXAMPLES if one["method"] == "dp_false_margin_call")
    outputs = desk.evaluate("dp_false_margin_call", case["inputs"])
    assert outputs["p_false_with_deadband"] < outputs["p_false_no_deadband"] / 10


def test_covenants_move_a_loan_and_hold_it():
    standing, story = told(
        opened(DAY),
        reading("0.4", breached=("insurance",)),
        reading("0.4", on=DAY + timedelta(1), breached=("other_liens",)),
        reading("0.4", on=DAY + timedelta(2), breached=("insurance",)),
        reading("0.4", on=DAY + timedelta(3)),
    )
    assert story == [("warning",) * 2, ("margin_call",) * 2, ("warning",) * 2, ("normal", "cured")]
    assert standing.due is None
    assert any(rule.grave for rule in RULES.values())


def test_a_grave_breach_that_outlasts_its_deadline_ends_in_liquidation_and_stays():
    days = [DAY + timedelta(n) for n in (0, 10, 20, 21, 60)]
    _, story = told(opened(DAY), *(reading("0.4", on=on, breached=("other_liens",)) for on in days))
    assert [state for state, *_ in story] == ["margin_call", "margin_call", "liquidation", "liquidation", "liquidation"]
    assert [kinds for _, *kinds in story] == [["margin_call"], [], ["overdue"], [], []]


def test_a_loan_on_nothing_is_in_liquidation():
    nothing = Reading(DAY, yuan(1), yuan(0))
    standing, notices = step(opened(DAY), nothing, BANDS, WEEK)
    assert (standing.state, notices[0].cure.cash) == (State.LIQUIDATION, yuan(1))
    repaid = Reading(DAY, yuan(0), yuan(0))
    assert step(opened(DAY), repaid, BANDS, WEEK) == (opened(DAY), ())


def test_the_desk_s_margin_call_agrees_where_there_is_no_noise():
    for case in (one for one in EXAMPLES if one["method"] == "margin_call"):
        inputs = case["inputs"]
        bands = Bands(
            *(Decimal(str(inputs[k])) for k in ("initial_ltv", "initial_ltv", "warning", "call", "liquidation"))
        )
        one = Reading(DAY, yuan(str(inputs["loan"])), yuan(str(inputs["value_now"])))
        assert step(opened(DAY), one, bands, WEEK)[0].state.value == case["outputs"]["state"]
        for key, money in (("cash_cure", cure(one, bands).cash), ("collateral_cure", cure(one, bands).collateral)):
            assert 0 <= money.fraction - Fraction(str(case["outputs"][key])) < Fraction(1, 50)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(Mismatch):
        step(opened(DAY), reading("0.5", on=DAY - timedelta(1)), BANDS, WEEK)
    with pytest.raises(CurrencyMismatch):
        Reading(DAY, yuan(1), Money(Decimal(1), "USD"))
    for wrong in ({"balance": yuan(-1)}, {"value": yuan(-1)}, {"error": Decimal(1)}, {"breached": ("mood",)}):
        with pytest.raises(OutOfRange):
            Reading(**{"on": DAY, "balance": yuan(1), "value": yuan(1), **wrong})


def test_bands_read_themselves_back_and_keep_their_order():
    document = BANDS.to_json()
    assert Bands.from_json(document) == BANDS
    names = ("initial", "release", "warning", "call", "liquidation")
    for one, other in itertools.pairwise(names):
        swapped = {**document, one: document[other], other: document[one]}
        if document[one] != document[other]:
            with pytest.raises(BadInput):
                Bands.from_json(swapped)
    for key in document:
        with pytest.raises(MissingKey):
            Bands.from_json({name: value for name, value in document.items() if name != key})
    for key, value in (("sigmas", "-1"), ("cure_days", 0), ("liquidation", "1.01"), ("initial", "0")):
        with pytest.raises(OutOfRange):
            Bands.from_json({**document, key: value})
