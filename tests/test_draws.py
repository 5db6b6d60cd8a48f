"""The draws beside exact arithmetic: every value, quantile and spread again in fractions; bits that must not change."""

import hashlib
from decimal import Decimal
from fractions import Fraction
from math import isclose, log

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.test_valuation import CASE, evidence
from tests.test_valuation_income import income
from tests.test_valuation_reconcile import FACTS, JUDGEMENT, ON
from valuation.asset import DataAsset
from valuation.cost import Mode, appraise_cost
from valuation.desk.reals import below, quantile, root
from valuation.doubles import halvings, logarithm, normal_quantile
from valuation.draws import NOISE, factors_of, shares, values_at
from valuation.facts import Facts
from valuation.income import appraise_income
from valuation.indication import AS_STATED
from valuation.judgement import DRIVERS, MOST_DRAWS, Judgement, Shape, Spread
from valuation.market import appraise_market
from valuation.sensitivity import Model


def at(spread, share):
    """The factor that ``share`` of the distribution stays below, in exact arithmetic."""
    low, high = Fraction(spread.low), Fraction(spread.high)
    width = high - low
    if spread.shape is Shape.UNIFORM:
        return low + share * width
    if share * width <= 1 - low:
        return low + root(share * width * (1 - low))
    return high - root((1 - share) * width * (high - 1))


def model(facts, mode=Mode.BOTH):
    stated, ev = Facts.from_json(facts), evidence()
    base = appraise_cost(DataAsset.from_json(CASE["asset"]), stated, ev, ON, mode=mode)
    indications = {"income": appraise_income(stated, base.quality), "market": appraise_market(stated, ev)}
    cost = type(indications["income"])("cost", base.low, base.central, base.high, (), ())
    return Model(base, {"cost": cost} | indications, Judgement.from_json(JUDGEMENT))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["direct", "share", "excess", "with_without", "royalty"]),
    st.booleans(),
    st.sampled_from(list(Mode)),
    st.integers(1, 30),
    st.lists(st.tuples(*(st.integers(5, 300) for _ in DRIVERS), st.integers(-400, 400)), min_size=1, max_size=5),
)
def test_values_are_those_of_the_exact_formulas(method, post_tax, mode, years, points):
    document = {**FACTS, "income": income(method, years=years, sales="2400000", post_tax=post_tax)}
    exact = model(document, mode)
    rows = {driver: np.array([point[place] / 100 for point in points]) for place, driver in enumerate(DRIVERS)}
    rows["quality"] = np.minimum(rows["quality"], 1.0)
    noise = np.array([point[-1] / 100 for point in points])
    got = values_at(exact, rows, noise)
    for number in range(len(points)):
        shift = AS_STATED._replace(**{driver: Fraction(float(row[number])) for driver, row in rows.items()})
        want = exact.values(shift, Fraction(float(noise[number])))
        assert want.keys() == got.keys()
        for approach, value in want.items():
            # what costs and upkeep take away again bounds how much of an income's twelve digits can cancel
            assert abs(float(got[approach][number]) - float(value)) <= 1e-12 * max(float(value), 1e7)


@given(st.sampled_from(list(Shape)), st.integers(1, 100), st.integers(101, 2000), st.lists(st.integers(1, 2**52 - 1)))
def test_factors_invert_their_distribution(shape, low, high, drawn):
    spread = Spread("cost", shape, Decimal(low) / 100, Decimal(high) / 100, "r")
    row = np.array([(2 * one + 1) * 2.0**-53 for one in sorted(drawn)])
    got = factors_of(spread, row)
    assert all(np.diff(got) >= 0)
    for share, factor in zip(row.tolist(), got.tolist(), strict=True):
        assert float(spread.low) <= factor <= float(spread.high)
        assert isclose(factor, at(spread, Fraction(share)), rel_tol=1e-14)


@given(st.integers(0, 2**52 - 1))
def test_normal_quantiles(whole):
    share = (2 * whole + 1) * 2.0**-53
    for one in (share, share * 2.0**-30 or share):
        assume(one < 1)
        got = float(normal_quantile(np.array([one]))[0])
        want = quantile(Fraction(one))
        assert isclose(got, want, rel_tol=1e-14, abs_tol=1e-15)
        assert isclose(below(Fraction(got)), one, rel_tol=1e-12)


@given(st.floats(0, 3000), st.floats(2.0**-1000, 2.0**1000))
def test_powers_and_logarithms(count, value):
    assert isclose(float(halvings(np.array([count]))[0]), 2.0**-count, rel_tol=1e-15, abs_tol=1e-320)
    assert isclose(float(logarithm(np.array([value]))[0]), log(value), rel_tol=1e-15, abs_tol=1e-17)


def test_shares_are_uniform_and_depend_on_seed_name_and_number_alone():
    drawn = shares("one", "level", 40_000)
    assert len(np.unique(drawn)) == 40_000
    bins = np.histogram(drawn, 20, (0, 1))[0]
    # chi-square of 19 degrees of freedom: a fixed seed, far inside the 0.1 % point
    assert ((bins - 2000) ** 2 / 2000).sum() < 43.8
    assert (shares("one", "level", 7) == drawn[:7]).all()
    assert (shares("one", "rate", 40_000) != drawn).all()
    # a seed that ends like another's name is still another seed
    assert shares("a", "b/c", 1) != shares("a/b", "c", 1)
    stream = hashlib.shake_256(b"3:one/level").digest(80)
    whole = [int.from_bytes(stream[place : place + 8]) >> 12 for place in range(0, 80, 8)]
    assert drawn[:10].tolist() == [float(Fraction(2 * one + 1, 2**53)) for one in whole]
    assert abs(np.corrcoef(drawn, shares("one", "rate", 40_000))[0, 1]) < 4 / 200


BITS = {
    "shares": "270f47b26e7ac932",
    "quantiles": "ab5e611899606cc2",
    "powers": "4396ae03bb66e64d",
    "triangular": "2c26ba9a9c78de1a",
    "uniform": "d417677224011410",
    "income": "fa6cd9cf1918dfaf",
}
"""Heads of the SHA-256 of a hundred thousand doubles each; equal with and without the processor's vector instructions."""


def test_bits_are_the_same_on_every_machine():
    drawn = shares("2026-06-30 cards_2026", NOISE, MOST_DRAWS)
    triangular = Spread("level", Shape.TRIANGULAR, Decimal("0.6"), Decimal("1.2"), "r")
    uniform = Spread("level", Shape.UNIFORM, Decimal("0.6"), Decimal("1.2"), "r")
    made = {
        "shares": drawn,
        "quantiles": normal_quantile(drawn),
        "powers": halvings(20 * drawn),
        "triangular": factors_of(triangular, drawn),
        "uniform": factors_of(uniform, drawn),
        "income": values_at(model(FACTS), {"half_life": 0.5 + drawn, "rate": 0.8 + drawn / 2}, drawn)["income"],
    }
    assert {name: hashlib.sha256(row.astype("<f8").tobytes()).hexdigest()[:16] for name, row in made.items()} == BITS


@pytest.mark.parametrize("count", [100, 5_000, MOST_DRAWS])
def test_quantiles_of_many_draws_have_the_normal_moments(count):
    noise = normal_quantile(shares("moments", NOISE, count))
    assert abs(noise.mean()) < 4 / count**0.5
    assert abs((noise**2).mean() - 1) < 4 * (2 / count) ** 0.5
    assert abs((noise**4).mean() - 3) < 4 * (96 / count) ** 0.5
