"""Statistics from noisy cells: quantiles, discrimination, weight of evidence, stability, independence.

Every function here, in ``moments`` and in ``regression`` takes the cells as ``Noisy`` values (one cell each, or cells added up)
and returns figures whose intervals are about the noise in the cells: how far the statistic of the very same rows may lie from
the one shown. How far the rows may lie from the population they come from is another question, answered only where it says
so: by the p-value of a contingency table and by the sampling errors of a regression.

Which interval a statistic has was decided by what holds when measured, at 95 % in at least 94 % of runs
(``tests/test_statistics.py``): Fieller's for what is a ratio, the noise's own normal law turned round for quantiles and the
Kolmogorov-Smirnov distance, redraws for what noise inflates, the delta method for regression coefficients.

``level`` is the probability that an interval holds, in (0, 1). ``seed`` is the text from which noise is redrawn: the
digest of the release, so that everybody who computes a figure from it finds the same interval. ``draws`` is how often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from math import exp, fsum, inf, log, sqrt
from operator import add, mul, truediv

from exchange.analyst.noisy import (
    BEYOND,
    BUDGET,
    DRAWS,
    STEADY,
    Figure,
    Noisy,
    Redraws,
    TooNoisy,
    deviations,
    divergence,
    quantile_of,
    ratio,
    steady,
)
from exchange.analyst.noisy import total as sum_of

# -- quantiles -------------------------------------------------------------------------------------------------------


def quantile(
    bins: Sequence[Noisy], edges: Sequence[Fraction], probability: Fraction | float, *, level: float = 0.95
) -> Figure:
    """Quantile of a column in its unit: ``bins[i]`` counts the rows in [edges[i], edges[i + 1]), all rows in some bin.

    The value is where the rising curve closest to the noisy cumulative counts (isotonic least squares: Barlow and others
    1972) reaches ``probability`` in (0, 1), linear within a bin. The interval ends on edges, so that it holds however rows
    lie within bins: it leaves out what lies before the first edge that may be the quantile, and after the last. An edge may
    not be if the count of rows below it is too far from its share of all rows for its noise; of the edges of the
    quantile's own bin each is wrongly left out with half the probability that the level allows, so the interval holds at
    any number of rows, with more than its level where many neighbouring edges are in doubt.
    Bins share no cell.
    """
    if len(edges) != len(bins) + 1 or any(left >= right for left, right in pairwise(edges)):
        raise ValueError("edges rise, and are one more than the bins")
    if not 0 < probability < 1:
        raise ValueError(f"a probability is between 0 and 1, not {probability}")
    _apart(bins)
    share, reach = float(probability), deviations(level)
    counts = list(accumulate((float(one.value) for one in bins), initial=0.0))
    noises = list(accumulate((one.variance for one in bins), initial=0.0))
    rows, noise = counts[-1], noises[-1]
    # noise of (rows below the edge) - probability * (all rows), whose sign says on which side of the edge the quantile is
    slack = [reach * sqrt((1 - share) ** 2 * below + share**2 * (noise - below)) for below in noises]
    beyond = [count - share * rows for count in counts]
    first = next((i for i, (b, s) in enumerate(zip(beyond[1:], slack[1:], strict=True)) if b + s >= 0), len(bins) - 1)
    last = next(i for i in range(len(bins), -1, -1) if i == 0 or beyond[i - 1] - slack[i - 1] <= 0)
    low, high = edges[min(first, len(bins) - 1)], edges[max(last, 1)]
    if rows <= 0:
        return Figure(None, float(low), float(high), "no rows stand out from noise")
    value = _reaching(share * rows, counts, edges)
    doubt = "" if steady(sum_of(bins)) else "few rows beside the noise"
    return Figure(value, min(float(low), value), max(float(high), value), doubt)


def _reaching(target: float, counts: Sequence[float], edges: Sequence[Fraction]) -> float:
    """Where the rising curve closest to cumulative counts at the edges reaches a count, linear between edges."""
    rising = [0.0, *(min(max(count, 0.0), counts[-1]) for count in _rising(counts[1:-1])), counts[-1]]
    place = next(i for i, count in enumerate(rising[1:]) if count >= target)
    below, above = rising[place], rising[place + 1]
    left, right = float(edges[place]), float(edges[place + 1])
    return left + (right - left) * ((target - below) / (above - below))


def _rising(values: Sequence[float]) -> list[float]:
    """The non-decreasing sequence closest to a sequence in least squares: adjacent violators are pooled."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            added, size = blocks.pop()
            blocks[-1] = (blocks[-1][0] + added, blocks[-1][1] + size)
    return [added / size for added, size in blocks for _ in range(size)]


