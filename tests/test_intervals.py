"""Intervals hold what they say: 95 % intervals around real noise cover the truth in at least 94 % of 2,000 answers.

An answer is simulated by one group of a plan: all groups hold the same true cells, so each is a run of its own, through
OpenDP and the analyst's own arithmetic. Coverage is estimated over ten times 2,000 runs: its standard deviation is 0.15 %,
so that coverage of 95 % falls below 94 % with probability 3e-11, a test. The tests of what intervals cannot do leave as much.
"""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import cache
from math import exp, fsum, inf, sqrt

import pytest

from exchange.analyst.reading import parse
from exchange.analyst.tables import rows
from privacy.expression import ByCategory, decimals
from privacy.ledger import Receipt
from privacy.noise import add_noise
from privacy.plan import CountFilled, CountRows, CountValid, Plan, Sum
from privacy.release import Estimate, Release
from privacy.sensitivity import Clipped, calibrate
from privacy.terms import NANO, UNKNOWN, Bounds, Column, Kind, Standard
from tests.reference import cells
from tests.released import cells_of
from valuation.evidence import Measured
from valuation.quality import LEAST_SIGMAS, quality

RUNS = 1_000  # groups of one plan
TIMES = 20
LEAST = 0.94
DOMAIN = tuple(f"v{index}" for index in range(RUNS))
CREDIT = Standard(
    name="credit",
    version=1,
    title="credit",
    unit="person",
    rows_per_unit=3,
    institutions_per_unit=2,
    columns=(
        Column(name="person", kind=Kind.IDENTIFIER, meaning="natural person"),
        Column(name="region", kind=Kind.CATEGORY, meaning="region", domain=DOMAIN),
        Column(name="balance", kind=Kind.MEASURE, meaning="balance", decimals=2, bounds=Bounds(0, 100_000)),
        Column(name="estate", kind=Kind.MEASURE, meaning="all there is", decimals=2, bounds=Bounds(0, (1 << 53) - 1)),
    ),
)


