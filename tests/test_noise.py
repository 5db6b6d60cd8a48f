"""The noise is the discrete Gaussian that was paid for: against its probabilities, computed here from the definition.

Statistical tests read fresh randomness from the operating system, so each could fail by chance. Each draws a sample and
asks for ``p > 1e-4``; a sample that fails is drawn anew, three times at most. A sound sampler fails with probability 1e-12
a test, some 1e-10 over all tests of this file; a wrong one fails every time.
"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from opendp.mod import Measurement
from scipy import stats
from test_sensitivity import plan_of

from privacy import noise
from privacy.errors import Mismatch, Refused
from privacy.expression import ByBand, Times, Value
from privacy.ledger import Receipt
from privacy.noise import Noised, add_noise
from privacy.plan import CountRows, CountUnits, Histogram, Sum
from privacy.sensitivity import ROWS_BITS, Clipped, calibrate, exposure, magnitude
from privacy.terms import NANO, Bounds

TRIES = 3
LEVEL = 1e-4
V = Value("v")


def chance(p_value):
    """Whether one of three samples looks like the claim: see the module's text."""
    return any(p_value() > LEVEL for _ in range(TRIES))


def wide_plan(cells, *measures, **kinds):
    return plan_of(*measures, domain=tuple(f"v{i}" for i in range(cells)), **kinds)


def receipt_for(plan):
    return Receipt(plan.hash, "people", "lender", plan.purpose, charged=plan.rho, left=0)


def noised(plan, totals):
    return add_noise(Clipped(plan.hash, tuple(totals)), plan, receipt_for(plan)).values


def drawn(plan, *, rounds=1):
    """Noise alone: cells of zero, at the scale of the plan's one measure."""
    return np.array([noised(plan, [0] * plan.cells_count) for _ in range(rounds)])


def probabilities(sigma, reach):
    """exp(-x^2 / (2 sigma^2)), normalised over all integers that matter, for -reach <= x <= reach and the two tails."""
    far = int(40 * sigma) + 2
    weights = {x: math.exp(-x * x / (2 * sigma * sigma)) for x in range(-far, far + 1)}
    total = math.fsum(weights.values())
    inside = [weights[x] / total for x in range(-reach, reach + 1)]
    tail = math.fsum(weights[x] for x in range(reach + 1, far + 1)) / total
    return [tail, *inside, tail]


def chi_square(sample, sigma):
    """p-value of the sample under the discrete Gaussian, integers within four sigma and two tails as bins."""
    reach = int(4 * sigma)
    expected = np.array(probabilities(sigma, reach)) * sample.size
    observed = np.bincount(np.clip(sample, -reach - 1, reach + 1) + reach + 1, minlength=2 * reach + 3)
    # pool from the left until a bin is worth a Pearson term
    groups = np.searchsorted(np.arange(10, sample.size, 10), np.cumsum(expected))
    pooled = [np.bincount(groups, weights=weights) for weights in (observed, expected)]
    kept = pooled[1] > 0
    return stats.chisquare(pooled[0][kept], pooled[1][kept]).pvalue