# -- discrimination --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Discrimination:
    """How well a score tells positives from negatives, counted in score bins (rows of one bin are ties).

    ``auc`` and ``gini`` = 2 AUC - 1 are above 1/2 and 0 where positives have the higher scores; ``ks`` in [0, 1] is the
    largest distance of the two cumulative shares at an edge between bins. ``points`` are (false, true) positive rates from
    (0, 0) to (1, 1), made rising by isotonic least squares: a drawing, without intervals.
    """

    auc: Figure
    gini: Figure
    ks: Figure
    points: tuple[tuple[float, float], ...]


def auc(
    positives: Sequence[Noisy],
    negatives: Sequence[Noisy],
    *,
    seed: str,
    level: float = 0.95,
    draws: int = DRAWS,
) -> Discrimination:
    """AUC, Gini, Kolmogorov-Smirnov distance and ROC points from counts per score bin, in ascending order of the score.

    AUC is the probability that a positive has the higher score, ties within a bin counting half (Mann and Whitney 1947).
    Its interval is Fieller's of the number of such pairs over all pairs. The largest of many noisy distances is too large:
    ``ks`` is what remains after the excess that redraws show, its upper end the largest of the single upper ends, its lower
    end the largest of lower ends that hold for all edges at once; so it holds with more than its level.
    All bins are of cells of their own.
    """
    if len(positives) != len(negatives) or not positives:
        raise ValueError("positives and negatives have the same bins, one at least")
    _apart([*positives, *negatives])
    first, second = sum_of(positives), sum_of(negatives)
    if first.value <= 0 or second.value <= 0:
        nothing = Figure.missing("positives or negatives do not stand out from noise")
        return Discrimination(nothing.within(0.0, 1.0), nothing.within(-1.0, 1.0), nothing.within(0.0, 1.0), ())
    few = "" if steady(first) and steady(second) else "few positives or negatives beside the noise"
    # the pairs won are linear in each bin: their slope is the number of rows of the other kind below, or above
    lower = list(accumulate((one.value for one in negatives), initial=Fraction(0)))
    higher = list(accumulate((one.value for one in reversed(positives)), initial=Fraction(0)))[::-1]
    beaten = [(below + above) / 2 for below, above in pairwise(lower)]
    beating = [(above + below) / 2 for above, below in pairwise(higher)]
    won = sum_of(one * weight for one, weight in zip(positives, beaten, strict=True))
    lost = sum_of(one * weight for one, weight in zip(negatives, beating, strict=True))
    pairs = Noisy(won.value, (won + lost).parts)
    area = ratio(pairs, first * second, level=level).within(0.0, 1.0, caution=BEYOND).cautioned(few)
    redraws = Redraws([*positives, *negatives], seed=seed, draws=draws)
    return Discrimination(
        area,
        area.mapped(lambda share: 2 * share - 1),
        _distance(positives, negatives, level=level, redraws=redraws).cautioned(few),
        _curve(positives, negatives),
    )


