"""Real functions for the desk: exact numbers in, 60 significant digits out, equal on every machine.

Methods compute in ``Fraction``; only what has no exact value (roots, logarithms, exponentials, the normal distribution)
passes through here. 60 digits leave room for cancellation: inputs are tame (see :mod:`valuation.desk.contract`), and
differences that would cancel, such as ``1 - exp(-x)`` for a small x, have functions of their own. Nothing reads the
thread's own decimal context. Sources: Abramowitz and Stegun 1964, 26.2.10, 26.2.11 and 26.2.14 for the normal
distribution; Drezner and Wesolowsky 1990 for the bivariate one.
"""

from collections.abc import Iterable
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation
from fractions import Fraction
from functools import cache, lru_cache
from math import asin, cos, fsum, isqrt, pi, sin
from math import exp as exp_float
from statistics import NormalDist

DIGITS = 60
"""Significant digits of a real number inside a method."""

LARGEST = 7000
"""``exp`` of more than this (about 10^3040) is no figure; of less than its negative it counts as 0."""

_EXACT_BITS = 4096
"""A power with an integer exponent stays exact while it needs no more than this; beyond it is rounded."""

_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798")
_ZERO, _HALF, _ONE = Fraction(0), Fraction(1, 2), Fraction(1)
_START = NormalDist()


class TooLarge(ArithmeticError):
    """A value beyond 10^3000 came up: no figure of a valuation."""


@cache
def working(digits: int) -> Context:
    """A decimal context of ``digits`` significant digits with room for any exponent; never the thread's own."""
    traps = [DivisionByZero, InvalidOperation]
    return Context(prec=digits, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=traps)


def _decimal(value: Fraction, digits: int = DIGITS) -> Decimal:
    return working(digits).divide(Decimal(value.numerator), Decimal(value.denominator))


