"""Reach is what one person can do at most: searched among all neighbours; costs add up to the plan's prices exactly."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import PARTIES, STANDARD, computed_by, plans, small_bounds, tables, terms

from privacy.errors import Malformed, Refused
from privacy.expression import (
    ROOM_BITS,
    Added,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    Choice,
    Constant,
    Missing,
    OneOf,
    Times,
    Value,
    extent,
    walk,
)
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Plan,
    Sum,
    width,
)
from privacy.sensitivity import (
    CELL_BITS,
    LEAST_SIGMA,
    NOISE_SIGMAS,
    ROWS_BITS,
    Clipped,
    calibrate,
    exposure,
    magnitude,
    reach_squared,
    weight,
)
from privacy.terms import NANO, UNKNOWN, Bounds, Column, Kind, Standard
from tests.reference import cells, evaluate, read

V, U = Value("v"), Value("u")
TABLE = Standard(
    name="credit",
    version=1,
    title="accounts",
    unit="person",
    rows_per_unit=2,
    institutions_per_unit=2,
    columns=(
        Column(name="person", kind=Kind.IDENTIFIER, meaning="natural person"),
        Column(name="region", kind=Kind.CATEGORY, meaning="region", domain=("x", "y", "z")),
        Column(name="v", kind=Kind.MEASURE, meaning="a number", bounds=Bounds(-1000, 1000)),
        Column(name="u", kind=Kind.MEASURE, meaning="another", bounds=Bounds(-1000, 1000)),
    ),
)


def plan_of(*measures, rows=2, institutions=2, domain=("x", "y"), rho=50_000_000, parties=PARTIES, bounds=None, **more):
    """A plan over one public domain; columns without ``bounds`` lie between 0 and 9."""
    groups = (ByCategory("region", domain),) if domain else ()
    needed = computed_by(more.get("where", ()), more.get("groups", groups), measures)
    told = {column: (bounds or {}).get(column, Bounds(0, 9)) for column in needed}
    settled = {
        "standard": "credit/1",
        "standard_digest": "0" * 64,
        "purpose": "credit-risk-statistics",
        "parties": parties,
        "rows_per_unit": rows,
        "institutions_per_unit": institutions,
        "groups": groups,
        "where": (),
        "measures": measures,
        "rho": rho,
        "bounds": tuple(told.items()),
    }
    return Plan(**(settled | more))


def moves(plan, measure, choices, others):
    """Every way in which a person of at most ``rows_per_unit`` rows at one party moves its cells of ``measure``."""
    alone = replace(plan, measures=(measure,), prices=(), bounds=plan.bounds)
    before = cells(alone, others, TABLE)
    found = set()
    for count in range(plan.rows_per_unit + 1):
        for mine in itertools.combinations_with_replacement(choices, count):
            held = [{"person": "someone", **row} for row in mine]
            after = cells(alone, [*others, *held], TABLE)
            found.add(tuple(now - then for now, then in zip(after, before, strict=True)))
    return found


def farthest(found, times):
    """The largest squared length of a sum of at most ``times`` moves."""
    return max(
        sum(sum(parts) ** 2 for parts in zip(*several, strict=True))
        for several in itertools.combinations_with_replacement(sorted(found), times)
    )


BANDS = ByBand("v", (-3, 0, 3), ("low", "high"))
SHAPES = [(1, ("x",)), (2, ("x", "y", "z")), (3, ("x", "y"))]
CASES = Choice(((OneOf("region", ("x",)), Times(V, Constant(-3))), (Missing("u"), Constant(5))), V)
BOUNDS = [Bounds(0, 3), Bounds(-4, 2), Bounds(-5, -2), Bounds(2, 2), Bounds(-1, 1)]
SMALL = [(measure, Bounds(-4, 2)) for measure in (
    CountRows(), CountUnits(), CountPresent(V), CountPresent(Times(V, U)), CountKnown("region"), CountFilled("v"),
    CountValid("v"), Histogram(BANDS), Histogram(ByBand("v", (-3, 0, 3), ("low", "high", UNKNOWN))),
)]  # fmt: skip
SMALL += [(Sum(V), bounds) for bounds in BOUNDS]
SMALL += [
    (Sum(term), bounds)
    for term in (Times(V, U), Times(V, V), CASES, Added((V, Times(U, Constant(2)))))
    for bounds in BOUNDS[1:3]
]


@pytest.mark.parametrize(("rows", "domain"), SHAPES, ids=str)
@pytest.mark.parametrize(("measure", "bounds"), SMALL, ids=lambda told: getattr(told, "key", str(told)))
def test_reach_is_the_farthest_of_all_neighbours(measure, bounds, rows, domain):
    """At one party and, with those at k of h parties added up, against every number of honest ones."""
    # outliers on both sides are clipped, missing values count as nothing, "elsewhere" is a group outside the domain
    values = (bounds.lower - 100, bounds.upper + 100) if rows > 1 else (None, bounds.lower - 100, *range(-5, 6), "text")
    both = values if "u" in repr(measure) else (0,)
    regions = (*domain, "elsewhere") if rows < 3 else domain
    choices = [{"region": region, "v": v, "u": u} for region in regions for v in values for u in both]
    choices += [{"region": domain[0], "v": bounds.upper, "u": None}] if "u" in repr(measure) else []
    others = [
        {"person": "other", "region": "x", "v": bounds.lower, "u": 3},
        {"person": None, "region": "x", "v": 1, "u": 1},
    ]
    told = dict.fromkeys(("u", "v"), bounds)
    found = moves(plan_of(measure, rows=rows, domain=domain, bounds=told), measure, choices, others)
    for institutions in (1, 2, 3):
        plan = plan_of(measure, rows=rows, institutions=institutions, domain=domain, bounds=told)
        assert farthest(found, 1) == reach_squared(plan, measure)
        for honest in (1, 2, 3, 4):
            at_most = min(institutions, honest)
            assert exposure(plan, honest) == Fraction(at_most**2, honest)
            longest = farthest({move for move in found if any(move)}, at_most)
            assert (
                longest
                == at_most**2 * reach_squared(plan, measure)
                == exposure(plan, honest) * honest * farthest(found, 1)
            )


@settings(max_examples=200)
@given(plans(odd=False, depth=2), tables(), tables(people=1, most=3), st.data())
def test_no_person_moves_any_measure_of_any_plan_further_than_its_reach(plan, others, mine, data):
    """The person's rows are put anywhere between the others'; nobody else is called the same."""
    others = [row for row in others if row["person"] != "person 1"]
    at = data.draw(st.integers(0, len(others)))
    before = cells(plan, others, STANDARD)
    after = cells(plan, [*others[:at], *mine, *others[at:]], STANDARD)
    start = 0
    for measure in plan.measures:
        end = start + plan.groups_count * width(measure)
        moved = [now - then for now, then in zip(after[start:end], before[start:end], strict=True)]
        assert sum(move * move for move in moved) <= reach_squared(plan, measure)
        assert max(map(abs, moved)) <= plan.rows_per_unit * weight(plan, measure)
        start = end


# -- ranges ------------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(terms(2), st.data())
def test_no_row_takes_a_term_or_a_step_to_it_out_of_its_range(term, data):
    bounds = {column: data.draw(small_bounds(50)) for column in sorted(computed_by((), (), (Sum(term),)))}
    asked = replace(plan_of(CountRows(), domain=()), measures=(Sum(term),), bounds=tuple(bounds.items()))
    for row in data.draw(tables(most=4)):
        seen = read(row, asked, STANDARD)
        for step in walk(term):
            if isinstance(step, Value | Constant | Added | Times | Choice):
                low, high = extent(step, bounds)
                number = evaluate(step, seen)
                assert number is None or low <= number <= high
                assert max(abs(low), abs(high)) < 1 << ROOM_BITS


def test_ranges_are_the_corners():
    bounds = {"v": Bounds(-4, 2), "u": Bounds(-1, 3)}
    ranges = {
        V: (-4, 2),
        Constant(-7, 2): (-7, -7),
        Added((V, U, Constant(1))): (-4, 6),
        Times(V, U): (-12, 6),
        Times(V, V): (-8, 16),
        Choice(((Missing("v"), Constant(9)), (Missing("u"), V))): (-4, 9),
        Choice(((Missing("v"), V),), Times(U, Constant(10))): (-10, 30),
    }
    assert {term: extent(term, bounds) for term in ranges} == ranges
    for term in (Value("ghost"), Choice(((Between(Value("ghost"), 0, 1), V),))):
        with pytest.raises(Malformed):
            extent(term, bounds)


# -- prices ------------------------------------------------------------------------------------------------------------


def weightless(plan):
    return any(weight(plan, measure) == 0 for measure in plan.measures)


def facing(plan):
    """Every number of honest parties that a plan's price must hold against."""
    return range(plan.counted, len(plan.parties) + 1)


