"""Averages, variances, covariances and correlations, from noisy counts and sums of centred values.

Arguments and intervals as ``statistics`` tells for all of them.
"""

from fractions import Fraction
from math import inf, sqrt

from exchange.analyst.noisy import BEYOND, Figure, Noisy, ratio, steady

LITTLE = "little spread beside the noise: the error is larger than shown"
"""Caution of a figure whose columns hardly vary beside the noise."""

_FEW = "few rows beside the noise: the error is larger than shown"


def mean(count: Noisy, total: Noisy, centre: Fraction | float = 0, *, level: float = 0.95) -> Figure:
    """Average of a column in its unit; ``total`` is the sum of x - ``centre`` over the ``count`` rows that have x.

    Interval: Fieller's, which holds at any count. There is no figure where the count does not stand out from 0 at all.
    """
    figure = ratio(total, count, level=level)
    value = None if figure.value is None else figure.value + centre
    return Figure(value, figure.low + float(centre), figure.high + float(centre), figure.caution)


def variance(count: Noisy, total: Noisy, squares: Noisy, *, sample: bool, level: float = 0.95) -> Figure:
    """Variance of a column in its unit squared, from the sums of x - c and of its square, c any centre near the mean.

    ``sample`` divides by count - 1 (VAR_SAMP), else by count (VAR_POP). What noise brought below 0 is shown as 0 with a
    caution. Interval: Fieller's.
    """
    figure = covariance(count, total, total, squares, sample=sample, level=level)
    return figure.within(0.0, inf, caution="the noise is larger than the spread: shown as 0")


def deviation(count: Noisy, total: Noisy, squares: Noisy, *, sample: bool, level: float = 0.95) -> Figure:
    """Standard deviation of a column in its unit: the root of its variance and of the ends of its interval."""
    return variance(count, total, squares, sample=sample, level=level).mapped(sqrt)


def covariance(
    count: Noisy, total_x: Noisy, total_y: Noisy, products: Noisy, *, sample: bool, level: float = 0.95
) -> Figure:
    """Covariance of two columns over the ``count`` rows that have both; totals and products are of centred values.

    Interval: Fieller's. There is no figure where the count does not stand out from 0.
    """
    if count.value <= 1:
        return Figure.missing("what it is divided by does not stand out from noise")
    figure = ratio(comoment(count, total_x, total_y, products), count - 1 if sample else count, level=level)
    return figure if steady(count) or figure.value is None else figure.cautioned(_FEW)


def correlation(
    count: Noisy,
    total_x: Noisy,
    total_y: Noisy,
    squares_x: Noisy,
    squares_y: Noisy,
    products: Noisy,
    *,
    level: float = 0.95,
) -> Figure:
    """Pearson's correlation of two columns over the rows that have both, within [-1, 1].

    Interval: Fieller's of covariance over the root of the variances, cut to [-1, 1]. Fisher's z, made for the error of
    sampling, was measured and not taken: noise does not shrink as the correlation nears 1, as that error does, so that an
    interval by z covers less there.
    """
    if count.value <= 1:
        return Figure.missing("what it is divided by does not stand out from noise").within(-1.0, 1.0)
    x, y = comoment(count, total_x, total_x, squares_x), comoment(count, total_y, total_y, squares_y)
    if x.value <= 0 or y.value <= 0:
        return Figure.missing("the spread of a column does not stand out from noise").within(-1.0, 1.0)
    figure = ratio(comoment(count, total_x, total_y, products), (x * y).sqrt(), level=level)
    figure = figure.within(-1.0, 1.0, caution=BEYOND)
    shaky = figure.value is not None and not (steady(count) and steady(x) and steady(y))
    return figure.cautioned(LITTLE if shaky else "")


def comoment(count: Noisy, total_x: Noisy, total_y: Noisy, products: Noisy) -> Noisy:
    """Sum of products of deviations from the means, without the bias of the product of two noisy totals.

    Noise n of variance s² makes the mean of (t + n)² equal to t² + s²; of two totals, the covariance of their noises.
    """
    return products - total_x * total_y / count + total_x.covariance(total_y) / float(count.value)
