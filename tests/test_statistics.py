"""Statistics from cells: without noise what a database or plain pairs say, with noise intervals that hold.

Coverage is measured over 2,000 answers each, with seeds fixed: 95 % intervals hold the statistic of the very same rows in
at least 94 %. They are not wide either: the mean half-width is at most twice the error that 95 % of answers stay within.
Wider are only intervals that must hold for several values at once, or however rows lie within a bin; each says so here.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count as numbers
from itertools import pairwise
from math import exp, inf, isclose, log, sqrt
from random import Random

import duckdb
import numpy as np
import pytest

from exchange.analyst.moments import correlation, covariance, deviation, mean, variance
from exchange.analyst.noisy import DRAWS, Figure, Noisy, TooNoisy
from exchange.analyst.regression import Moments, regression
from exchange.analyst.statistics import auc, crosstab, psi, quantile, woe_iv

RUNS = 2_000
LEAST = 0.94
FEW_DRAWS = 79  # one in 80 at each end of 2.5 %: intervals of redraws hold at any number that leaves two out
SCALE = 1_000


def least(runs):
    """The share of runs that 95 % intervals must hold in; two deviations below 95 % where runs are fewer than 2,000."""
    return LEAST if runs >= RUNS else 0.95 - 2 * sqrt(0.95 * 0.05 / runs)


def exact(values):
    return [Noisy.constant(value) for value in values]


def noised(values, deviations, random):
    return [
        Noisy.cell(i, value + round(random.gauss(0, deviation)), deviation)
        for i, (value, deviation) in enumerate(zip(values, deviations, strict=True))
    ]


@dataclass(frozen=True)
class Held:
    """What many answers said: how often the interval held, how wide it was beside the error, the mean error."""

    runs: int
    share: float
    width: float
    bias: float

    def enough(self, widest=2.0):
        return self.share >= least(self.runs) and self.width <= widest


def held(truths, deviations, figure, exactly, *, seed=1, runs=RUNS):
    """Measure the intervals of ``figure(cells, run)`` around ``exactly``; widths are in units of the 95 % error."""
    random, inside, widths, errors = Random(seed), 0, [], []
    for run in range(runs):
        told = figure(noised(truths, deviations, random), str(run))
        inside += told.low <= exactly <= told.high
        if told.value is not None and told.high - told.low < inf:
            widths.append((told.high - told.low) / 2)
            errors.append(float(told.value) - exactly)
    usual = sorted(map(abs, errors))[int(0.95 * len(errors))]
    return Held(runs, inside / runs, sum(widths) / len(widths) / usual, sum(errors) / len(errors) / usual)


# -- moments ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs():
    """500 rows of two correlated columns in thousandths, some values missing."""
    random = Random(7)
    rows = []
    for _ in range(500):
        x = random.gauss(120, 30)
        y = 0.4 * x + random.gauss(10, 20)
        rows.append(tuple(None if random.random() < 0.05 else round(v * SCALE) / SCALE for v in (x, y)))
    return rows


@pytest.fixture(scope="module")
def database(pairs):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE pairs (x DOUBLE, y DOUBLE)")
        connection.executemany("INSERT INTO pairs VALUES (?, ?)", pairs)
        yield connection


def ask(database, expression):
    return database.execute(f"SELECT {expression} FROM pairs").fetchone()[0]


def moments_of(columns, centres):
    """Count, totals and products (lower triangle) of centred columns, exactly."""
    rows = [
        tuple(Fraction(v).limit_denominator(SCALE) - c for v, c in zip(row, centres, strict=True)) for row in columns
    ]
    size = len(centres)
    totals = [sum(row[i] for row in rows) for i in range(size)]
    products = [[sum(row[i] * row[j] for row in rows) for j in range(i + 1)] for i in range(size)]
    return len(rows), totals, products


def test_moments_without_noise_are_those_of_a_database(pairs, database):
    one = [(x,) for x, _ in pairs if x is not None]
    count, (total,), ((squares,),) = moments_of(one, (100,))
    cells = exact([count, total, squares])
    assert isclose(mean(*cells[:2], 100).value, ask(database, "avg(x)"))
    assert isinstance(mean(*cells[:2], 100).value, Fraction)
    for sample, name in ((True, "samp"), (False, "pop")):
        assert isclose(variance(*cells, sample=sample).value, ask(database, f"var_{name}(x)"))
        assert isclose(deviation(*cells, sample=sample).value, ask(database, f"stddev_{name}(x)"))
    both = [row for row in pairs if None not in row]
    count, (x, y), ((xx,), (xy, yy)) = moments_of(both, (100, 50))
    told = correlation(*exact([count, x, y, xx, yy, xy]))
    assert isclose(told.value, ask(database, "corr(x, y)"))
    assert isclose(told.low, told.high)
    for sample, name in ((True, "samp"), (False, "pop")):
        told = covariance(*exact([count, x, y, xy]), sample=sample)
        assert isclose(told.value, ask(database, f"covar_{name}(x, y)"))
        assert told.caution == ""


def cells_of_pairs(rows, slope, noise, seed):
    """True cells of two columns in [-1, 1]: count, totals, squares, product, in thousandths and their products."""
    random = Random(seed)
    xs = [round(random.gauss(0.1, 0.4) * SCALE) for _ in range(rows)]
    ys = [round(slope * x + random.gauss(0, noise) * SCALE) for x in xs]
    return [
        rows,
        sum(xs),
        sum(ys),
        sum(x * x for x in xs),
        sum(y * y for y in ys),
        sum(x * y for x, y in zip(xs, ys, strict=True)),
    ]


def spreads(cells):
    rows, x, y, xx, yy, xy = cells
    return xx - x * x / rows, yy - y * y / rows, xy - x * y / rows


def noise_of_pairs(sigma):
    return [sigma, *[sigma * SCALE] * 2, *[sigma * SCALE**2] * 3]


@pytest.mark.parametrize(("rows", "sigma"), [(500, 60), (4_000, 60)])
def test_intervals_of_means_and_variances_hold(rows, sigma):
    cells, noise = cells_of_pairs(rows, 0.5, 0.4, seed=2), noise_of_pairs(sigma)
    xx, _, xy = spreads(cells)
    assert held(cells, noise, lambda c, _: mean(c[0], c[1]), cells[1] / rows).enough(1.2)
    assert held(cells, noise, lambda c, _: variance(c[0], c[1], c[3], sample=False), xx / rows).enough(1.2)
    assert held(cells, noise, lambda c, _: deviation(c[0], c[1], c[3], sample=True), sqrt(xx / (rows - 1))).enough(1.3)
    assert held(cells, noise, lambda c, _: covariance(c[0], c[1], c[2], c[5], sample=True), xy / (rows - 1)).enough(1.2)


@pytest.mark.parametrize(("slope", "noise"), [(0, 0.4), (1, 0.4), (1, 0.06), (1, 0.01)])
def test_intervals_of_correlations_hold_at_any_correlation(slope, noise):
    cells = cells_of_pairs(4_000, slope, noise, seed=3)
    xx, yy, xy = spreads(cells)
    assert held(cells, noise_of_pairs(40), lambda c, _: correlation(*c), xy / sqrt(xx * yy)).enough()


def test_the_bias_of_a_squared_total_is_taken_out():
    """A total's noise of 3,000 adds 3,000² to its square on average: over 100 rows, 900 to a variance that is 100."""
    random, plain, told = Random(1), [], []
    for _ in range(RUNS):
        count, total, squares = noised([100, 20_000, 4_010_000], [0.01, 3_000, 1], random)
        plain.append(float((squares - total * total / count).value) / 100)
        told.append(float(covariance(count, total, total, squares, sample=False).value))
    error = 2 * 20_000 * 3_000 / 100**2 / sqrt(RUNS)
    assert abs(sum(told) / RUNS - 100) < 3 * error
    assert abs(sum(told) / RUNS - sum(plain) / RUNS - 900) < 1


