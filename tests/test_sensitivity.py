"""Reach is what one person can do at most: searched among all neighbours; costs add up to the plan's rho exactly."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import PARTIES, plans, small_bounds

from privacy.errors import Overflow, Refused
from privacy.plan import CountPresent, CountRows, CountValid, GroupBy, Plan, Sum
from privacy.sensitivity import LEAST_SIGMA, NOISE_SIGMAS, ROWS_BITS, Clipped, calibrate, magnitude, reach
from privacy.terms import NANO, Bounds


def plan_of(*measures, rows=2, institutions=2, domain=("x", "y"), rho=50_000_000, parties=PARTIES):
    return Plan(
        standard="credit/1",
        standard_digest="0" * 64,
        purpose="credit-risk-statistics",
        parties=parties,
        rows_per_unit=rows,
        institutions_per_unit=institutions,
        groups=(GroupBy("region", domain),) if domain else (),
        where=(),
        measures=measures,
        rho=rho,
    )


def cells_of(rows, measure, domain):
    """The measure's cells over (group, value) rows, written from the definition: clip, then add up by group."""
    cells = dict.fromkeys(domain, 0)
    for group, value in rows:
        if group not in cells:
            continue
        match measure:
            case CountRows():
                cells[group] += 1
            case CountPresent():
                cells[group] += value is not None
            case CountValid():
                cells[group] += value is not None and 0 <= value <= 1
            case Sum(_, bounds):
                cells[group] += 0 if value is None else sorted((bounds.lower, value, bounds.upper))[1]
    return cells


def persons(*, rows, institutions, values, groups):
    """Every person there could be: at most ``rows`` counted rows at each of at most ``institutions`` parties."""
    row = list(itertools.product(groups, values))
    at_one = [held for count in range(rows + 1) for held in itertools.combinations_with_replacement(row, count)]
    for present in range(institutions + 1):
        yield from itertools.combinations_with_replacement(at_one, present)


SHAPES = [
    (1, 1, ("x",)),
    (1, 3, ("x", "y")),
    (2, 1, ("x", "y", "z")),
    (2, 2, ("x", "y")),
    (3, 1, ("x", "y")),
]
SMALL = [CountRows(), CountPresent("v"), CountValid("v")]
SMALL += [Sum("v", bounds) for bounds in (Bounds(0, 3), Bounds(-4, 2), Bounds(-5, -2), Bounds(2, 2), Bounds(-1, 1))]


@pytest.mark.parametrize(("rows", "institutions", "domain"), SHAPES)
@pytest.mark.parametrize("measure", SMALL, ids=repr)
def test_reach_is_the_farthest_of_all_neighbours(measure, rows, institutions, domain):
    # outliers on both sides are clipped, a missing value counts as nothing, "else" is a group outside the domain
    ends = (measure.bounds.lower, measure.bounds.upper) if isinstance(measure, Sum) else (0, 1)
    values = (None, ends[0] - 100, *ends, ends[1] + 100)
    others = [("x", ends[0]), ("y", ends[1] + 7)]
    before = cells_of(others, measure, domain)
    farthest = 0
    for person in persons(rows=rows, institutions=institutions, values=values, groups=(*domain, "else")):
        mine = [row for held in person for row in held]
        after = cells_of(others + mine, measure, domain)
        farthest = max(farthest, sum((after[group] - before[group]) ** 2 for group in domain))
    plan = plan_of(measure, rows=rows, institutions=institutions, domain=domain)
    assert math.isqrt(farthest) ** 2 == farthest
    assert reach(plan, measure) == math.isqrt(farthest)


@given(plans())
def test_the_measures_cost_no_more_than_the_plan_exactly(plan):
    assume(not any(isinstance(measure, Sum) and measure.bounds.weight == 0 for measure in plan.measures))
    scales = calibrate(plan)
    cost = sum((Fraction(scale.reach) ** 2 / (2 * scale.sigma**2) for scale in scales), Fraction(0))
    assert tuple(scale.measure for scale in scales) == plan.measures
    assert cost == sum(scale.rho for scale in scales)
    assert cost <= Fraction(plan.rho, NANO)


