"""Real functions for many numbers at once, in double precision, with equal bits on every machine.

IEEE 754 says to the last bit what +, -, *, / and the square root of two doubles are. Logarithms and powers it leaves to each
machine's library, whose last bits differ; so they are made here of those five, element by element. They are off by a few
units in the last place at most. Their exact counterparts are in :mod:`valuation.desk.reals`.
"""

from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

from valuation.desk.reals import ln

Row = NDArray[np.float64]

_LEAST_POWER = 1100.0
"""2 to minus this is 0 in double precision."""

# Wichura 1988, algorithm AS 241 (PPND16): quantiles of the normal distribution, relative error about 1e-16
_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_NEAR_TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


# Hart 1968, function 5666, as West 2005 spells it: the upper tail of the normal distribution, for up to 7 deviations
_FARTHEST = 7.0
_TAIL = (
    (3.52624965998911e-2, 7.00383064443688e-1, 6.37396220353165, 3.3912866078383e1, 1.12079291497871e2,
     2.21213596169931e2, 2.20206867912376e2),
    (8.83883476483184e-2, 1.75566716318264, 1.6064177579207e1, 8.67807322029461e1, 2.96564248779674e2,
     6.37333633378831e2, 7.93826512519948e2, 4.40413735824752e2),
)  # fmt: skip


def halvings(count: Row) -> Row:
    """``2 ** -count`` for ``count >= 0``."""
    count = np.minimum(count, _LEAST_POWER)
    whole = np.floor(count + 0.5)
    return np.ldexp(_horner(_power_series(), whole - count), -whole.astype(np.int64))


def logarithm(values: Row) -> Row:
    """Natural logarithm of values above 0."""
    mantissa, exponent = np.frexp(values)
    small = mantissa < 0.7071
    mantissa = np.where(small, 2.0 * mantissa, mantissa)
    tangent = (mantissa - 1.0) / (mantissa + 1.0)
    square = tangent * tangent
    series = _horner(tuple(1.0 / odd for odd in range(27, 0, -2)), square)
    return (exponent - small) * _log_2() + 2.0 * tangent * series


def normal_quantile(shares: Row) -> Row:
    """How many standard deviations a normal variable stays below with probability ``shares``, in (0, 1)."""
    middle = shares - 0.5
    # each branch is worked out for all shares and kept where it holds; elsewhere it stays at its edge
    room = np.maximum(0.180625 - middle * middle, 0.0)
    centre = middle * _horner(_CENTRE[0], room) / _horner(_CENTRE[1], room)
    depth = np.sqrt(-logarithm(np.minimum(shares, 1.0 - shares)))
    near, far = np.maximum(depth - 1.6, 0.0), np.maximum(depth - 5.0, 0.0)
    distance = np.where(
        depth <= 5.0,
        _horner(_NEAR_TAIL[0], near) / _horner(_NEAR_TAIL[1], near),
        _horner(_FAR_TAIL[0], far) / _horner(_FAR_TAIL[1], far),
    )
    return np.where(np.abs(middle) <= 0.425, centre, np.copysign(distance, middle))


def normal_share(scores: Row) -> Row:
    """The probability that a normal variable stays below ``scores``, in standard deviations; absolute error about 1e-15."""
    size = np.minimum(np.abs(scores), _FARTHEST)
    tail = halvings(size * size / 2.0 / _log_2()) * _horner(_TAIL[0], size) / _horner(_TAIL[1], size)
    return np.where(scores > 0.0, 1.0 - tail, tail)


def _horner(coefficients: tuple[float, ...], at: Row) -> Row:
    """The polynomial with these coefficients, highest power first."""
    value = np.full_like(at, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * at + coefficient
    return value


@cache
def _log_2() -> float:
    return float(ln(Fraction(2)))


@cache
def _power_series() -> tuple[float, ...]:
    """Coefficients of 2^x by Taylor, enough for |x| <= 1/2."""
    logarithm_2, term, found = ln(Fraction(2)), Fraction(1), [1.0]
    for place in range(1, 18):
        term *= logarithm_2 / place
        found.append(float(term))
    return tuple(reversed(found))