def _distance(positives: Sequence[Noisy], negatives: Sequence[Noisy], *, level: float, redraws: Redraws) -> Figure:
    """Kolmogorov-Smirnov distance of two binned samples with its interval."""
    shares = _cumulative([float(one.value) for one in positives]), _cumulative([float(one.value) for one in negatives])
    gaps = [above - below for above, below in zip(*shares, strict=True)]
    largest = max(map(abs, gaps), default=0.0)
    if redraws.silent or not gaps:
        return Figure(largest, largest, largest)
    spreads = [sqrt(sum(pair)) for pair in zip(_jitter(positives), _jitter(negatives), strict=True)]
    size = len(positives)
    rows = fsum(float(one.value) for one in positives), fsum(float(one.value) for one in negatives)
    extremes, excesses = [], []
    for offset in redraws.offsets():
        moves = [
            here - there
            for here, there in zip(
                _moves(offset[:size], shares[0], rows[0]), _moves(offset[size:], shares[1], rows[1]), strict=True
            )
        ]
        extremes.append(max(abs(move) / spread for move, spread in zip(moves, spreads, strict=True)))
        excesses.append(max(map(abs, map(add, gaps, moves))) - largest)
    tail = (1 - level) / 2
    together, alone = quantile_of(extremes, 1 - tail), deviations(level)
    low = max(0.0, *(abs(gap) - together * spread for gap, spread in zip(gaps, spreads, strict=True)))
    high = min(1.0, max(abs(gap) + alone * spread for gap, spread in zip(gaps, spreads, strict=True)))
    value = largest - fsum(excesses) / len(excesses)
    return Figure(min(max(value, low), high), low, high)


def _cumulative(counts: Sequence[float]) -> list[float]:
    """Share of the rows below each edge between bins."""
    *inner, rows = accumulate(counts)
    return [count / rows for count in inner]


def _jitter(bins: Sequence[Noisy]) -> list[float]:
    """Variance of the noise of each cumulative share, to first order."""
    *noises, noise = accumulate(one.variance for one in bins)
    rows = fsum(float(one.value) for one in bins)
    shares = _cumulative([float(one.value) for one in bins])
    return [
        ((1 - share) ** 2 * below + share**2 * (noise - below)) / rows**2
        for share, below in zip(shares, noises, strict=True)
    ]


def _moves(offset: Sequence[float], shares: Sequence[float], rows: float) -> list[float]:
    """How far one redraw moves each cumulative share, to first order."""
    *inner, moved = accumulate(offset)
    return [(below - share * moved) / rows for below, share in zip(inner, shares, strict=True)]


def _curve(positives: Sequence[Noisy], negatives: Sequence[Noisy]) -> tuple[tuple[float, float], ...]:
    rates = []
    for bins in (negatives, positives):
        above = _cumulative([float(one.value) for one in reversed(bins)])
        rates.append([0.0, *(min(max(rate, 0.0), 1.0) for rate in _rising(above)), 1.0])
    return tuple(zip(*rates, strict=True))


# -- shares compared: weight of evidence, information value, population stability -------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One group of two distributions: its share p of the first and q of the second, ln(p / q) and (p - q) ln(p / q).

    ``contribution`` is >= 0. Its value is that of the noisy shares as they are, and its interval that of all shares within
    their own, hence wider than needed. ``log_ratio`` has Fieller's interval.
    """

    label: str
    first: Figure
    second: Figure
    log_ratio: Figure
    contribution: Figure


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two distributions over the same groups, and the sum of (p - q) ln(p / q) over them (Jeffreys' divergence).

    ``parts`` has every group. Into ``whole`` go the groups whose two counts both stand out ``STEADY`` deviations; those of
    ``pooled`` go in as one group, since a logarithm of so few rows would be of their noise; those of ``left_out`` do not go
    in at all, since they do not stand out even together. So ``whole`` is that of the grouping shown, at most that of all
    groups, and the bias that noise gives it is taken out: it is not the sum of the contributions.
    """

    parts: tuple[Part, ...]
    whole: Figure
    pooled: tuple[str, ...]
    left_out: tuple[str, ...]