def test_moments_that_do_not_stand_out_say_so():
    few = Noisy.cell(0, 300, 60)
    total, squares = Noisy.cell(1, 100, 60), Noisy.cell(2, 100, 60)
    assert "few rows" in variance(few, total, squares, sample=True).caution
    for count in (Noisy.cell(0, 30, 60), Noisy.cell(0, -30, 60)):
        for told in (
            mean(count, total),
            covariance(count, total, total, squares, sample=False),
            correlation(count, total, total, squares, squares, squares),
        ):
            assert told.value is None
            assert told.caution
        assert deviation(count, total, squares, sample=False) == Figure(None, 0, inf, told_of(count))
    below = variance(Noisy.cell(0, 3_000, 60), total, Noisy.cell(2, -200, 60), sample=True)
    assert (below.value, below.low) == (0, 0)
    assert below.high > 0
    assert "shown as 0" in below.caution
    many = Noisy.cell(0, 3_000, 60)
    no_spread = correlation(many, total, total, squares, Noisy.cell(3, -100, 60), squares)
    assert (no_spread.value, no_spread.low, no_spread.high) == (None, -1, 1)
    beyond = correlation(many, total * 0, total * 0, squares * 8, Noisy.cell(3, 800, 60), Noisy.cell(4, 900, 60))
    assert (beyond.value, beyond.high) == (1, 1)
    assert "beyond" in beyond.caution
    little = correlation(many, total * 0, total * 0, Noisy.cell(2, 400, 60), Noisy.cell(3, 800, 60), squares)
    assert "little spread" in little.caution