@given(plans())
def test_the_measures_cost_no_more_than_the_plan_exactly(plan):
    assume(not weightless(plan))
    scales = calibrate(plan)
    assert tuple(scale.measure for scale in scales) == plan.measures
    for honest in facing(plan):
        at = min(plan.institutions_per_unit, honest)
        # the sum of what the person's rows at so many parties move, against the noise of all that are honest
        costs = [at * at * Fraction(scale.reach_squared) / (2 * honest * scale.sigma**2) for scale in scales]
        assert all(cost <= Fraction(price, NANO) for cost, price in zip(costs, plan.prices, strict=True))
        assert sum(costs) <= Fraction(plan.rho, NANO)
        assert costs == [scale.rho * exposure(plan, honest) for scale in scales]
    if plan.shared is None:
        # every part seen apart: the costs of the parties that a person is at add up
        apart = min(plan.institutions_per_unit, len(plan.parties)) * sum(scale.rho for scale in scales)
        assert apart <= Fraction(plan.rho, NANO)


@given(plans())
def test_no_smaller_scale_would_do(plan):
    assume(not weightless(plan))
    worst = max(
        exposure(plan, honest) for honest in range(plan.counted, max(len(plan.parties), plan.institutions_per_unit) + 1)
    )
    aside = 0 if plan.shared is None else 1
    for scale, price in zip(calibrate(plan), plan.prices, strict=True):
        finer = scale.sigma - Fraction(1, 1024)
        cost = worst * Fraction(scale.reach_squared) / (2 * finer**2)
        assert scale.sigma == LEAST_SIGMA or cost > Fraction(price - aside, NANO)