def woe_iv(
    events: Sequence[Noisy],
    others: Sequence[Noisy],
    labels: Sequence[str],
    *,
    seed: str,
    level: float = 0.95,
    draws: int = DRAWS,
) -> Comparison:
    """Weight of evidence per group and information value, from the counts of events (bad) and others (good).

    WOE = ln(share of the others / share of the events): positive where a group is better than the average, the sign of
    credit scoring (Siddiqi 2006, "Credit Risk Scorecards", chapter 6). IV = sum of (share of the others - share of the events)
    WOE. ``first`` are the others, ``second`` the events. All groups are of cells of their own.
    """
    return _comparison(others, events, labels, level=level, seed=seed, draws=draws)


def psi(
    expected: Sequence[Noisy],
    actual: Sequence[Noisy],
    labels: Sequence[str] | None = None,
    *,
    seed: str,
    level: float = 0.95,
    draws: int = DRAWS,
) -> Comparison:
    """Population stability index: sum over bins of (actual share - expected share) ln(actual / expected) (Siddiqi 2006).

    ``first`` is the actual population, ``second`` the expected one, which may be constants without noise. Without
    ``labels`` bins are numbered from 1. All bins are of cells of their own.
    """
    names = labels if labels is not None else [str(number) for number in range(1, len(expected) + 1)]
    return _comparison(actual, expected, names, level=level, seed=seed, draws=draws)


def _comparison(
    first: Sequence[Noisy], second: Sequence[Noisy], labels: Sequence[str], *, level: float, seed: str, draws: int
) -> Comparison:
    if not len(first) == len(second) == len(labels) or not labels:
        raise ValueError("both distributions have the same groups, one at least, each with its label")
    _apart([*first, *second])
    rows = sum_of(first), sum_of(second)
    parts = tuple(_part(label, p, q, rows, level) for label, p, q in zip(labels, first, second, strict=True))
    if not all(map(steady, rows)):
        return Comparison(parts, Figure.missing("one of the two does not stand out from noise"), (), tuple(labels))
    clear = [steady(p) and steady(q) for p, q in zip(first, second, strict=True)]
    if not any(clear):
        return Comparison(parts, Figure.missing("no group stands out from noise"), (), tuple(labels))
    few = tuple(label for label, stands in zip(labels, clear, strict=True) if not stands)
    kept = [(p, q) for p, q, stands in zip(first, second, clear, strict=True) if stands]
    rest = (
        sum_of(p for p, stands in zip(first, clear, strict=True) if not stands),
        sum_of(q for q, stands in zip(second, clear, strict=True) if not stands),
    )
    together = all(map(steady, rest))
    if together:
        kept, rest = [*kept, rest], (Noisy.constant(0), Noisy.constant(0))
    pooled, left_out = (few, ()) if together else ((), few)
    # a group close to the limit may be in because its noise made it larger: the price is half the miss
    close = any(float(one.value) < (STEADY + 4) * one.deviation for pair in kept for one in pair)
    whole = _jeffreys([*kept, rest], level=(1 + level) / 2 if close else level, seed=seed, draws=draws)
    if pooled:
        whole = whole.cautioned(f"few rows, taken together: {', '.join(pooled)}")
    if left_out:
        whole = whole.cautioned(f"too few rows, left out: {', '.join(left_out)}")
    return Comparison(parts, whole, pooled, left_out)


def _part(label: str, first: Noisy, second: Noisy, rows: tuple[Noisy, Noisy], level: float) -> Part:
    # each share's interval has half the miss, so that both hold together at the level
    shares = [ratio(one, all_rows, level=(1 + level) / 2) for one, all_rows in zip((first, second), rows, strict=True)]
    p, q = (
        ratio(one, all_rows, level=level).within(0.0, 1.0, caution=BEYOND)
        for one, all_rows in zip((first, second), rows, strict=True)
    )
    caution = "" if steady(first) and steady(second) else "few rows beside the noise"
    if first.value <= 0 or second.value <= 0 or p.value is None or q.value is None:
        nothing = Figure.missing(caution)
        return Part(label, p, q, nothing, Figure(None, 0.0, inf, caution))
    odds = ratio(first * rows[1], second * rows[0], level=level).cautioned(caution)
    value = _term(float(p.value), float(q.value))
    low, high = _term_between(*((max(share.low, 0.0), share.high) for share in shares))
    return Part(label, p, q, odds.mapped(_logarithm), Figure(value, min(low, value), max(high, value), caution))