@given(plans())
def test_no_smaller_scale_would_do(plan):
    assume(not any(isinstance(measure, Sum) and measure.bounds.weight == 0 for measure in plan.measures))
    share = Fraction(plan.rho, NANO * len(plan.measures))
    for scale in calibrate(plan):
        finer = scale.sigma - Fraction(1, 1024)
        assert scale.sigma == LEAST_SIGMA or Fraction(scale.reach) ** 2 / (2 * finer**2) > share


@given(
    st.integers(1, 10_000),
    st.integers(1, 1_000),
    small_bounds((1 << 53) - 1),
    st.integers(1, 100 * NANO),
)
def test_scales_are_exact_floats_of_three_lattice_units_or_more(rows, institutions, bounds, rho):
    assume(bounds.weight > 0)
    plan = plan_of(Sum("v", bounds), CountRows(), rows=rows, institutions=institutions, rho=rho)
    for scale in calibrate(plan):
        assert scale.sigma >= 3
        assert (scale.sigma * 1024).denominator == 1
        assert Fraction(float(scale.sigma)) == scale.sigma
        assert scale.rho <= Fraction(rho, 2 * NANO)


def test_scales_beyond_the_float_grid_are_rounded_up():
    plan = plan_of(Sum("v", Bounds(0, (1 << 28) + 1)), rows=9_999, institutions=999, rho=3)
    (scale,) = calibrate(plan)
    assert scale.sigma > 1 << 53
    assert Fraction(float(scale.sigma)) == scale.sigma
    assert Fraction(99, 100) < scale.rho / Fraction(3, NANO) <= 1


def test_three_lattice_units_are_kept_however_much_is_paid():
    (scale,) = calibrate(plan_of(CountRows(), rows=1, institutions=1, rho=100 * NANO))
    assert scale.sigma == 3
    assert scale.rho == Fraction(1, 18)


def test_a_sum_over_nothing_is_refused():
    with pytest.raises(Refused):
        calibrate(plan_of(CountRows(), Sum("v", Bounds(0, 0))))


@given(plans())
def test_magnitude_has_room_for_all_rows_and_the_noise(plan):
    assume(not any(isinstance(measure, Sum) and measure.bounds.weight == 0 for measure in plan.measures))
    room = 1 << magnitude(plan)
    largest = 0
    for scale in calibrate(plan):
        most = (
            max(abs(scale.measure.bounds.lower), abs(scale.measure.bounds.upper))
            if hasattr(scale.measure, "bounds")
            else 1
        )
        largest = max(largest, most * 2**ROWS_BITS + NOISE_SIGMAS * scale.sigma)
    assert largest < room
    assert room <= 2 * largest + 2
    assert magnitude(plan) <= 61


@pytest.mark.parametrize(
    ("bounds", "rho"), [(Bounds(0, 1 << 29), 50_000_000), (Bounds(-(1 << 40), 0), NANO), (Bounds(0, (1 << 28) + 1), 1)]
)
def test_plans_that_could_outgrow_61_bits_are_refused(bounds, rho):
    with pytest.raises(Overflow):
        magnitude(plan_of(Sum("v", bounds), rows=10_000, institutions=1_000, rho=rho))


def test_the_widest_sum_that_fits():
    plan = plan_of(Sum("v", Bounds(0, (1 << 29) - 3)), rows=1, institutions=1, rho=NANO)
    assert magnitude(plan) == 61
    assert magnitude(replace(plan, measures=(CountRows(),))) == 33


def test_true_cells_are_never_shown():
    assert "424242" not in repr(Clipped("0" * 64, (424242,)))


@given(st.integers(2, 9), st.integers(2, NANO), st.data())
def test_shared_noise_covers_whoever_is_left(count, rho, data):
    colluding = data.draw(st.integers(0, count - 2))
    parties = tuple(f"bank-{i}" for i in range(count))
    plan = replace(plan_of(CountRows(), Sum("v", Bounds(-9, 5)), rho=rho, parties=parties), shared=colluding)
    assert plan.counted == count - colluding
    # variances of the honest parties add up; what a sum of discrete Gaussians costs beyond that is set aside
    cost = sum(Fraction(s.reach) ** 2 / (2 * plan.counted * s.sigma**2) for s in calibrate(plan))
    assert cost <= Fraction(rho - 1, NANO)
    for shared, alone in zip(calibrate(plan), calibrate(replace(plan, shared=None)), strict=True):
        assert 3 <= shared.sigma <= alone.sigma + Fraction(1, 512) + alone.sigma / rho
