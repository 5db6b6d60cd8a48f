"""Defaults under one factor: against the worked vectors, against enumeration with another quadrature, and between bounds."""

import itertools
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.second_opinions import inverse_phi, phi
from valuation import desk
from valuation.finance import factor
from valuation.finance.factor import Obligor, both_default, losses

EXAMPLES = json.loads((Path(__file__).parent / "vectors/valuation_examples.json").read_text("utf-8"))["vectors"]

chances = st.fractions(Fraction(1, 2000), Fraction(1, 2), max_denominator=2000)
correlations = st.sampled_from([Fraction(share, 100) for share in (1, 12, 15, 25, 60)])


def vector(method):
    return [example for example in EXAMPLES if example["method"] == method]


def exact(value):
    return Fraction(str(value))


@pytest.mark.parametrize("example", vector("guarantee_joint_default"), ids=lambda example: example["id"])
def test_joint_default_follows_the_worked_example(example):
    i, told = example["inputs"], example["outputs"]
    joint = both_default(exact(i["PD"]), exact(i["PD_guarantor"]), exact(i["correlation"]))
    assert float(joint) == pytest.approx(told["joint_pd"], rel=1e-6)
    expected = (
        exact(i["EAD"]) * exact(i["LGD"]) * ((1 - exact(i["coverage"])) * exact(i["PD"]) + exact(i["coverage"]) * joint)
    )
    assert float(expected) == pytest.approx(told["EL"], rel=1e-6)


@settings(max_examples=8)
@given(chances, chances, correlations)
def test_joint_default_lies_between_its_bounds_and_agrees_with_the_desk(one, other, correlation):
    joint = both_default(one, other, correlation)
    assert one * other <= joint + Fraction(1, 10**30)
    assert joint < min(one, other)
    if correlation < Fraction(1, 2):
        assert joint < both_default(one, other, Fraction(3, 5))
    told = desk.evaluate(
        "guarantee_joint_default",
        {
            "EAD": 1,
            "LGD": 1,
            "PD": _near(one),
            "PD_guarantor": _near(other),
            "correlation": _near(correlation),
            "coverage": 1,
        },
    )
    assert float(joint) == pytest.approx(float(told["joint_pd"]), rel=1e-9)


def _near(value):
    return Decimal(value.numerator) / Decimal(value.denominator)


@pytest.mark.parametrize("example", vector("abs_small_pool"), ids=lambda example: example["id"])
def test_a_pool_of_equal_loans_follows_the_worked_example(example):
    i, told = example["inputs"], example["outputs"]
    if i["obligors"] > factor.MOST:
        pytest.skip("not a small pool")
    share = exact(i["LGD"]) / i["obligors"]
    found = losses([Obligor(exact(i["PD"]), share)] * i["obligors"], exact(i["rho"]))
    attach = exact(i["subordination"])
    assert found.exact
    assert float(found.counts[0]) == pytest.approx(told["p_zero"], rel=1e-9)
    assert float(1 - found.counts[0] - found.counts[1]) == pytest.approx(told["p_two_or_more"], rel=1e-9)
    assert float(found.beyond(attach)) == pytest.approx(told["p_senior_loss"], rel=1e-9)
    assert float(found.excess(attach) / (1 - attach)) == pytest.approx(told["senior_el"], rel=1e-9)


def enumerated(obligors, correlation, attach):
    """Every set of defaults, with probabilities by Gauss and Hermite instead of the trapezoidal rule."""
    points, weights = np.polynomial.hermite_e.hermegauss(180)
    weights = weights / weights.sum()
    rho = float(correlation)
    conditional = [
        np.array([phi((inverse_phi(float(one.default)) - rho**0.5 * z) / (1 - rho) ** 0.5) for z in points])
        for one in obligors
    ]
    beyond = excess = 0.0
    for stopped in itertools.product((False, True), repeat=len(obligors)):
        chance = weights.copy()
        for gone, p in zip(stopped, conditional, strict=True):
            chance = chance * (p if gone else 1 - p)
        lost = sum((one.loss for one, gone in zip(obligors, stopped, strict=True) if gone), Fraction(0))
        if lost > attach:
            beyond += chance.sum()
            excess += chance.sum() * float(lost - attach)
    return beyond, excess


@settings(max_examples=5)
@given(
    st.lists(st.builds(Obligor, chances, st.integers(1, 10**6).map(Fraction)), min_size=1, max_size=5),
    st.sampled_from([Fraction(15, 100)]),
    st.integers(0, 9),
)
def test_a_tiny_pool_agrees_with_enumeration(obligors, correlation, tenths):
    attach = sum((one.loss for one in obligors), Fraction(0)) * tenths / 10
    found = losses(obligors, correlation)
    beyond, excess = enumerated(obligors, correlation, attach)
    assert float(found.beyond(attach)) == pytest.approx(beyond, rel=1e-8, abs=1e-13)
    assert float(found.excess(attach)) == pytest.approx(excess, rel=1e-8, abs=1e-8)


POOL = [Obligor(Fraction(1 + number, 100), Fraction(100_003 * (number + 3) + number**3)) for number in range(7)]


def test_the_distribution_is_one_and_its_mean_is_exact():
    found = losses(POOL, Fraction(15, 100))
    assert sum(chance for _, chance in found.chances) == 1
    assert sum(found.counts) == 1
    assert len(found.counts) == 8
    assert abs(found.mean - sum(one.default * one.loss for one in POOL)) < Fraction(1, 10**12)
    assert found.quantile(Fraction(1, 2)) == 0
    assert found.quantile(Fraction(1)) == sum(one.loss for one in POOL)


def test_more_subordination_never_means_more_senior_loss():
    found = losses(POOL, Fraction(15, 100))
    size = Fraction(5 * 10**6)
    last = (Fraction(2), Fraction(2))
    for attach in range(0, 5 * 10**6, 125_000):
        now = (found.beyond(Fraction(attach)), found.excess(Fraction(attach)) / (size - attach))
        assert now[0] <= last[0]
        assert now[1] <= last[1]
        last = now


def test_the_lattice_keeps_the_mean_and_never_understates_an_excess(monkeypatch):
    exactly = losses(POOL, Fraction(15, 100))
    monkeypatch.setattr(factor, "STATES", 8)
    spread = losses(POOL, Fraction(15, 100))
    assert exactly.exact
    assert not spread.exact
    assert abs(spread.mean - exactly.mean) < Fraction(1, 1000)
    total = sum(one.loss for one in POOL)
    for attach in range(0, int(total), 20_000):
        more = spread.excess(Fraction(attach)) - exactly.excess(Fraction(attach))
        assert -Fraction(1, 1000) < more < total / 400


def test_a_finer_rule_finds_the_same(monkeypatch):
    steep = [Obligor(Fraction(number, 300), Fraction(1)) for number in range(1, 4)] * 9
    for correlation in (Fraction(15, 100), Fraction(6, 10)):
        coarse = losses(steep, correlation)
        monkeypatch.setattr(factor, "_nodes_per_unit", lambda *_: 25)
        fine = losses(steep, correlation)
        monkeypatch.undo()
        for attach in range(27):
            assert abs(coarse.beyond(Fraction(attach)) - fine.beyond(Fraction(attach))) < Fraction(1, 10**15)


def test_correlation_moves_loss_to_the_tail():
    weak, strong = (losses(POOL, Fraction(share, 100)) for share in (15, 60))
    attach = sum(one.loss for one in POOL) / 2
    assert strong.excess(attach) > weak.excess(attach) > 0
    assert strong.counts[0] > weak.counts[0]