def _logarithm(value: float) -> float:
    return log(value) if value > 0 else -inf


def _term(first: float, second: float) -> float:
    """(p - q) ln(p / q): 0 for equal shares, infinite if just one is 0."""
    if first == second:
        return 0.0
    return (first - second) * log(first / second) if first > 0 and second > 0 else inf


def _term_between(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Least and largest (p - q) ln(p / q) with p and q in two intervals: it grows with the distance on either side."""
    largest = max(_term(first[0], second[1]), _term(first[1], second[0]))
    if first[0] > second[1]:
        return _term(first[0], second[1]), largest
    if second[0] > first[1]:
        return _term(first[1], second[0]), largest
    return 0.0, largest


def _jeffreys(groups: Sequence[tuple[Noisy, Noisy]], *, level: float, seed: str, draws: int) -> Figure:
    """Sum of (p - q) ln(p / q) over all groups but the last, whose rows count in the totals only."""
    size = len(groups)
    inputs = [p for p, _ in groups] + [q for _, q in groups]
    observed = [float(one.value) for one in inputs]
    floors = [max(one.deviation, 1e-9) for one in inputs]
    rows = sum(observed[:size]), sum(observed[size:])

    def statistic(counts: Sequence[float]) -> float:
        above = list(map(max, counts, floors))
        here, there = sum(above[:size]), sum(above[size:])
        pairs = zip(above[: size - 1], above[size:-1], strict=True)
        return sum([(p / here - q / there) * log(p * there / (q * here)) for p, q in pairs])

    middles = [sqrt(p / rows[0] * q / rows[1]) for p, q in zip(observed[: size - 1], observed[size:-1], strict=True)]
    halves = [
        log(p / rows[0] / (q / rows[1])) / 2 for p, q in zip(observed[: size - 1], observed[size:-1], strict=True)
    ]

    def path(distance: float) -> list[float]:
        """Both distributions on the way from their geometric mean to what was observed, and beyond."""
        here = [rows[0] * m * exp(distance * half) for m, half in zip(middles, halves, strict=True)]
        there = [rows[1] * m * exp(-distance * half) for m, half in zip(middles, halves, strict=True)]
        return [*here, observed[size - 1], *there, observed[-1]]

    return divergence(statistic, path, Redraws(inputs, seed=seed, draws=draws), level=level)


# -- independence ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contingency:
    """A contingency table judged: ``expected`` counts under independence, row by row, from the noisy margins.

    ``chi_square`` is Pearson's statistic of the true counts, as estimated without the noise's share; ``freedom`` its degrees
    of freedom. ``cramers_v`` in [0, 1] is the root of chi-square / (rows of the table's data x (the shorter side - 1)), its
    interval for the noise. ``p_value`` is about the population: how probable a table this far from independence is under
    independence, sampling and noise together.
    """

    expected: tuple[tuple[float, ...], ...]
    chi_square: float | None
    freedom: int
    cramers_v: Figure
    p_value: float | None


def crosstab(table: Sequence[Sequence[Noisy]], *, seed: str, level: float = 0.95, draws: int = DRAWS) -> Contingency:
    """Judge the independence of rows and columns of counts; every count is a cell of its own.

    The p-value is by Monte Carlo, as in Gaboardi, Lim, Rogers and Vadhan 2016 ("Differentially private chi-squared
    hypothesis testing", algorithm MCIndep): tables are drawn from the independent model that the noisy margins give, noise is
    added, and margins are fitted anew. The squared distances are weighed by the variance that sampling and noise give them
    together, expected count + noise variance: this needs no least expected count. Sampling is drawn as normal with the
    Poisson variance, which the refitted margins make multinomial. Rows of the data are taken as independent draws.

    Raises:
        TooNoisy: if there are no rows beside the noise.
    """
    height, width = len(table), len(table[0]) if table else 0
    if height < 2 or width < 2 or any(len(row) != width for row in table):
        raise ValueError("a table has two rows and two columns at least, all of one length")
    cells = [cell for row in table for cell in row]
    _apart(cells)
    if not steady(sum_of(cells)):
        raise TooNoisy("the table's rows do not stand out from noise", fix=BUDGET)
    observed = [float(cell.value) for cell in cells]
    expected = _independent(observed, width)
    shown = tuple(tuple(expected[start : start + width]) for start in range(0, height * width, width))
    freedom, least = (height - 1) * (width - 1), min(height, width) - 1
    p_value = _p_value(cells, width, seed=seed, draws=draws)
    margins = [sum_of(row) for row in table] + [sum_of(column) for column in zip(*table, strict=True)]
    if not all(map(steady, margins)):
        nothing = Figure.missing("a row or column of the table does not stand out from noise").within(0.0, 1.0)
        return Contingency(shown, None, freedom, nothing, p_value)

    def statistic(counts: Sequence[float]) -> float:
        """Chi-square over rows and shorter side, as sum n_ij² / (n_i. n_.j) - 1, which takes the fewest steps."""
        across = [sum(counts[start : start + width]) for start in range(0, len(counts), width)]
        down = [sum(counts[start::width]) for start in range(width)]
        products = [one * other for one in across for other in down]
        return (fsum(map(truediv, map(mul, counts, counts), products)) - 1) / least

    def path(distance: float) -> list[float]:
        return [e + distance * (c - e) for c, e in zip(observed, expected, strict=True)]

    squared = divergence(statistic, path, Redraws(cells, seed=seed, draws=draws), level=level).within(0.0, 1.0)
    chi_square = None if squared.value is None else float(squared.value) * fsum(observed) * least
    return Contingency(shown, chi_square, freedom, squared.mapped(sqrt), p_value)


def _independent(counts: Sequence[float], width: int) -> list[float]:
    """The counts that the margins of a table give under independence, row by row."""
    across = [sum(counts[start : start + width]) for start in range(0, len(counts), width)]
    down = [sum(counts[start::width]) for start in range(width)]
    rows = sum(across)
    return [one * other / rows for one in across for other in down]


def _p_value(cells: Sequence[Noisy], width: int, *, seed: str, draws: int) -> float | None:
    """Share of tables under independence, with sampling and noise, that are at least as far from their own fit."""
    noises = [cell.variance for cell in cells]

    def far(counts: Sequence[float]) -> float:
        weights = [
            (max(e, 0.0) + noise, c - e)
            for c, e, noise in zip(counts, _independent(counts, width), noises, strict=False)
        ]
        return sum([gap * gap / weight for weight, gap in weights if weight])

    observed = [float(cell.value) for cell in cells]
    fitted = [max(e, 0.0) for e in _independent(observed, width)]
    model = [Noisy.cell(i, e, sqrt(e + noise)) for i, (e, noise) in enumerate(zip(fitted, noises, strict=True))]
    seen, redraws = far(observed), Redraws(model, seed=f"{seed} under independence", draws=draws)
    # the observed table counts as one of the draws: no p-value is ever 0
    return (1 + sum(far(counts) >= seen for counts in redraws.around(fitted))) / (1 + draws)


# -- arithmetic --------------------------------------------------------------------------------------------------------


def _apart(cells: Sequence[Noisy]) -> None:
    """Refuse figures that share a cell, where the formula takes their noises as independent."""
    numbers = [number for cell in cells for number in cell.parts]
    if len(numbers) != len(set(numbers)):
        raise ValueError("the same cell stands in two places")