def told_of(count):
    return variance(count, Noisy.constant(0), Noisy.constant(1), sample=False).caution


# -- quantiles -------------------------------------------------------------------------------------------------------

EDGES = tuple(Fraction(i, 2) for i in range(41))


def binned(values, edges):
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[bisect_right(edges, value) - 1] += 1
    return counts


def incomes(rows, seed):
    random = Random(seed)
    return sorted(min(random.lognormvariate(1, 0.6), 19.99) for _ in range(rows))


@pytest.mark.parametrize("probability", [0.02, 0.25, 0.5, 0.9, 0.99])
def test_quantiles_without_noise_are_in_the_right_bin(probability):
    values = incomes(3_000, 1)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE incomes AS SELECT unnest(?::DOUBLE[]) AS x", [values])
        sought = connection.execute(f"SELECT quantile_cont(x, {probability}) FROM incomes").fetchone()[0]
    told = quantile(exact(binned(values, EDGES)), EDGES, probability)
    assert told.low <= sought <= told.high
    assert told.low <= told.value <= told.high
    assert told.high - told.low == pytest.approx(0.5)


def test_quantiles_are_linear_within_a_bin():
    told = quantile(exact([10, 30, 10]), [Fraction(0), Fraction(1), Fraction(4), Fraction(5)], 0.5)
    assert told == Figure(2.5, 1, 4)


@pytest.mark.parametrize(
    ("rows", "sigma", "probability"), [(3_000, 20, 0.5), (3_000, 40, 0.9), (400, 30, 0.5), (20_000, 40, 0.02)]
)
def test_intervals_of_quantiles_hold_at_any_number_of_rows(rows, sigma, probability):
    """Wider than twice the usual error by as much as a bin: rows may lie anywhere in it."""
    values = incomes(rows, 4)
    sought = values[round(probability * rows) - 1]
    told = held(binned(values, EDGES), [sigma] * 40, lambda c, _: quantile(c, EDGES, probability), sought, runs=RUNS)
    assert told.enough(3)


def test_a_quantile_between_two_heaps_is_held_although_no_row_is_there():
    counts = [1_000, *[0] * 18, 1_000]
    told = held(counts, [20] * 20, lambda c, _: quantile(c, EDGES[:21], 0.5), 5.0)
    assert told.share >= LEAST


def test_quantiles_of_nothing_are_any_value_of_the_domain():
    told = quantile([Noisy.cell(i, -5, 20) for i in range(40)], EDGES, 0.5)
    assert (told.value, told.low, told.high) == (None, 0, 20)
    assert told.caution
    assert "few rows" in quantile([Noisy.cell(i, 5, 20) for i in range(40)], EDGES, 0.5).caution
    rising = quantile(exact([5, 0, 0, 5]), EDGES[:5], 0.9)
    assert rising.value == 1.9


def test_quantiles_refuse_what_is_no_histogram():
    cells = [Noisy.cell(i, 5, 1) for i in range(3)]
    for bins, edges, probability in (
        (cells, EDGES[:3], 0.5),
        (cells, (*EDGES[:3], EDGES[1]), 0.5),
        (cells, EDGES[:4], 1),
        ([cells[0], cells[1], cells[0]], EDGES[:4], 0.5),
    ):
        with pytest.raises(ValueError):
            quantile(bins, edges, probability)


# -- discrimination --------------------------------------------------------------------------------------------------


def scores(positives, negatives, lead, bins, seed):
    random = Random(seed)
    edges = [-inf, *(6 * i / bins - 3 for i in range(1, bins)), inf]
    return (
        binned([random.gauss(lead, 1) for _ in range(positives)], edges),
        binned([random.gauss(0, 1) for _ in range(negatives)], edges),
    )


