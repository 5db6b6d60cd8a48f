"""Intervals hold what they say: 95 % intervals around real noise cover the truth in at least 94 % of 2,000 answers.

An answer is simulated by one group of a plan: all groups hold the same true cells, so each is a run of its own, through
OpenDP and the analyst's own arithmetic. Coverage is estimated over ten times 2,000 runs: its standard deviation is 0.15 %,
so that coverage of 95 % falls below 94 % with probability 3e-11, a test. The tests of what intervals cannot do leave as much.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from fractions import Fraction
from math import exp, fsum, sqrt

import pytest

from exchange.analyst.figures import rows
from exchange.analyst.query import Output, Question
from privacy.ledger import Receipt
from privacy.noise import add_noise
from privacy.plan import CountPresent, CountRows, CountValid, GroupBy, Plan, Sum
from privacy.release import Estimate, Release
from privacy.sensitivity import Clipped, calibrate
from privacy.terms import NANO, Bounds
from valuation.evidence import Measured
from valuation.quality import LEAST_SIGMAS, quality

RUNS = 1_000  # groups of one plan
TIMES = 20
LEAST = 0.94
DOMAIN = tuple(f"v{index}" for index in range(RUNS))
BALANCE = Sum("balance", Bounds(0, 100_000))
COUNT, PRESENT, VALID = CountRows(), CountPresent("balance"), CountValid("balance")


def plan_of(*measures, parties=3, rho=NANO // 10, rows_=3, institutions=2, groups=RUNS, shared=None):
    return Plan(
        standard="credit/1",
        standard_digest="0" * 64,
        purpose="credit-risk-statistics",
        parties=tuple(f"bank-{index}" for index in range(parties)),
        rows_per_unit=rows_,
        institutions_per_unit=institutions,
        groups=(GroupBy("region", DOMAIN[:groups]),),
        where=(),
        measures=measures,
        rho=rho,
        shared=shared,
    )


def released(plan, truth: Mapping[str, int]):
    """A release over all parties: every group has the same true cells, divided over the parties as evenly as it goes."""
    receipt = Receipt(plan.hash, "people", "lender", plan.purpose, charged=plan.rho, left=0)
    count = len(plan.parties)
    parts = []
    for number in range(count):
        cells = tuple((truth[measure.key] + number) // count for measure, _ in plan.cells())
        parts.append(add_noise(Clipped(plan.hash, cells), plan, receipt).values)
    variances = {scale.measure.key: count * scale.sigma**2 for scale in calibrate(plan)}
    return Release(plan, "session", tuple(map(sum, zip(*parts, strict=True))), variances, {"sum(balance)": 2})


def figures(plan, truth, output):
    """The figure of every group as the analyst sees it, over twenty releases; ``None`` where no figure is shown."""
    question = Question(plan, (Output("region", "group", "region"), output), {})
    for _ in range(TIMES):
        told = _indexed(released(plan, truth))
        yield from (row.figures[output.name] for row in rows(question, told, min_group=-(1 << 60)))


class _Indexed(Release):
    """A release whose cells are found at once: the original walks through all of them for each."""

    __slots__ = ("_held",)

    def estimate(self, measure, group=()):
        return self._held[measure, group]


def _indexed(release):
    told = _Indexed(release.plan, release.session, release.totals, release.variances, release.decimals)
    one = replace(release, plan=replace(release.plan, groups=()), totals=())
    held = {}
    for total, (cell, values) in zip(release.totals, release.plan.cells(), strict=True):
        totals = tuple(total if other == cell else 0 for other in release.plan.measures)
        held[cell.key, values] = replace(one, totals=totals).estimate(cell.key)
    object.__setattr__(told, "_held", held)
    return told


def coverage(plan, truth, output, exact):
    shown = [abs(float(f.value - exact)) <= f.half_width() for f in figures(plan, truth, output) if f is not None]
    return sum(shown) / (RUNS * TIMES)


def sigma_of(plan, measure):
    return next(sqrt(len(plan.parties)) * float(s.sigma) for s in calibrate(plan) if s.measure == measure)


@pytest.mark.parametrize("true", [0, 40, 3_000_000])
def test_intervals_of_counts_cover_at_any_size(true):
    plan = plan_of(COUNT)
    assert coverage(plan, {"count(*)": true}, Output("n", "count", "*"), true) >= LEAST


@pytest.mark.parametrize(("true", "shared"), [(0, None), (12_345, 1), (900_000_000_000, None)])
def test_intervals_of_sums_cover_at_any_size(true, shared):
    plan = plan_of(BALANCE, shared=shared)
    covered = coverage(plan, {"sum(balance)": true}, Output("s", "sum", "balance"), Fraction(true, 100))
    assert covered >= LEAST


def averages(plan, *, sigmas, mean=40_000):
    """Coverage of averages (0 to 1000.00) whose count is so many standard deviations of its noise."""
    count = round(sigmas * sigma_of(plan, PRESENT))
    truth = {"count(balance)": count, "sum(balance)": count * mean}
    return coverage(plan, truth, Output("a", "avg", "balance"), Fraction(mean, 100))


@pytest.mark.parametrize(("sigmas", "mean"), [(8, 100), (8, 100_000), (20, 40_000), (300, 40_000)])
def test_intervals_of_averages_cover_where_the_count_stands_out(sigmas, mean):
    assert averages(plan_of(BALANCE, PRESENT), sigmas=sigmas, mean=mean) >= LEAST


def test_intervals_of_averages_are_too_short_where_the_count_does_not_stand_out():
    """The limit of the delta method: an average at the bound, over a count of two deviations of its noise, is covered by 91 %.

    And one in forty has no figure, since its noisy count is not positive. From eight deviations on the interval holds.
    """
    plan = plan_of(BALANCE, PRESENT)
    count = round(2 * sigma_of(plan, PRESENT))
    truth = {"count(balance)": count, "sum(balance)": count * 100_000}
    shown = list(figures(plan, truth, Output("a", "avg", "balance")))
    missing = sum(figure is None for figure in shown) / len(shown)
    # normal law: P(count <= 0) = 2.3 %, P(covered and shown) = 90.5 %, standard deviations 0.1 % and 0.2 %
    assert 0.015 < missing < 0.031
    covered = sum(f is not None and abs(float(f.value - 1000)) <= f.half_width() for f in shown) / len(shown)
    assert 0.89 < covered < 0.92


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
    plan = replace(plan_of(COUNT, PRESENT, VALID, parties=1), purpose="pledge-valuation")
    if rows_held < LEAST_SIGMAS * sigma_of(plan, COUNT) * 1.5:
        plan = replace(plan, rho=NANO)
    truth = {
        "count(*)": rows_held,
        "count(balance)": rows_held * 96 // 100,
        "valid(balance)": rows_held * 96 * 90 // 10_000,
    }
    alone = replace(plan, groups=())
    exact = sqrt(truth["valid(balance)"] / truth["count(*)"])  # equal weights: the root of completeness times validity

    def covered():
        held = 0
        for _ in range(4):
            answer = released(plan, truth)
            for index in range(RUNS):
                totals = tuple(answer.totals[index::RUNS])
                one = Release(alone, "session", totals, answer.variances, {})
                told = quality(Measured.of(one, dataset="accounts", version=1, on=date(2026, 1, 1)))
                held += float(told.low.value) <= exact <= float(told.high.value)
        return held / (4 * RUNS)

    assert any(covered() >= LEAST for _ in range(3))