@cache
def asking(figure, *, parties=3, rho=NANO // 10, shared=None):
    """A question for one figure of every region."""
    return parse(
        f"SELECT region, {figure} AS figure FROM credit GROUP BY region",
        standard=CREDIT,
        purpose="credit-risk-statistics",
        parties=tuple(f"bank-{index}" for index in range(parties)),
        rho=rho,
        shared=shared,
    )


def released(plan, row, count):
    """A release in which every group holds ``count`` such rows at the parties together, divided as evenly as it goes."""
    receipt = Receipt(plan.hash, "people", "lender", plan.purpose, charged=plan.rho, left=0)
    parties = len(plan.parties)
    one = cells(plan, [{"person": "someone", "region": DOMAIN[0], "balance": None, "estate": None, **row}], CREDIT)
    first = {
        (measure.key, slot): one[plan.place(measure.key, labels, slot)]
        for measure, labels, slot in plan.cells()
        if DOMAIN[0] in labels
    }
    scales = {scale.measure.key: scale for scale in calibrate(plan)}
    parts = []
    for number in range(parties):
        truth = tuple((first[measure.key, slot] * count + number) // parties for measure, _, slot in plan.cells())
        drawn = add_noise(Clipped(plan.hash, truth), plan, receipt).values
        parts.append(
            [value * scales[measure.key].grain for value, (measure, _, _) in zip(drawn, plan.cells(), strict=True)]
        )
    return Release(
        plan,
        "session",
        tuple(map(sum, zip(*parts, strict=True))),
        {key: parties * (scale.sigma * scale.grain) ** 2 for key, scale in scales.items()},
        {measure.key: decimals(measure.term, CREDIT.decimals) for measure in plan.measures if isinstance(measure, Sum)},
    )


def figures(question, row, count):
    """The figure of every group as the analyst sees it, over twenty releases."""
    for _ in range(TIMES):
        told = rows(question, cells_of(released(question.plan, row, count)), min_group=-inf)
        yield from (shown.figures["figure"] for shown in told.shown if shown.group != (UNKNOWN,))


def coverage(question, row, count, exact):
    """The share of intervals that hold the exact figure; where none is shown, all numbers are."""
    held = [figure.low <= exact <= figure.high for figure in figures(question, row, count)]
    assert len(held) == RUNS * TIMES
    return sum(held) / len(held)


def sigma_of(question, key):
    plan = question.plan
    return next(sqrt(len(plan.parties)) * float(s.sigma * s.grain) for s in calibrate(plan) if s.measure.key == key)


@pytest.mark.parametrize("figure", ["COUNT(*)", "COUNT(DISTINCT person)", "COUNT(balance)"])
@pytest.mark.parametrize("true", [0, 40, 3_000_000])
def test_intervals_of_counts_cover_at_any_size(figure, true):
    assert coverage(asking(figure), {"balance": 5}, true, true) >= LEAST


@pytest.mark.parametrize(("true", "shared"), [(0, None), (12_345, 1), (900_000_000, None)])
def test_intervals_of_sums_cover_at_any_size(true, shared):
    question = asking("SUM(balance)", shared=shared)
    assert coverage(question, {"balance": 1_000}, true, 10 * true) >= LEAST


@pytest.mark.parametrize("true", [0, 7, 1_000_000])
def test_intervals_of_sums_that_are_counted_in_grains_cover(true):
    question = asking("SUM(estate)")
    assert calibrate(question.plan)[0].grain > 1 << 20
    assert coverage(question, {"estate": (1 << 53) - 1}, true, Fraction((1 << 53) - 1, 100) * true) >= LEAST


def test_intervals_of_products_cover():
    """Sums of products keep the decimals of both factors."""
    question = asking("SUM(balance * balance)")
    assert coverage(question, {"balance": 70_000}, 5_000, 700**2 * 5_000) >= LEAST


def test_intervals_of_shared_and_standalone_noise_are_as_long_as_their_noise():
    lengths = {}
    for shared in (None, 0):
        question = asking("COUNT(*)", shared=shared)
        figure = next(iter(figures(question, {}, 40)))
        lengths[shared] = (figure.high - figure.low) / 2
        assert lengths[shared] == pytest.approx(1.96 * sigma_of(question, "count(*)"), rel=0.001)
    # k = 2 of three parties: 2 against 4/3 of what one part costs
    assert lengths[None] / lengths[0] == pytest.approx(sqrt(3 / 2), rel=0.01)


def averages(question, *, sigmas, balance=40_000):
    """Coverage of averages (0 to 1000.00) whose count is so many standard deviations of its noise."""
    count = round(sigmas * sigma_of(question, "count(balance)"))
    return coverage(question, {"balance": balance}, count, Fraction(balance, 100))


@pytest.mark.parametrize(
    ("sigmas", "balance"), [(8, 100), (8, 100_000), (20, 40_000), (300, 40_000), (2, 100_000), (1, 0)]
)
def test_intervals_of_averages_cover_at_any_count(sigmas, balance):
    assert averages(asking("AVG(balance)"), sigmas=sigmas, balance=balance) >= LEAST


def test_an_average_whose_count_does_not_stand_out_has_no_figure_half_of_the_time():
    """Two deviations of its noise: the count's own interval holds 0 in 48 % of all answers. What is shown then covers 90 %."""
    question = asking("AVG(balance)")
    count = round(2 * sigma_of(question, "count(balance)"))
    told = list(figures(question, {"balance": 100_000}, count))
    shown = [figure for figure in told if figure.value is not None]
    # normal law: 48.4 % and at least 90.3 %, standard deviations 0.4 % and 0.3 %
    assert 0.46 < 1 - len(shown) / len(told) < 0.51
    assert sum(figure.low <= 1000 <= figure.high for figure in shown) / len(shown) > 0.89


def exact_coverage(sigma, parties=1):
    """Probability that the interval of a count covers, from the discrete Gaussian's own probabilities."""
    spread = sigma * sqrt(parties)
    half = Estimate(Fraction(0), Fraction(sigma) ** 2 * parties).half_width()
    weights = {x: exp(-x * x / (2 * spread * spread)) for x in range(-int(12 * spread), int(12 * spread) + 1)}
    return fsum(weight for x, weight in weights.items() if abs(x) <= half) / fsum(weights.values())


def test_the_smallest_noise_of_one_party_is_covered_by_93_per_cent():
    """The limit of whole numbers: below six lattice units of noise the 95 % interval of a count may hold 93.5 %.

    Only an answer of one party that is bought at more than reach squared / 72 rho for the measure is that exact; joint
    answers of three have more noise, and 93.9 % at least.
    """
    grid = [3 + step / 64 for step in range(64 * 20)]
    assert exact_coverage(3) == pytest.approx(0.9345, abs=0.0005)
    assert min(map(exact_coverage, grid)) > 0.93
    assert min(exact_coverage(sigma) for sigma in grid if sigma >= 6) >= LEAST
    assert min(exact_coverage(sigma, 3) for sigma in grid) > 0.939


@pytest.mark.parametrize("rows_held", [3_000, 400_000])
def test_intervals_of_quality_cover(rows_held):
    """Completeness 96 %, validity 90 %: 4,000 runs; three tries, since coverage of 95 % falls below 94 % once in 500."""
    measures = (CountRows(), CountFilled("balance"), CountValid("balance"))
    plan = Plan(
        standard="credit/1",
        standard_digest="0" * 64,
        purpose="pledge-valuation",
        parties=("bank-0",),
        rows_per_unit=3,
        institutions_per_unit=2,
        groups=(),
        where=(),
        measures=measures,
        rho=NANO // 10,
    )
    if rows_held < LEAST_SIGMAS * float(calibrate(plan)[0].sigma) * 1.5:
        plan = replace(plan, rho=NANO, prices=())
    wide = replace(plan, groups=(ByCategory("region", DOMAIN),))
    truth = {
        "count(*)": rows_held,
        "filled(balance)": rows_held * 96 // 100,
        "valid(balance)": rows_held * 96 * 90 // 10_000,
    }
    exact = sqrt(truth["valid(balance)"] / truth["count(*)"])  # equal weights: the root of completeness times validity
    variances = {scale.measure.key: scale.sigma**2 for scale in calibrate(plan)}
    receipt = Receipt(wide.hash, "people", "lender", plan.purpose, charged=plan.rho, left=0)

    def covered():
        held = 0
        for _ in range(4):
            drawn = add_noise(Clipped(wide.hash, tuple(truth[m.key] for m, _, _ in wide.cells())), wide, receipt).values
            for index in range(RUNS):
                one = Release(plan, "session", drawn[index::RUNS], variances, {})
                told = quality(Measured.of(one, dataset="accounts", version=1, on=date(2026, 1, 1)))
                held += float(told.low.value) <= exact <= float(told.high.value)
        return held / (4 * RUNS)

    assert any(covered() >= LEAST for _ in range(3))