def won_pairs(positives, negatives):
    return sum(
        p * n * (1 if i > j else 0.5 if i == j else 0) for i, p in enumerate(positives) for j, n in enumerate(negatives)
    ) / (sum(positives) * sum(negatives))


def largest_gap(positives, negatives):
    return max(
        abs(sum(positives[:i]) / sum(positives) - sum(negatives[:i]) / sum(negatives)) for i in range(len(positives))
    )


def test_discrimination_without_noise_is_that_of_all_pairs():
    positives, negatives = scores(80, 300, 0.8, 12, seed=1)
    rows = [[i for i, n in enumerate(counts) for _ in range(n)] for counts in (positives, negatives)]
    brute = sum((p > n) + (p == n) / 2 for p in rows[0] for n in rows[1]) / (80 * 300)
    told = auc(exact(positives), exact(negatives), seed="x")
    assert isclose(told.auc.value, brute)
    assert isclose(told.auc.low, told.auc.high)
    assert isclose(told.gini.value, 2 * brute - 1)
    assert isclose(told.ks.value, largest_gap(positives, negatives))
    assert told.points[0] == (0, 0)
    assert told.points[-1] == (1, 1)
    under = sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(told.points))
    assert isclose(under, brute)


@pytest.mark.parametrize(
    ("positives", "negatives", "lead", "sigma"), [(1_200, 8_000, 1, 30), (400, 5_000, 1, 30), (2_000, 3_000, 0, 30)]
)
def test_intervals_of_auc_hold_also_where_positives_are_few(positives, negatives, lead, sigma):
    truths = scores(positives, negatives, lead, 10, seed=2)
    told = held(
        [*truths[0], *truths[1]],
        [sigma] * 20,
        lambda c, run: auc(c[:10], c[10:], seed=run, draws=1).auc,
        won_pairs(*truths),
    )
    assert told.enough(1.2)


@pytest.mark.parametrize("lead", [0, 1])
def test_intervals_of_the_largest_distance_hold_and_its_excess_is_gone(lead):
    """Held with more than the level, since the lower end holds for all edges at once."""
    truths = scores(2_000, 4_000, lead, 10, seed=3)
    told = held(
        [*truths[0], *truths[1]],
        [30] * 20,
        lambda c, run: auc(c[:10], c[10:], seed=run, draws=FEW_DRAWS).ks,
        largest_gap(*truths),
        runs=RUNS if lead else RUNS // 2,
    )
    assert told.enough()
    assert abs(told.bias) < (0.25 if lead else 0.4)  # of a distance near 0 some excess stays: it is never below 0


def test_discrimination_needs_both_kinds():
    ten, none = [Noisy.cell(i, 100, 5) for i in range(10)], [Noisy.cell(10 + i, -1, 5) for i in range(10)]
    told = auc(ten, none, seed="x")
    assert (told.auc.value, told.auc.low, told.auc.high) == (None, 0, 1)
    assert (told.gini.low, told.gini.high) == (-1, 1)
    assert told.points == ()
    few = auc(ten, [Noisy.cell(10 + i, 8, 5) for i in range(10)], seed="x")
    assert "few" in few.auc.caution
    assert "few" in few.ks.caution
    for wrong in (([], []), (ten, none[:9]), (ten, ten)):
        with pytest.raises(ValueError):
            auc(*wrong, seed="x")
    one = auc(ten[:1], ten[1:2], seed="x")
    assert one.ks == Figure(0, 0, 0)
    assert isclose(one.auc.value, 0.5)


# -- shares compared -------------------------------------------------------------------------------------------------

GOODS, BADS = (2_000, 2_500, 3_000, 3_500, 4_000), (2_000, 1_200, 800, 600, 500)
LABELS = ("a", "b", "c", "d", "e")


def jeffreys(first, second):
    shares = [(p / sum(first), q / sum(second)) for p, q in zip(first, second, strict=True)]
    return sum((p - q) * log(p / q) for p, q in shares)


