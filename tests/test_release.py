"""Releases: each cell is found by its name, in its unit, with the variance of its noise; intervals cover."""

from dataclasses import replace
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import plans
from test_sensitivity import plan_of

from privacy.plan import CountRows, Sum
from privacy.release import Estimate, Release
from privacy.terms import Bounds

PLAN = plan_of(CountRows(), Sum("balance", Bounds(0, 500)))
RELEASE = Release(
    plan=PLAN,
    session="5e" * 32,
    totals=(10, 20, 12_345, -678),
    variances={"count(*)": Fraction(9), "sum(balance)": Fraction(40_001)},
    decimals={"sum(balance)": 2},
)


def test_cells_are_told_in_the_columns_unit():
    assert RELEASE.estimate("count(*)", ("x",)) == Estimate(Fraction(10), Fraction(9))
    assert RELEASE.estimate("count(*)", ("y",)) == Estimate(Fraction(20), Fraction(9))
    assert RELEASE.estimate("sum(balance)", ("x",)) == Estimate(Fraction("123.45"), Fraction("4.0001"))
    assert RELEASE.estimate("sum(balance)", ("y",)) == Estimate(Fraction("-6.78"), Fraction("4.0001"))


@given(plans())
def test_every_cell_is_found_by_its_name(plan):
    totals = tuple(range(plan.cells_count))
    keys = {measure.key: Fraction(index + 1) for index, measure in enumerate(plan.measures)}
    release = Release(plan, "5e" * 32, totals, keys, {})
    for total, (measure, values) in zip(totals, plan.cells(), strict=True):
        assert release.estimate(measure.key, values) == Estimate(Fraction(total), keys[measure.key])


@pytest.mark.parametrize(
    "cell", [("count(*)",), ("count(*)", ("z",)), ("count(*)", ("x", "y")), ("sum(age)", ("x",))], ids=str
)
def test_cells_that_are_not_there_are_a_key_error(cell):
    with pytest.raises(KeyError):
        RELEASE.estimate(*cell)


CHANGES = {
    "plan": replace(PLAN, rho=PLAN.rho + 1),
    "session": "5f" * 32,
    "totals": (10, 20, 12_345, -679),
    "variances": {"count(*)": Fraction(9), "sum(balance)": Fraction(40_002)},
    "decimals": {"sum(balance)": 3},
}


@pytest.mark.parametrize("field", CHANGES)
def test_everything_enters_the_digest(field):
    assert set(CHANGES) == set(RELEASE.to_json())
    assert replace(RELEASE, **{field: CHANGES[field]}).digest != RELEASE.digest
    assert replace(RELEASE).digest == RELEASE.digest


def test_totals_of_any_size_have_a_digest():
    assert len(replace(RELEASE, totals=(1 << 70, -(1 << 70), 0, 0)).digest) == 64


@given(st.integers(1, 10**12), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_half_widths_are_the_normal_quantiles(variance, level):
    half = Estimate(Fraction(5), Fraction(variance)).half_width(level)
    covered = NormalDist(sigma=variance**0.5)
    assert covered.cdf(half) - covered.cdf(-half) == pytest.approx(level, abs=1e-9)


def test_intervals_of_a_ratio_cover_what_they_claim():
    # fixed seed: 20000 draws; the delta method is allowed half a percent at this size of noise
    generator = np.random.default_rng(11)
    total, count = 250_000, 5_000
    sums = np.rint(generator.normal(total, 900, 20_000)).astype(int)
    counts = np.rint(generator.normal(count, 40, 20_000)).astype(int)
    covered = 0
    for one, other in zip(sums.tolist(), counts.tolist(), strict=True):
        ratio = Estimate(Fraction(one), Fraction(900**2)).over(Estimate(Fraction(other), Fraction(40**2)))
        covered += abs(float(ratio.value) - total / count) <= ratio.half_width()
    assert 0.945 < covered / 20_000 < 0.955


@given(st.fractions(-1000, 1000), st.fractions(1, 1000), st.fractions(0, 100), st.fractions(0, 100))
def test_a_ratio_has_the_variance_of_the_delta_method(value, other, variance, spread):
    ratio = Estimate(value, variance).over(Estimate(other, spread))
    assert ratio.value == value / other
    # the gradient of a / b is (1 / b, -a / b^2)
    assert ratio.variance == (1 / other) ** 2 * variance + (value / other**2) ** 2 * spread


@pytest.mark.parametrize("count", [0, -1, Fraction(-1, 10)])
def test_nothing_is_divided_by_a_count_that_is_not_positive(count):
    assert Estimate(Fraction(1), Fraction(1)).over(Estimate(Fraction(count), Fraction(1))) is None