@given(st.integers(1, 9), st.integers(1, 12), st.data())
def test_the_worst_exposure_is_that_of_some_number_of_parties(count, institutions, data):
    shared = data.draw(st.none() | st.integers(0, count - 2)) if count > 1 else None
    parties = tuple(f"bank-{index}" for index in range(count))
    plan = plan_of(CountRows(), parties=parties, institutions=institutions, shared=shared)
    # beyond the roster, too: a person's other institutions answer other plans
    reachable = range(plan.counted, max(count, institutions) + 1)
    assert exposure(plan) == max(exposure(plan, honest) for honest in reachable)
    assert exposure(plan) >= max(exposure(plan, honest) for honest in facing(plan))
    if shared is None:
        assert exposure(plan) == institutions


def test_people_are_counted_in_as_many_groups_as_they_have_rows():
    for rows, domain, expected in ((1, ("x", "y"), 1), (2, ("x", "y"), 2), (9, ("x", "y"), 2), (3, (), 1)):
        plan = plan_of(CountUnits(), rows=rows, domain=domain)
        assert reach_squared(plan, CountUnits()) == expected
    both = plan_of(CountUnits(), rows=9, groups=(ByCategory("region", ("x", "y")), ByCase(((Missing("u"), "a"),), "b")))
    assert reach_squared(both, CountUnits()) == 4


def test_each_measure_is_noised_for_its_own_price():
    plan = plan_of(CountRows(), Sum(V), rows=9, institutions=1, rho=1_000_000, prices=(990_000, 10_000))
    dear, cheap = calibrate(plan)
    assert Fraction(99, 100) < dear.rho / Fraction(990_000, NANO) <= 1
    assert Fraction(99, 100) < cheap.rho / Fraction(10_000, NANO) <= 1