def test_weights_of_evidence_without_noise_follow_their_definition():
    told = woe_iv(exact(BADS), exact(GOODS), LABELS, seed="x")
    assert isclose(told.whole.value, jeffreys(GOODS, BADS))
    assert isclose(sum(part.contribution.value for part in told.parts), told.whole.value)
    for part, good, bad in zip(told.parts, GOODS, BADS, strict=True):
        assert isclose(part.log_ratio.value, log(good / sum(GOODS) / (bad / sum(BADS))))
        assert isclose(part.first.value, good / sum(GOODS))
    assert told.parts[-1].log_ratio.value > 0 > told.parts[0].log_ratio.value  # positive where fewer are bad
    assert (told.pooled, told.left_out, told.whole.caution) == ((), (), "")
    same = psi(exact(BADS), exact(GOODS), seed="x")
    assert isclose(same.whole.value, told.whole.value)
    assert [part.label for part in same.parts] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("goods", "bads"), [(GOODS, BADS), ((3_000,) * 5, (990, 1_000, 1_010, 1_000, 1_000))], ids=["strong", "none"]
)
def test_intervals_of_information_values_hold(goods, bads):
    told = held(
        [*bads, *goods],
        [30] * 10,
        lambda c, run: woe_iv(c[:5], c[5:], LABELS, seed=run, draws=FEW_DRAWS).whole,
        jeffreys(goods, bads),
        runs=RUNS if goods is GOODS else RUNS // 2,
    )
    assert told.enough()
    assert abs(told.bias) < 0.25


def test_intervals_of_stability_indices_hold_against_a_reference_without_noise():
    """Four bins against fixed shares: two have moved by a hundredth."""
    expected, actual = (2_500, 2_500, 2_500, 2_500), (2_600, 2_400, 2_550, 2_450)
    told = held(
        [*actual],
        [40] * 4,
        lambda c, run: psi(exact(expected), c, seed=run, draws=FEW_DRAWS).whole,
        jeffreys(actual, expected),
    )
    assert told.enough()