def _leading_zeros(value: Fraction) -> int:
    """How many digits are lost when ``1`` and ``value`` are added: about ``-log10|value|``, at least 0."""
    return max(0, (value.denominator.bit_length() - value.numerator.bit_length()) * 3 // 10 + 1)


def rounded(value: Fraction) -> Fraction:
    """``value`` to 60 significant digits, half-even: what keeps long sums and products short."""
    return Fraction(_decimal(value))


def total(values: Iterable[Fraction]) -> Fraction:
    """Exact sum; 0 for none."""
    return sum(values, _ZERO)


def ln(value: Fraction) -> Fraction:
    """Natural logarithm of ``value > 0``, accurate in relative terms near 1, too."""
    if value <= 0:
        raise TooLarge("no logarithm")
    if value == 1:
        return _ZERO
    digits = DIGITS + _leading_zeros(value - 1)
    return rounded(Fraction(working(digits).ln(_decimal(value, digits))))


def exp(value: Fraction) -> Fraction:
    """Exponential; 0 below -7000, ``TooLarge`` above 7000."""
    if value > LARGEST:
        raise TooLarge("no figure is this large")
    if value < -LARGEST:
        return _ZERO
    # an exponent of 4 digits before the point needs 4 more behind it
    return rounded(Fraction(working(DIGITS + 5).exp(_decimal(value, DIGITS + 5))))


def exp_less_1(value: Fraction) -> Fraction:
    """``exp(value) - 1``, accurate in relative terms near 0, too."""
    if value == 0:
        return _ZERO
    lost = _leading_zeros(value)
    if lost > DIGITS:
        return rounded(value + value * value / 2)
    if not -LARGEST <= value <= LARGEST:
        return exp(value) - 1
    digits = DIGITS + 5 + lost
    return rounded(Fraction(working(digits).exp(_decimal(value, digits))) - 1)


def mean_decay(value: Fraction) -> Fraction:
    """``(1 - exp(-x)) / x``, and 1 at x = 0: the mean of ``exp(-x t)`` over t in [0, 1]."""
    return _ONE if value == 0 else rounded(-exp_less_1(-value) / value)


def root(value: Fraction) -> Fraction:
    """Square root of ``value >= 0``; exact where it is rational."""
    over, under = isqrt(value.numerator), isqrt(value.denominator)
    if over * over == value.numerator and under * under == value.denominator:
        return Fraction(over, under)
    return rounded(Fraction(working(DIGITS).sqrt(_decimal(value))))


def power(base: Fraction, exponent: Fraction | int) -> Fraction:
    """``base ** exponent`` for ``base > 0``; exact for integer exponents while that stays short."""
    exponent = Fraction(exponent)
    return base**exponent.numerator if _stays_short(base, exponent) else exp(exponent * ln(base))


def power_less_1(base: Fraction, exponent: Fraction | int) -> Fraction:
    """``base ** exponent - 1``, accurate in relative terms near 0, too; exact as :func:`power` is."""
    exponent = Fraction(exponent)
    return base**exponent.numerator - 1 if _stays_short(base, exponent) else exp_less_1(exponent * ln(base))


def _stays_short(base: Fraction, exponent: Fraction) -> bool:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    return exponent.denominator == 1 and abs(exponent.numerator) * bits <= _EXACT_BITS


def discount(rate: Fraction, years: Fraction | int) -> Fraction:
    """``(1 + rate) ** -years``, annual compounding on the effective ``rate > -1``."""
    return rounded(power(1 + rate, -Fraction(years)))


def halved(years: Fraction, half_life: Fraction) -> Fraction:
    """``2 ** (-years / half_life)``: what is left after ``years``; exact where it is rational."""
    return power(Fraction(2), -years / half_life)


def annuity(years: int, rate: Fraction) -> Fraction:
    """A(n, i): value of 1 at the end of each of ``years`` periods; ``rate > 0``, any number of years."""
    return rounded(-power_less_1(1 + rate, -years) / rate)


# --- the normal distribution -------------------------------------------------------------------------------------------


def density(value: Fraction) -> Fraction:
    """Standard normal density."""
    return rounded(exp(-value * value / 2) / root_of_two_pi())


@cache
def root_of_two_pi() -> Fraction:
    """Square root of 2 pi."""
    return Fraction(working(DIGITS + 10).sqrt(working(DIGITS + 10).multiply(_PI, Decimal(2))))


def below(value: Fraction) -> Fraction:
    """Standard normal distribution function; far tails keep their relative accuracy on the left."""
    if value > 0:
        return rounded(1 - below(-value))
    if value == 0:
        return _HALF
    if value < -118:  # exp(-118^2 / 2) is beyond what exp keeps
        return _ZERO
    return _tail_by_series(-value) if value > -7 else _tail_by_fraction(-value)


def _tail_by_series(distance: Fraction) -> Fraction:
    """1/2 - density * sum of x^(2n+1) / (1 3 5 ... (2n+1)); up to 12 digits cancel at distance 7."""
    work = working(DIGITS + 20)
    x = _decimal(distance, DIGITS + 20)
    square = work.multiply(x, x)
    term = series = x
    odd = 1
    while term > 0 and term.adjusted() > series.adjusted() - DIGITS - 20:
        odd += 2
        term = work.divide(work.multiply(term, square), Decimal(odd))
        series = work.add(series, term)
    height = work.divide(
        work.exp(work.divide(square.copy_negate(), Decimal(2))), work.sqrt(work.multiply(_PI, Decimal(2)))
    )
    return rounded(_HALF - Fraction(work.multiply(height, series)))


def _tail_by_fraction(distance: Fraction) -> Fraction:
    """Density / (x + 1/(x + 2/(x + 3/(x + ...)))), cut where 60 digits no longer change."""
    work = working(DIGITS + 10)
    x = _decimal(distance, DIGITS + 10)
    depth = int(160 / (2 * float(distance))) ** 2 + 60
    denominator = x
    for level in range(depth, 0, -1):
        denominator = work.add(x, work.divide(Decimal(level), denominator))
    return rounded(density(distance) / Fraction(denominator))


def quantile(probability: Fraction) -> Fraction:
    """Inverse of :func:`below` for a probability in (0, 1): a start in double precision, three steps of Halley's method."""
    if probability == _HALF:
        return _ZERO
    if probability > _HALF:
        return -quantile(1 - probability)
    return _lower_quantile(probability)


@lru_cache(maxsize=64)
def _lower_quantile(probability: Fraction) -> Fraction:
    point = Fraction(_START.inv_cdf(float(probability)))
    for _ in range(3):
        miss = (below(point) - probability) / density(point)
        point = rounded(point - miss / (1 + point * miss / 2))
    return point


# --- quadrature, in double precision: the methods that need it agree to 1e-6, these sums to about 1e-14 -----------------


@cache
def gauss_legendre(count: int) -> tuple[tuple[float, float], ...]:
    """Nodes and weights of Gauss and Legendre on [-1, 1], by Newton's method on the Legendre polynomial."""
    found = []
    for index in range(count):
        node = cos(pi * (index + 0.75) / (count + 0.5))
        slope = 1.0
        for _ in range(8):
            before, now = 1.0, node
            for degree in range(2, count + 1):
                before, now = now, ((2 * degree - 1) * node * now - (degree - 1) * before) / degree
            slope = count * (node * now - before) / (node * node - 1)
            node -= now / slope
        found.append((node, 2 / ((1 - node * node) * slope * slope)))
    return tuple(found)


def panels(low: float, high: float, count: int) -> list[tuple[float, float]]:
    """Nodes and weights on ``[low, high]``: ``count`` equal panels of 20 points."""
    half = (high - low) / count / 2
    return [
        (low + (2 * panel + 1 + node) * half, weight * half)
        for panel in range(count)
        for node, weight in gauss_legendre(20)
    ]


def jointly_below(one: Fraction, other: Fraction, correlation: Fraction) -> Fraction:
    """Probability that two standard normals are below their ``one`` and ``other`` probability's quantile at once.

    ``one`` and ``other`` are probabilities in (0, 1), ``correlation`` in [0, 1). The excess over independence is
    1/(2 pi) times the integral over theta in [0, asin(correlation)] of exp(-(a^2 + b^2 - 2ab sin theta)/(2 cos^2 theta)).
    """
    if correlation == 0:
        return one * other
    a, b = float(quantile(one)), float(quantile(other))
    squares, product = a * a + b * b, 2 * a * b
    terms = [
        weight * exp_float(-(squares - product * sin(angle)) / (2 * cos(angle) ** 2))
        for angle, weight in panels(0.0, asin(float(correlation)), 4)
    ]
    return one * other + Fraction(fsum(terms) / (2 * pi))