@given(
    st.integers(1, 10_000),
    st.integers(1, 1_000),
    small_bounds((1 << 53) - 1),
    st.integers(2, 100 * NANO),
)
def test_scales_are_exact_floats_of_three_lattice_units_or_more(rows, institutions, bounds, rho):
    assume(bounds.weight > 0)
    plan = plan_of(Sum(V), CountRows(), rows=rows, institutions=institutions, rho=rho, bounds={"v": bounds})
    for scale, price in zip(calibrate(plan), plan.prices, strict=True):
        assert scale.sigma >= 3
        assert (scale.sigma * 1024).denominator == 1
        assert Fraction(float(scale.sigma)) == scale.sigma
        assert scale.rho * institutions <= Fraction(price, NANO)
        assert scale.limit < 1 << CELL_BITS


def test_scales_beyond_the_float_grid_are_rounded_up():
    plan = plan_of(Sum(V), rows=9_999, institutions=999, rho=3, bounds={"v": Bounds(0, (1 << 28) + 1)})
    (scale,) = calibrate(plan)
    assert scale.sigma > 1 << 50
    assert Fraction(float(scale.sigma)) == scale.sigma
    assert Fraction(99, 100) < scale.rho * 999 / Fraction(3, NANO) <= 1


def test_three_lattice_units_are_kept_however_much_is_paid():
    (scale,) = calibrate(plan_of(CountRows(), rows=1, institutions=1, rho=100 * NANO))
    assert scale.sigma == 3
    assert scale.rho == Fraction(1, 18)


@pytest.mark.parametrize("term", [V, Times(U, V), Choice(((Missing("u"), V),)), Constant(0)], ids=str)
def test_a_sum_over_nothing_is_refused(term):
    with pytest.raises(Refused):
        calibrate(plan_of(CountRows(), Sum(term), bounds={"v": Bounds(0, 0)}))


# -- room --------------------------------------------------------------------------------------------------------------


@given(plans())
def test_magnitude_has_room_for_all_rows_and_the_noise(plan):
    assume(not weightless(plan))
    room = 1 << magnitude(plan)
    largest = 0
    for scale in calibrate(plan):
        largest = max(
            largest, Fraction(weight(plan, scale.measure) * 2**ROWS_BITS, scale.grain) + NOISE_SIGMAS * scale.sigma
        )
    assert largest < room
    assert room <= 2 * largest + 4
    assert magnitude(plan) <= 61


HUGE = [
    (Sum(V), Bounds(0, 1 << 29), 50_000_000),
    (Sum(V), Bounds(-(1 << 40), 0), NANO),
    (Sum(V), Bounds(0, (1 << 53) - 1), 1),
    (Sum(Times(V, V)), Bounds(-(1 << 30), 1 << 30), NANO),
    (Sum(Times(V, U)), Bounds(-(1 << 30), 1), 100 * NANO),
]


@pytest.mark.parametrize(("measure", "bounds", "rho"), HUGE, ids=str)
@pytest.mark.parametrize("rows", [1, 3, 10_000])
def test_a_sum_that_could_outgrow_61_bits_is_counted_in_the_finest_grain_that_fits(measure, bounds, rho, rows):
    plan = plan_of(measure, rows=rows, institutions=1000, rho=rho, bounds={"v": bounds, "u": bounds})
    (scale,) = calibrate(plan)
    assert scale.grain > 1
    assert scale.grain.bit_count() == 1
    assert scale.limit < 1 << 61
    # half of it would not fit, even without the margin for rounding
    reach = math.isqrt(reach_squared(plan, measure))
    sigma = reach * math.sqrt(1000 * NANO / (2 * rho))
    assert (weight(plan, measure) * 2**32 + 14 * sigma) / (scale.grain / 2) > (1 << 61) * 0.99
    # counting in grains loses next to nothing: the noise is far larger than one of them
    assert scale.sigma > 1 << 20
    # and what each cell that a person touches may move by rounding is priced: two cells at most here
    assert math.isqrt(scale.reach_squared) >= Fraction(reach, scale.grain) + Fraction(
        math.isqrt(min(rows, 2) << 40), 1 << 20
    )
    assert 1 <= Fraction(scale.reach_squared * scale.grain**2, reach_squared(plan, measure)) < 1 + Fraction(1, 1 << 10)