def test_intervals_of_a_group_hold_whether_it_is_large_or_small():
    """Those of a contribution hold with more than the level: both shares must be within their own."""
    goods, bads = (2_000, 5_000, 1_000), (1_500, 900, 120)
    for place in range(3):
        weight = log(goods[place] / sum(goods) / (bads[place] / sum(bads)))
        apart = goods[place] / sum(goods) - bads[place] / sum(bads)

        def part(cells, run, place=place):
            return woe_iv(cells[:3], cells[3:], LABELS[:3], seed=run, draws=79).parts[place]

        told = held([*bads, *goods], [30] * 6, lambda c, run, part=part: part(c, run).log_ratio, weight, runs=RUNS // 4)
        assert told.enough()
        told = held(
            [*bads, *goods],
            [30] * 6,
            lambda c, run, part=part: part(c, run).contribution,
            weight * apart,
            runs=RUNS // 4,
        )
        assert told.share >= 0.95


def test_an_information_value_holds_for_the_grouping_that_noise_let_through():
    """One group stands at the limit: in half of the answers it is left out, and the value is that of the others."""
    bads, goods = (2_000, 1_200, 800, 500, 240), GOODS
    random, inside, left = Random(5), 0, 0
    for run in range(RUNS // 2):
        cells = noised([*bads, *goods], [30] * 10, random)
        told = woe_iv(cells[:5], cells[5:], LABELS, seed=str(run), draws=199)
        shares = [(p / sum(goods), q / sum(bads), label) for p, q, label in zip(goods, bads, LABELS, strict=True)]
        whole = sum((p - q) * log(p / q) for p, q, label in shares if label not in told.left_out)
        inside += told.whole.low <= whole <= told.whole.high
        left += bool(told.left_out)
    assert inside / (RUNS // 2) >= least(RUNS // 2)
    assert 0.4 < left / (RUNS // 2) < 0.6


def test_small_groups_are_listed_and_told_of():
    bads = [Noisy.cell(i, count, 30) for i, count in enumerate((2_000, 220, 230, -5, 1_000))]
    goods = [Noisy.cell(9 + i, count, 30) for i, count in enumerate((4_000, 900, 900, 900, 1_000))]
    told = woe_iv(bads, goods, LABELS, seed="x")
    assert told.pooled == ("b", "c", "d")
    assert told.left_out == ()
    assert "taken together: b, c, d" in told.whole.caution
    assert [part.label for part in told.parts] == list(LABELS)
    assert [bool(part.log_ratio.caution) for part in told.parts] == [False, True, True, True, False]
    assert (told.parts[3].log_ratio.value, told.parts[3].contribution.value) == (None, None)
    lone = woe_iv([*bads[:1], bads[3], bads[4]], [*goods[:1], goods[3], goods[4]], LABELS[:3], seed="x")
    assert (lone.pooled, lone.left_out) == ((), ("b",))
    assert "left out: b" in lone.whole.caution
    none = psi(bads[1:3], goods[1:3], seed="x")
    assert (none.whole.value, none.left_out) == (None, ("1", "2"))
    assert psi(bads[1:4], [Noisy.cell(20 + i, 100, 30) for i in range(3)], seed="x").left_out == ("1", "2", "3")
    unsteady_odds = woe_iv([bads[0], Noisy.cell(30, 40, 30)], goods[:2], LABELS[:2], seed="x").parts[1]
    assert unsteady_odds.log_ratio.high == inf


def test_comparisons_refuse_what_does_not_fit():
    for wrong in ((exact([1]), exact([1, 2]), ["a"]), ([], [], [])):
        with pytest.raises(ValueError, match="groups"):
            woe_iv(*wrong, seed="x")


# -- independence ----------------------------------------------------------------------------------------------------


def chi_square(table):
    across, down = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]
    rows = sum(across)
    return sum(
        (n - r * c / rows) ** 2 / (r * c / rows)
        for row, r in zip(table, across, strict=True)
        for n, c in zip(row, down, strict=True)
    )


def table_of(cells, width):
    return [cells[start : start + width] for start in range(0, len(cells), width)]


def test_a_table_without_noise_has_pearsons_statistic_and_its_p_value():
    table = [[110, 90, 100], [85, 120, 95]]
    told = crosstab([exact(row) for row in table], seed="x", draws=5_000)
    assert isclose(told.chi_square, chi_square(table))
    assert told.freedom == 2
    assert isclose(told.cramers_v.value, sqrt(chi_square(table) / 600))
    assert told.expected[0] == pytest.approx((97.5, 105, 97.5))
    assert told.p_value == pytest.approx(exp(-chi_square(table) / 2), abs=0.015)  # two degrees of freedom


@pytest.mark.parametrize(
    "table", [[[1_000] * 3] * 2, [[1_050, 1_000, 950], [950, 1_000, 1_050]], [[1_500, 1_000, 200], [200, 1_000, 1_500]]]
)
def test_intervals_of_cramers_v_hold(table):
    cells = [n for row in table for n in row]
    told = held(
        cells,
        [40] * 6,
        lambda c, run: crosstab(table_of(c, 3), seed=run, draws=FEW_DRAWS).cramers_v,
        sqrt(chi_square(table) / sum(cells)),
        runs=RUNS if table[0][0] == 1_500 else RUNS // 2,
    )
    assert told.enough()


def test_independent_tables_are_rejected_as_often_as_agreed_and_dependent_ones_always():
    """Rows drawn anew each time: the p-value is about sampling and noise together."""
    random, across, down = Random(11), (0.7, 0.3), (0.6, 0.3, 0.1)
    shares = [a * d for a in across for d in down]
    rejected, found = 0, 0
    for run in range(RUNS):
        drawn = random.choices(range(6), shares, k=1_500)
        cells = noised([drawn.count(i) for i in range(6)], [20] * 6, random)
        rejected += crosstab(table_of(cells, 3), seed=str(run), draws=99).p_value <= 0.05
    for run in range(50):
        cells = noised([700, 200, 20, 100, 400, 80], [20] * 6, random)
        found += crosstab(table_of(cells, 3), seed=str(run), draws=99).p_value <= 0.05
    assert 0.03 <= rejected / RUNS <= 0.07
    assert found == 50


def test_a_column_of_almost_no_rows_does_not_drown_the_others():
    """Weighed by expected counts alone, the noise in cells that expect one row would be all that the statistic sees."""
    random, found = Random(1), 0
    for run in range(50):
        cells = noised([700, 500, 2, 500, 700, 0], [20] * 6, random)
        found += crosstab(table_of(cells, 3), seed=str(run), draws=99).p_value <= 0.05
    assert found >= 48


def test_tables_that_do_not_stand_out_say_so():
    cells = [Noisy.cell(i, n, 40) for i, n in enumerate((1_000, 900, 100, 50))]
    told = crosstab(table_of(cells, 2), seed="x")
    assert told.cramers_v.value is None
    assert told.chi_square is None
    assert told.p_value is not None
    with pytest.raises(TooNoisy):
        crosstab(table_of([Noisy.cell(i, 20, 40) for i in range(4)], 2), seed="x")
    for wrong in ([cells[:2]], [cells[:1], cells[1:2]], [cells[:2], cells[2:3]], [cells[:2], cells[:2]], []):
        with pytest.raises(ValueError):
            crosstab(wrong, seed="x")


# -- regression ------------------------------------------------------------------------------------------------------


def scaled_rows(rows, slopes, noise, alike=0.3, seed=1):
    """Rows in [-1, 1] or so, of thousandths: explanatory columns that are alike to some degree, and the response."""
    random = Random(seed)
    for _ in range(rows):
        shared = random.gauss(0, 1)
        xs = [0.3 * (sqrt(alike) * shared + sqrt(1 - alike) * random.gauss(0, 1)) for _ in slopes]
        y = 0.1 + sum(slope * x for slope, x in zip(slopes, xs, strict=True)) + random.gauss(0, noise)
        yield tuple(round(v * SCALE) for v in (*xs, y))


def moments_with(rows, sigma, random):
    """Moments of columns x = 100 + 20 z, all z with noise of ``sigma`` rows; without noise for 0."""
    size, number = len(rows[0]), numbers()

    def cell(value, scale):
        noise = round(random.gauss(0, sigma * scale)) if sigma else 0
        return Noisy.cell(next(number), Fraction(value + noise, scale), sigma)

    return Moments(
        (*(f"x{i}" for i in range(size - 1)), "y"),
        (Fraction(100),) * size,
        (Fraction(20),) * size,
        cell(len(rows), 1),
        tuple(cell(sum(row[i] for row in rows), SCALE) for i in range(size)),
        tuple(tuple(cell(sum(row[i] * row[j] for row in rows), SCALE**2) for j in range(i + 1)) for i in range(size)),
    )


def remembered(rows):
    """The exact moments once, noise added for each run: adding rows up 2,000 times would take the time of the test."""
    plain = moments_with(rows, 0, None)

    def noisy(sigma, random):
        number = numbers()

        def cell(one):
            return Noisy.cell(next(number), one.value + Fraction(round(random.gauss(0, sigma) * SCALE), SCALE), sigma)

        return Moments(
            plain.names,
            plain.centres,
            plain.scales,
            cell(plain.count),
            tuple(map(cell, plain.totals)),
            tuple(tuple(map(cell, row)) for row in plain.products),
        )

    return plain, noisy


@pytest.mark.parametrize("ridge", [0, 0.05])
def test_a_regression_without_noise_is_that_of_linear_algebra(ridge):
    rows = list(scaled_rows(400, (0.5, -0.7, 0.2), 0.2))
    told = regression(moments_with(rows, 0, None), ridge=ridge, seed="x")
    z = np.array(rows) / SCALE
    own, size = 100 + 20 * z, 3
    centred = z - z.mean(axis=0)
    square = centred[:, :size].T @ centred[:, :size]
    slopes = np.linalg.solve(square + ridge * 400 * np.eye(size), centred[:, :size].T @ centred[:, size])
    intercept = own[:, size].mean() - own[:, :size].mean(axis=0) @ slopes
    assert [one.name for one in told.coefficients] == ["x0", "x1", "x2"]
    assert [one.figure.value for one in told.coefficients] == pytest.approx(list(slopes))
    assert told.intercept.figure.value == pytest.approx(intercept)
    left = own[:, size] - intercept - own[:, :size] @ slopes
    assert told.r_squared.value == pytest.approx(1 - (left @ left) / (400 * own[:, size].var()))
    assert told.rows.value == 400
    assert told.noise_share == 0
    if not ridge:
        design = np.column_stack([np.ones(400), own[:, :size]])
        errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * (left @ left) / (400 - 4))
        shown = [told.intercept.sampling_error, *(one.sampling_error for one in told.coefficients)]
        assert shown == pytest.approx(list(errors))


def test_a_simple_regression_without_noise_is_that_of_a_database(pairs, database):
    both = [row for row in pairs if None not in row]
    count, totals, products = moments_of(both, (100, 50))
    cells = Moments(
        ("x", "y"),
        (Fraction(100), Fraction(50)),
        (Fraction(10), Fraction(5)),
        Noisy.constant(count),
        (Noisy.constant(totals[0] / 10), Noisy.constant(totals[1] / 5)),
        (
            (Noisy.constant(products[0][0] / 100),),
            (Noisy.constant(products[1][0] / 50), Noisy.constant(products[1][1] / 25)),
        ),
    )
    told = regression(cells, seed="x")
    assert isclose(told.coefficients[0].figure.value, ask(database, "regr_slope(y, x)"))
    assert isclose(told.intercept.figure.value, ask(database, "regr_intercept(y, x)"))
    assert isclose(told.r_squared.value, ask(database, "regr_r2(y, x)"))


@pytest.mark.parametrize(
    ("slopes", "sigma", "ridge", "alike", "runs"),
    [((0.5, -0.7), 15, 0, 0.3, RUNS), ((0.5, -0.7), 40, 0.1, 0.9, RUNS // 2), ((0.0, 0.0), 15, 0, 0.3, RUNS // 2)],
    ids=["strong", "ridge", "nothing"],
)
def test_intervals_of_regressions_hold(slopes, sigma, ridge, alike, runs):
    plain, noisy = remembered(list(scaled_rows(5_000, slopes, 0.3, alike)))
    sought = regression(plain, ridge=ridge, seed="x")
    truth = [float(one.figure.value) for one in (sought.intercept, *sought.coefficients)]
    random, inside, r_squared, widths, errors = Random(3), [0] * 3, 0, [0.0] * 3, [[], [], []]
    for run in range(runs):
        told = regression(noisy(sigma, random), ridge=ridge, seed=str(run), draws=FEW_DRAWS)
        for i, one in enumerate((told.intercept, *told.coefficients)):
            inside[i] += one.figure.low <= truth[i] <= one.figure.high
            widths[i] += (one.figure.high - one.figure.low) / 2 / runs
            errors[i].append(abs(one.figure.value - truth[i]))
        r_squared += told.r_squared.low <= sought.r_squared.value <= told.r_squared.high
    assert min(inside) / runs >= least(runs)
    assert r_squared / runs >= least(runs)
    for width, off in zip(widths, errors, strict=True):
        assert width < 1.3 * sorted(off)[int(0.95 * runs)]


def test_columns_that_noise_makes_alike_are_refused_until_a_ridge_parts_them():
    _, noisy = remembered(list(scaled_rows(2_000, (0.5, -0.7), 0.3, alike=0.98)))
    cells = noisy(10, Random(1))
    with pytest.raises(TooNoisy) as told:
        regression(cells, seed="x")
    assert "ridge" in told.value.fix
    with_ridge = regression(cells, ridge=0.1, seed="x")
    assert with_ridge.noise_share < 1 / 8
    assert with_ridge.coefficients[0].figure.caution == ""
    shaky = regression(cells, ridge=0.05, seed="x")
    assert 1 / 8 < shaky.noise_share < 1 / 6
    assert "little spread" in shaky.coefficients[0].figure.caution
    with pytest.raises(TooNoisy):
        regression(noisy(300, Random(1)), seed="x")
    with pytest.raises(ValueError, match="ridge"):
        regression(cells, ridge=-1, seed="x")


def test_a_response_that_noise_hides_has_no_share_explained_and_no_sampling_error():
    plain, _ = remembered(list(scaled_rows(2_000, (0.5,), 0.3)))
    hidden = replace(plain, products=(plain.products[0], (plain.products[1][0], Noisy.cell(0, -5, 10))))
    told = regression(hidden, seed="x")
    assert told.r_squared.value is None
    assert told.coefficients[0].sampling_error is None
    assert told.coefficients[0].figure.value is not None
    faint = replace(hidden, products=(hidden.products[0], (Noisy.cell(1, 1, 5), Noisy.cell(0, 20, 10))))
    shown = regression(faint, seed="x").r_squared
    assert "little spread" in shown.caution
    assert 0 <= shown.low <= shown.value <= shown.high <= 1


def test_moments_have_one_shape():
    plain, _ = remembered(list(scaled_rows(50, (0.5,), 0.3)))
    wrongs = {
        "names": ("y",),
        "centres": plain.centres[:1],
        "totals": plain.totals[:1],
        "products": plain.products[::-1],
    }
    for name, wrong in wrongs.items():
        with pytest.raises(ValueError):
            replace(plain, **{name: wrong})


def test_a_figure_is_the_same_for_the_same_release_and_its_draws_are_enough():
    cells = noised([*BADS, *GOODS], [30] * 10, Random(1))
    once, again, other = (woe_iv(cells[:5], cells[5:], LABELS, seed=seed).whole for seed in ("a", "a", "b"))
    assert once == again
    assert once != other
    assert isclose(once.high - once.low, other.high - other.low, rel_tol=0.2)
    assert DRAWS >= 400