# rho of a count with reach 1: sigma = 1 / sqrt(2 rho)
SIGMAS = {3: 100 * NANO, 5: NANO // 50, 17: round(NANO / (2 * 17**2)), 40: round(NANO / 3200)}


def scaled_plan(rho, cells=10_000):
    plan = wide_plan(1000, CountRows(), rows=1, institutions=1, rho=rho)
    assert cells % 1000 == 0
    (scale,) = calibrate(plan)
    return plan, float(scale.sigma)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_noise_is_the_discrete_gaussian(sigma):
    plan, exact = scaled_plan(SIGMAS[sigma])
    assert exact == pytest.approx(sigma, rel=0.01)
    assert chance(lambda: chi_square(drawn(plan, rounds=50).ravel(), exact))


def test_the_test_itself_tells_wrong_noise_apart():
    generator = np.random.default_rng(7)
    right = np.rint(generator.normal(0, 17, 20_000)).astype(int)
    assert chi_square(right, 17.0) > LEVEL
    assert chi_square(np.rint(generator.normal(0, 17 * 1.1, 20_000)).astype(int), 17.0) < LEVEL
    assert chi_square(right + 2, 17.0) < LEVEL
    assert chi_square(np.rint(generator.laplace(0, 17 / math.sqrt(2), 20_000)).astype(int), 17.0) < LEVEL


def test_large_scales_follow_the_normal_law():
    plan = wide_plan(1000, Sum(V), rows=10, institutions=2, rho=NANO // 1000, bounds={"v": Bounds(0, 1 << 20)})
    (scale,) = calibrate(plan)
    # one lattice unit is 2e-9 of sigma here: the discrete law and the normal one are the same to the test
    assert chance(lambda: stats.kstest(drawn(plan, rounds=8).ravel() / float(scale.sigma), "norm").pvalue)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_mean_and_variance_are_those_declared(sigma):
    plan, exact = scaled_plan(SIGMAS[sigma])

    def p_value():
        sample = drawn(plan, rounds=20).ravel()
        mean = sample.mean() / (exact / math.sqrt(sample.size))
        variance = (np.mean(sample.astype(float) ** 2) / exact**2 - 1) / math.sqrt(2 / sample.size)
        return 2 * min(stats.norm.sf(abs(mean)), stats.norm.sf(abs(variance)))

    assert chance(p_value)


def test_cells_measures_and_answers_are_drawn_independently():
    plan = wide_plan(1000, CountRows(), Sum(V), rows=1, institutions=1)
    counts, sums = (float(scale.sigma) for scale in calibrate(plan))
    values = drawn(plan, rounds=10)
    first, second = values[:, :1000] / counts, values[:, 1000:] / sums
    pairs = {
        "neighbouring cells": (first[:, :-1], first[:, 1:]),
        "two measures of one group": (first, second),
        "one cell of two answers": (first[:-1], first[1:]),
        "cells far apart": (first[:, :500], first[:, 500:]),
    }
    for name, (one, other) in pairs.items():
        # correlation of n independent pairs is normal with deviation 1/sqrt(n); 7 deviations happen once in 1e11
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 7 / math.sqrt(one.size), name
    assert len({tuple(row) for row in values.tolist()}) == 10


def test_each_measure_has_its_own_scale_around_its_own_cells():
    plan = wide_plan(1000, CountRows(), Sum(V), rows=1, institutions=1, rho=NANO, bounds={"v": Bounds(0, 1_000)})
    counts, sums = (float(scale.sigma) for scale in calibrate(plan))
    values = np.array(noised(plan, [500_000] * 1000 + [-70_000_000] * 1000), dtype=float)
    assert sums > 200 * counts
    # sample deviations of 1000 draws stray by 2.2 %: 20 % is nine of their deviations
    assert np.std(values[:1000]) == pytest.approx(counts, rel=0.2)
    assert np.std(values[1000:]) == pytest.approx(sums, rel=0.2)
    assert np.mean(values[:1000]) == pytest.approx(500_000, abs=counts)
    assert np.mean(values[1000:]) == pytest.approx(-70_000_000, abs=sums)


def test_an_auditor_finds_the_loss_that_was_paid_for_and_no_more():
    # two neighbouring tables whose count differs by the reach; the best threshold test of the Gaussian is audited
    plan = wide_plan(1000, CountRows(), rows=3, institutions=1, rho=NANO // 2)
    (scale,) = calibrate(plan)
    reach = math.isqrt(scale.reach_squared)
    with_person, without = (np.concatenate([noised(plan, [t] * 1000) for _ in range(20)]) for t in (100 + reach, 100))
    threshold = 100 + reach / 2
    hits, alarms = np.mean(with_person > threshold), np.mean(without > threshold)
    # Gaussian differential privacy at mu = reach / sigma: power at this threshold is Phi(mu / 2) for both errors
    mu = reach / float(scale.sigma)
    spread = 7 * math.sqrt(0.25 / 20_000) + 0.5 * mu / float(scale.sigma)
    assert stats.norm.cdf(mu / 2) - spread < hits < stats.norm.cdf(mu / 2) + spread
    assert stats.norm.sf(mu / 2) - spread < alarms < stats.norm.sf(mu / 2) + spread
    found = (stats.norm.ppf(hits) - stats.norm.ppf(alarms)) ** 2 / 2
    assert 0.85 * plan.rho / NANO < found < 1.15 * plan.rho / NANO


def test_every_cell_of_a_histogram_has_noise_of_its_own():
    band = ByBand("v", tuple(range(11)), tuple(f"b{index}" for index in range(10)))
    plan = wide_plan(
        100,
        CountRows(),
        Histogram(band),
        CountUnits(),
        rows=4,
        institutions=1,
        prices=(10_000_000,) * 3,
        rho=30_000_000,
    )
    counts, people, bands = ("count(*)", "count(distinct unit)", Histogram(band).key)
    scales = {scale.measure.key: float(scale.sigma) for scale in calibrate(plan)}
    assert [measure.key for measure in plan.measures] == [counts, people, bands]
    assert scales[counts] == scales[bands] == pytest.approx(2 * scales[people], rel=0.001)
    values = drawn(plan, rounds=10)
    assert values.shape == (10, 1200)
    parts = {counts: values[:, :100], people: values[:, 100:200], bands: values[:, 200:]}
    for key, part in parts.items():
        # sample deviations of 1000 draws stray by 2.2 %: 20 % is nine of their deviations
        assert np.std(part) == pytest.approx(scales[key], rel=0.2)
    slots = parts[bands].reshape(1000, 10) / scales[bands]
    for one, other in ((slots[:, :-1], slots[:, 1:]), (slots[:-1], slots[1:])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 7 / math.sqrt(one.size)


def test_huge_sums_are_noised_in_grains():
    """Totals are rounded down to grains; a grain more is a lattice unit more, and what is clamped is the room in grains."""
    plan = wide_plan(1000, Sum(V), rows=2, institutions=1, rho=NANO, bounds={"v": Bounds(-(1 << 40), 1 << 40)})
    (scale,) = calibrate(plan)
    assert scale.grain > 1
    grain, sigma = scale.grain, float(scale.sigma)

    def centre(total):
        # the mean of 1000 draws strays by 3 % of sigma: a third is ten of its deviations
        return pytest.approx(np.mean(np.array(noised(plan, [total] * 1000), dtype=float)), abs=sigma / 3)

    many = 10 * round(sigma)
    assert many == centre(many * grain)
    assert -many == centre(-many * grain)
    assert scale.room == centre(1 << 200)
    assert -scale.room == centre(-(1 << 200))
    assert (1 << 72) // grain == scale.room == (1 << 40 << ROWS_BITS) // grain


def test_rounding_goes_down_by_less_than_a_grain(monkeypatch):
    monkeypatch.setattr(noise, "_mechanism", lambda _: list)
    plan = plan_of(Sum(V), bounds={"v": Bounds(0, 1 << 40)}, domain=("w", "x", "y", "z"))
    grain = calibrate(plan)[0].grain
    assert noised(plan, (grain - 1, grain, -1, -grain)) == (0, 1, -1, -1)


# -- what belongs together ---------------------------------------------------------------------------------------------

PLAN = plan_of(CountRows(), Sum(V))
TRUE = Clipped(PLAN.hash, (1, 2, 3, 4))
OTHER = replace(PLAN, rho=PLAN.rho + 1, prices=())


@pytest.mark.parametrize(
    ("clipped", "plan", "receipt"),
    [
        (TRUE, PLAN, receipt_for(OTHER)),
        (TRUE, OTHER, receipt_for(PLAN)),
        (TRUE, OTHER, receipt_for(OTHER)),
        (Clipped(OTHER.hash, TRUE.totals), PLAN, receipt_for(PLAN)),
        (Clipped(PLAN.hash, TRUE.totals[:3]), PLAN, receipt_for(PLAN)),
        (Clipped(PLAN.hash, (*TRUE.totals, 5)), PLAN, receipt_for(PLAN)),
        (Clipped(PLAN.hash, ()), PLAN, receipt_for(PLAN)),
        (Clipped("", TRUE.totals), PLAN, replace(receipt_for(PLAN), plan_hash="")),
    ],
    ids=["receipt", "plan", "cells", "other cells", "a cell short", "a cell long", "no cells", "no hashes"],
)
def test_cells_plan_and_charge_must_belong_together(clipped, plan, receipt):
    with pytest.raises(Mismatch):
        add_noise(clipped, plan, receipt)


def test_what_belongs_together_is_noised():
    told = add_noise(TRUE, PLAN, receipt_for(PLAN))
    assert isinstance(told, Noised)
    assert told.plan_hash == PLAN.hash
    assert len(told.values) == 4
    assert all(isinstance(value, int) for value in told.values)


def test_totals_are_clamped_to_the_room_of_their_rows():
    plan = plan_of(CountRows(), Sum(V), bounds={"v": Bounds(-5, 3)})
    huge = 1 << 200
    values = noised(plan, (huge, -huge, huge, -huge))
    room = 1 << ROWS_BITS
    for value, centre in zip(values, (room, -room, 5 * room, -5 * room), strict=True):
        assert abs(value - centre) < 1_000_000
        assert abs(value) < 1 << magnitude(plan)


def test_noise_is_clamped_to_the_magnitude(monkeypatch):
    monkeypatch.setattr(
        noise, "_mechanism", lambda _: lambda part: [(1 << 62) * (1 if total else -1) for total in part]
    )
    plan = plan_of(CountRows())
    assert noised(plan, (1, 0)) == ((1 << magnitude(plan)) - 1, 1 - (1 << magnitude(plan)))


def test_opendp_confirms_every_price():
    for rho in (1, 1_000, NANO // 20, NANO, 33 * NANO):
        measures = (CountRows(), Sum(V), Sum(Times(V, V)))
        told = plan_of(*measures, rows=7, institutions=3, rho=3 * rho, bounds={"v": Bounds(-12_345, 678)})
        for scale in calibrate(told):
            price = Fraction(noise._mechanism(scale).map(math.isqrt(scale.reach_squared)))
            assert price <= scale.rho * (1 + Fraction(1, 2**40))
            assert price >= scale.rho * (1 - Fraction(1, 2**40))
            assert price * exposure(told) <= Fraction(rho, NANO) * (1 + Fraction(1, 2**40))


def test_opendp_confirms_the_whole_part_of_a_reach_that_is_a_root():
    """People in three groups are three units apart squared: OpenDP measures distances in whole units."""
    plan = plan_of(CountUnits(), rows=3, domain=("x", "y", "z"), institutions=1)
    (scale,) = calibrate(plan)
    assert scale.reach_squared == 3
    price = Fraction(noise._mechanism(scale).map(1))
    assert price == pytest.approx(scale.rho / 3, rel=2**-40)
    assert scale.rho <= Fraction(plan.rho, NANO)


def test_a_price_that_opendp_does_not_confirm_is_refused(monkeypatch):
    (scale,) = calibrate(plan_of(CountRows()))
    noise._mechanism(scale)
    dearer = Fraction(10001, 10000)
    monkeypatch.setattr(Measurement, "map", lambda self, reach: float(scale.rho * dearer))
    with pytest.raises(Refused):
        noise._mechanism(scale)


def test_noised_cells_are_not_shown():
    assert "424242" not in repr(Noised("0" * 64, (424242,)))
