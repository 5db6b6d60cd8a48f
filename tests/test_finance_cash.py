"""Money in waterfalls and distributions: every cent accounted for, nobody paid before who comes earlier, at random histories."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valuation import desk
from valuation.asset import Citation
from valuation.errors import OutOfRange
from valuation.finance.cents import cents_of, money_of, spelled, split
from valuation.finance.distribution import Fee, Period, distribute
from valuation.finance.loans import schedule
from valuation.finance.recourse import Claim, Collateral, Shares, in_period
from valuation.finance.stated import stated
from valuation.finance.waterfall import Notes, Pool, closing, pour, step
from valuation.money import Money

EXAMPLES = json.loads((Path(__file__).parent / "vectors/valuation_examples.json").read_text("utf-8"))["vectors"]
CITED = Citation("contract", "bank", date(2026, 6, 1), "a" * 64)

cents = st.integers(0, 10**12)
rates = st.fractions(0, Fraction(1, 5), max_denominator=10_000)


# -- splitting and lending -------------------------------------------------------------------------------------------


@given(cents, st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any))
def test_a_split_adds_up_and_each_part_is_within_a_cent(total, weights):
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


def test_equal_remainders_favour_the_earlier():
    assert split(100, (1, 1, 1)) == (34, 33, 33)
    assert split(5, (1, 1, 1)) == (2, 2, 1)


@pytest.mark.parametrize("amount", ["-0.01", "0.001"])
def test_amounts_that_are_no_whole_cents_are_refused(amount):
    with pytest.raises(OutOfRange):
        cents_of(Money(Decimal(amount), "CNY"), "loan")
    assert money_of(123, "CNY").amount == Decimal("1.23")
    assert spelled(120) == "1.2"


@given(st.integers(1, 10**12), rates, st.integers(1, 60), st.sampled_from(("annuity", "equal_principal", "bullet")))
def test_a_loan_is_repaid_to_the_cent(balance, rate, periods, kind):
    rows = schedule(balance, rate, periods=periods, kind=kind)
    assert len(rows) == periods
    assert sum(row.principal for row in rows) == balance
    assert rows[-1].closing == 0
    for before, after in pairwise(rows):
        assert before.closing == after.opening
        assert 0 <= before.principal <= before.opening
    assert all(abs(row.interest - row.opening * rate) <= Fraction(1, 2) for row in rows)


@pytest.mark.parametrize("kind", ["annuity", "equal_principal", "bullet"])
def test_a_loan_agrees_with_the_desk(kind):
    told = desk.evaluate(
        "repayment_schedule",
        {"principal": 10_000_000, "annual_rate": Decimal("0.06"), "months": 24, "kind": kind, "balloon": 0},
    )
    rows = schedule(10**9, Fraction(6, 1200), periods=24, kind=kind)
    assert abs(sum(row.interest for row in rows) - told["total_interest"] * 100) < 24
    assert abs(rows[0].principal - told["first_principal"] * 100) < 1
    assert abs(rows[11].closing - told["mid_balance"] * 100) < 24


# -- the waterfall of a securitisation -------------------------------------------------------------------------------

notes = st.builds(
    Notes,
    senior=st.integers(1, 10**10),
    junior=st.integers(0, 10**10),
    senior_rate=rates,
    junior_rate=rates,
    reserve_start=st.integers(0, 10**9),
    reserve_target=st.integers(0, 10**9),
    fee_fixed=st.integers(0, 10**8),
    fee_share=rates,
    default_limit=st.fractions(Fraction(1, 100), Fraction(1, 2), max_denominator=100),
    cover_floor=st.fractions(Fraction(105, 100), 2, max_denominator=100),
    reserve_floor=st.integers(0, 10**8),
)


@st.composite
def histories(draw):
    """Pools that shrink by repayment and default, with whatever interest and recoveries."""
    balance, defaulted, pools = draw(st.integers(1, 10**10)), 0, []
    for _ in range(draw(st.integers(1, 8))):
        principal = draw(st.integers(0, balance))
        stopped = draw(st.one_of(st.just(0), st.integers(0, balance - principal)))
        defaulted += stopped
        closing_balance = balance - principal - stopped
        pools.append(
            Pool(
                opening=balance,
                closing=closing_balance,
                interest=draw(st.integers(0, 10**8)),
                principal=principal,
                recovered=draw(st.integers(0, defaulted)),
                defaulted=defaulted,
                recognised=draw(st.integers(0, 2 * 10**10)),
                servicer_failed=draw(st.integers(0, 9)) == 0,
            )
        )
        balance = closing_balance
    return pools


@settings(max_examples=60)
@given(notes, histories(), st.integers(0, 2 * 10**10))
def test_every_cent_is_paid_once_and_in_order(deal, pools, recognised):
    state = closing(deal, recognised=recognised)
    for number, (pool, paid) in enumerate(zip(pools, pour(deal, pools, recognised=recognised), strict=True), start=1):
        last = number == len(pools)
        outflow = (
            paid.fee
            + paid.senior_interest
            + paid.senior_principal
            + paid.junior_interest
            + paid.junior_principal
            + paid.residual
        )
        assert pool.collected + state.reserve == outflow + paid.state.reserve
        assert all(
            amount >= 0
            for amount in (
                paid.fee, paid.senior_interest, paid.senior_principal, paid.junior_interest, paid.junior_principal,
                paid.residual, paid.state.senior, paid.state.junior, paid.state.reserve,
            )
        )  # fmt: skip
        assert paid.state.senior == state.senior - paid.senior_principal
        assert paid.state.junior == state.junior - paid.junior_principal
        behind = paid.junior_interest + paid.junior_principal + paid.residual
        if behind:
            # nothing goes behind the senior class while anything is due before
            assert paid.state.fee_unpaid == paid.state.senior_unpaid == 0
            assert paid.senior_principal == paid.senior_due
            assert paid.state.senior == 0 or last or paid.state.reserve == deal.reserve_target
        if behind and state.tripped:
            assert paid.state.senior == 0
        if paid.senior_principal:
            assert paid.state.senior_unpaid == 0
        if paid.residual:
            assert paid.state.junior_unpaid == 0
            assert paid.junior_principal == state.junior or paid.state.senior
        assert paid.state.tripped[: len(state.tripped)] == state.tripped
        state = paid.state
    assert state.reserve == 0, "the reserve is used up at the end"


@settings(max_examples=25)
@given(notes, histories())
def test_a_tripped_waterfall_never_pays_the_senior_class_less(deal, pools):
    calm = pour(
        replace(deal, default_limit=Fraction(1), reserve_floor=0),
        [replace(p, servicer_failed=False, recognised=10**12) for p in pools],
        recognised=10**12,
    )
    strict = pour(deal, pools, recognised=0)
    paid = [0, 0]
    for one, other in zip(calm, strict, strict=True):
        paid[0] += one.senior_principal
        paid[1] += other.senior_principal
        assert paid[1] >= paid[0]


def vector(method):
    return [example for example in EXAMPLES if example["method"] == method]


@pytest.mark.parametrize("example", vector("abs_waterfall"), ids=lambda example: example["id"])
def test_a_deal_that_is_tripped_from_the_start_pays_as_the_desk_does(example):
    given_, told = example["inputs"], example["outputs"]
    as_cents = {
        key: round(Fraction(str(value)) * 100)
        for key, value in given_.items()
        if key not in {"collections", "senior_rate", "junior_rate"}
    }
    deal = Notes(
        senior=as_cents["senior"],
        junior=as_cents["junior"],
        senior_rate=Fraction(str(given_["senior_rate"])),
        junior_rate=Fraction(str(given_["junior_rate"])),
        reserve_start=as_cents["reserve_start"],
        reserve_target=as_cents["reserve_target"],
        fee_fixed=as_cents["fee"],
        fee_share=Fraction(0),
        default_limit=Fraction(1, 2),
        cover_floor=Fraction(105, 100),
        reserve_floor=0,
    )
    size = deal.senior + deal.junior
    pools = [Pool(size, size, round(Fraction(str(cash)) * 100), 0, 0, 0, 0, False) for cash in given_["collections"]]
    state, principal = closing(deal, recognised=0), []
    assert state.tripped == ("over_collateralisation",)
    for pool in pools:
        paid = step(deal, state, pool, size=size, last=False)
        principal.append(paid.senior_principal)
        state = paid.state
    for mine, theirs in zip(principal, told["senior_principal"], strict=True):
        assert abs(mine - Fraction(str(theirs)) * 100) <= len(pools)
    assert abs(state.senior - Fraction(str(told["senior_left"])) * 100) <= len(pools)


# -- a data trust ----------------------------------------------------------------------------------------------------


@st.composite
def trusts(draw):
    count = draw(st.integers(1, 6))
    fees = draw(st.lists(st.builds(Fee, st.just("t"), st.integers(0, 10**8), rates), min_size=1, max_size=4))
    units = tuple(draw(st.lists(st.integers(1, 1000), min_size=count, max_size=count)))
    usage = st.lists(st.one_of(st.just(0), st.integers(0, 10**9)), min_size=count, max_size=count).map(tuple)
    quiet = st.just((0,) * count)
    periods = st.builds(Period, st.just(date(2026, 1, 1)), st.booleans(), cents, st.one_of(usage, quiet))
    share = draw(st.fractions(0, 1, max_denominator=1000))
    return tuple(draw(st.lists(periods, min_size=1, max_size=8))), tuple(fees), units, share


@settings(max_examples=50)
@given(trusts())
def test_a_trust_pays_out_every_cent_in_order(case):
    periods, fees, units, share = case
    paid = distribute(periods, fees, units, share)
    brought, due, got = 0, [0] * len(fees), [0] * len(fees)
    for period, one in zip(periods, paid, strict=True):
        assert period.revenue == one.settlor + one.income
        assert one.income <= period.revenue * share < one.income + 1
        assert one.brought == brought
        assert one.income + one.brought == sum(one.fees) + sum(one.shares) + one.carried
        for place, fee in enumerate(fees):
            due[place] += fee.fixed + round(one.income * fee.share)
            got[place] += one.fees[place]
            assert got[place] <= due[place]
        if sum(one.shares) or one.carried:
            assert got == due, "nobody shares while a fee is unpaid"
        for first, then in zip(range(len(fees)), range(1, len(fees)), strict=False):
            assert got[first] == due[first] or one.fees[then] == 0, "fees are paid in their order"
        if any(period.usage):
            whole = sum(one.shares)
            for part, use in zip(one.shares, period.usage, strict=True):
                assert abs(part - Fraction(whole * use, sum(period.usage))) < 1
                assert use or not part
        brought = one.carried
    assert brought == 0, "nothing is left in the trust at the end"


# -- after a guarantor is called -------------------------------------------------------------------------------------


def traced(name, value, unit="share"):
    return stated(name, name, Decimal(value), CITED, unit=unit)


@st.composite
def calls(draw):
    balance = draw(st.integers(1, 10**10))
    (payment,) = schedule(balance, draw(rates), periods=1, kind="bullet")
    parts = draw(st.tuples(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50)))
    shares = Shares(*(Fraction(part, sum(parts)) for part in parts))
    if draw(st.integers(0, 4)) == 0:
        return payment, shares, None
    ranks = draw(st.lists(st.integers(1, 6), unique=True, min_size=1, max_size=4))
    claims = tuple(
        sorted((Claim("x", rank, draw(st.integers(0, 10**10))) for rank in ranks[1:]), key=lambda one: one.rank)
    )
    value = draw(st.integers(0, 2 * 10**10))
    collateral = Collateral(
        stated("v", "v", money_of(value, "CNY"), CITED), traced("h", draw(st.sampled_from(("0.5", "3"))), "years"),
        traced("c", draw(st.sampled_from(("0", "0.1", "0.4")))), value, draw(st.booleans()), ranks[0], claims,
    )  # fmt: skip
    return payment, shares, collateral


@settings(max_examples=60)
@given(calls(), st.booleans(), st.fractions(0, 5, max_denominator=12))
def test_a_call_accounts_for_every_cent_and_keeps_ranks(case, pro_rata, years):
    payment, shares, collateral = case
    row = in_period(1, payment, fee=0, shares=shares, collateral=collateral, pro_rata=pro_rata, years=years)
    (_, _, _, _, _, claim, call, costs, prior, lender, subrogated, later, surplus, lost, lost_g, lost_c, alone) = row
    assert all(amount >= 0 for amount in row)
    assert claim == lender + subrogated + lost + lost_g + lost_c
    assert abs(call - claim * shares.covered) < 1
    assert alone >= lost, "a guarantor who pays never makes it worse for the lender"
    if collateral is None:
        assert alone == claim
        return
    gross, _ = collateral.proceeds(years)
    assert gross == costs + prior + lender + subrogated + later + surplus
    ours = claim if collateral.to_lender else call
    earlier = sum(one.amount for one in collateral.claims if one.rank < collateral.rank)
    after = sum(one.amount for one in collateral.claims if one.rank > collateral.rank)
    if lender + subrogated:
        assert prior == earlier, "the subrogated claim inherits the rank of the lien"
    if later:
        assert lender + subrogated == ours
    if surplus:
        assert later == after
    if not pro_rata and subrogated and collateral.to_lender:
        assert lost == 0, "the lender comes first"
    if not collateral.to_lender:
        assert lender == 0


@settings(max_examples=25)
@given(calls(), st.booleans())
def test_ranks_are_served_as_the_desk_serves_them(case, pro_rata):
    payment, shares, collateral = case
    if collateral is None or not collateral.to_lender:
        return
    row = in_period(1, payment, fee=0, shares=shares, collateral=collateral, pro_rata=pro_rata, years=Fraction(0))
    gross, costs = collateral.proceeds(Fraction(0))
    ranks = {one.rank: one.amount for one in collateral.claims} | {collateral.rank: row[5]}
    ranked = [[{"lender": str(rank), "amount": ranks[rank]}] for rank in sorted(ranks) if ranks[rank]]
    told = desk.evaluate("enforcement_waterfall", {"claims_by_rank": ranked, "proceeds": gross, "costs": costs})
    assert told["paid"][str(collateral.rank)] == row[9] + row[10]
    assert told["surplus_to_pledgor"] == row[12]