@given(
    st.integers(1, 12),
    st.integers(1 << 30, (1 << 53) - 1),
    st.lists(st.tuples(st.integers(0, 2), st.integers(-1000, 1000)), max_size=12),
    st.lists(st.integers(-(2**80), 2**80), min_size=3, max_size=3),
)
def test_rounding_to_grains_moves_no_neighbours_further_apart_than_is_priced(rows, bound, person, totals):
    plan = plan_of(Sum(V), rows=rows, domain=("x", "y", "z"), bounds={"v": Bounds(-bound, bound)})
    (scale,) = calibrate(plan)
    assume(scale.grain > 1)
    after = list(totals)
    for cell, thousandths in person[:rows]:
        after[cell] += bound * thousandths // 1000
    rounded = [now // scale.grain - then // scale.grain for now, then in zip(after, totals, strict=True)]
    assert sum(move * move for move in rounded) <= scale.reach_squared


def test_rounding_to_grains_can_move_neighbours_further_apart_than_their_values():
    """So that the margin is needed: one unit more in each of three cells is one grain more in each."""
    plan = plan_of(Sum(V), rows=3, domain=("x", "y", "z"), bounds={"v": Bounds(-(1 << 53) + 1, 0)})
    (scale,) = calibrate(plan)
    w, grain = (1 << 53) - 1, scale.grain
    before = [0, 0, 0]
    after = [total - w for total in before]
    assert w % grain == grain - 1
    exact = sum(Fraction(now - then, grain) ** 2 for now, then in zip(after, before, strict=True))
    rounded = sum((now // grain - then // grain) ** 2 for now, then in zip(after, before, strict=True))
    assert exact < rounded


def test_the_widest_sum_that_needs_no_grain():
    plan = plan_of(Sum(V), rows=1, institutions=1, rho=NANO, bounds={"v": Bounds(0, (1 << 29) - 3)})
    assert magnitude(plan) == 61
    assert calibrate(plan)[0].grain == 1
    wider = replace(plan, bounds=(("v", Bounds(0, 1 << 29)),))
    assert (calibrate(wider)[0].grain, magnitude(wider)) == (2, 61)
    assert magnitude(replace(plan, measures=(CountRows(),), bounds=(), prices=())) == 33


def test_true_cells_are_never_shown():
    assert "424242" not in repr(Clipped("0" * 64, (424242,)))


# -- shared noise --------------------------------------------------------------------------------------------------------


@given(st.integers(2, 9), st.integers(1, 4), st.integers(4, NANO), st.data())
def test_shared_noise_covers_whoever_is_left(count, institutions, rho, data):
    colluding = data.draw(st.integers(0, count - 2))
    parties = tuple(f"bank-{i}" for i in range(count))
    plan = plan_of(CountRows(), Sum(V), rho=rho, parties=parties, institutions=institutions, shared=colluding)
    assert plan.counted == count - colluding
    for honest in facing(plan):
        # variances of the honest parties add up; what a sum of discrete Gaussians costs beyond that is set aside
        at = min(institutions, honest)
        for scale, price in zip(calibrate(plan), plan.prices, strict=True):
            assert at * at * Fraction(scale.reach_squared) / (2 * honest * scale.sigma**2) <= Fraction(price - 1, NANO)
    for shared, alone in zip(calibrate(plan), calibrate(replace(plan, shared=None)), strict=True):
        assert 3 <= shared.sigma <= alone.sigma * Fraction(3, 2) + 1


@given(st.integers(3, 9), st.integers(1, 4), st.data())
def test_sharing_saves_as_much_noise_as_the_parties_that_are_counted_on(count, institutions, data):
    colluding = data.draw(st.integers(0, count - 2))
    parties = tuple(f"bank-{i}" for i in range(count))
    plan = plan_of(CountRows(), rho=1_000_000, parties=parties, institutions=institutions, shared=colluding)
    (shared,), (alone,) = calibrate(plan), calibrate(replace(plan, shared=None))
    saved = max(1, Fraction(count - colluding, institutions))
    assert float(alone.sigma**2 / shared.sigma**2) == pytest.approx(float(saved), rel=0.01)
