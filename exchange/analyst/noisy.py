"""Numbers that know how each cell's noise moves them, and the intervals that follow from it.

An answer is a vector of cells, each with independent noise of known deviation. A figure computed from them carries, per
cell, how far one deviation of that cell's noise moves it; so figures that share cells are correlated as they must be, and
the error of sums, ratios and products follows to first order (the delta method: Oehlert 1992, "A note on the delta
method"). A ratio has an interval that needs no first order in its denominator (Fieller 1954, "Some problems in interval
estimation"). A figure that noise makes larger on average, like a divergence near 0, has one by redrawing the noise.

All of this is about the noise alone: the rows are what they are. Nothing here reads, knows a clock or asks the system for
randomness: redraws come from a text, so that the same release gives the same interval everywhere.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import shake_256
from math import floor, fsum, inf, log, sqrt
from operator import add, mul
from statistics import NormalDist
from struct import iter_unpack

from privacy.errors import PrivacyError

STEADY = 8
"""Deviations of its noise that a count must reach for first-order intervals of what is divided by it to hold."""

DRAWS = 599
"""Redraws of the noise behind an interval: the observed figure is then one of 600, 15 of which a 95 % interval leaves out at
each side. Which 2.5 % these are hangs on the draws: give or take 0.6 %."""

BEYOND = "noise carried it beyond its limit: shown there"
"""Caution of a figure that is shown at the end of what it can be."""

BUDGET = "ask with a larger budget, of more rows or for fewer groups"
"""The way out where rows do not stand out from noise."""


class TooNoisy(PrivacyError):
    """The cells do not stand out from their noise far enough for the figure asked for to mean anything."""

    code = "TS-FIG-001"


@dataclass(frozen=True, slots=True)
class Noisy:
    """A value with noise: ``parts`` says, by cell number, how far one deviation of that cell's noise moves it.

    The value is exact (``Fraction``) as long as it comes from integers and fractions by + - * / and whole powers, else a
    float. Parts are floats in the value's unit, to first order; a cell that is not among them does not move the value.

    Division by exactly 0, the logarithm of what is not positive and the square root of what is below 0 raise
    ``TooNoisy``. Whether a denominator stands out enough to be divided by is for the caller to ask: ``steady``.
    """

    value: Fraction | float
    parts: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def cell(cls, number: int, value: Fraction | float, deviation: float) -> "Noisy":
        """One cell of the answer by its number; ``deviation`` >= 0 is that of its noise, in the value's unit."""
        return cls(_exact(value), {number: float(deviation)} if deviation else {})

    @classmethod
    def constant(cls, value: Fraction | float) -> "Noisy":
        """A value without noise."""
        return cls(_exact(value))

    @property
    def variance(self) -> float:
        """Variance of the noise to first order, in the value's unit squared."""
        return fsum(part * part for part in self.parts.values())

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise to first order, in the value's unit."""
        return sqrt(self.variance)

    def covariance(self, other: "Noisy") -> float:
        """Covariance of the noises of two values to first order: not 0 only through cells that both have."""
        return fsum(part * other.parts[number] for number, part in self.parts.items() if number in other.parts)

    def half_width(self, level: float = 0.95) -> float:
        """Half the width of the symmetrical interval that holds the true value with probability ``level`` in (0, 1)."""
        return deviations(level) * self.deviation

    def __add__(self, other: "Noisy | Fraction | float") -> "Noisy":
        if isinstance(other, Noisy):
            return Noisy(self.value + other.value, _mixed(self.parts, 1.0, other.parts, 1.0))
        return Noisy(self.value + _exact(other), self.parts)

    __radd__ = __add__

    def __neg__(self) -> "Noisy":
        return self * -1

    def __sub__(self, other: "Noisy | Fraction | float") -> "Noisy":
        if isinstance(other, Noisy):
            return Noisy(self.value - other.value, _mixed(self.parts, 1.0, other.parts, -1.0))
        return Noisy(self.value - _exact(other), self.parts)

    def __rsub__(self, other: Fraction | float) -> "Noisy":
        return -self + other

    def __mul__(self, other: "Noisy | Fraction | float") -> "Noisy":
        if isinstance(other, Noisy):
            return Noisy(
                self.value * other.value, _mixed(self.parts, float(other.value), other.parts, float(self.value))
            )
        factor = float(other)
        return Noisy(self.value * _exact(other), {number: factor * part for number, part in self.parts.items()})

    __rmul__ = __mul__

    def __truediv__(self, other: "Noisy | Fraction | float") -> "Noisy":
        if not isinstance(other, Noisy):
            other = Noisy.constant(other)
        if not other.value:
            raise TooNoisy("division by 0", fix="ask with a larger budget or for larger groups")
        ratio, by = self.value / other.value, float(other.value)
        return Noisy(ratio, _mixed(self.parts, 1 / by, other.parts, -float(ratio) / by))

    def __rtruediv__(self, other: Fraction | float) -> "Noisy":
        return Noisy.constant(other) / self

    def __pow__(self, power: int) -> "Noisy":
        if power < 0:
            return 1 / self**-power
        if power == 0:
            return Noisy.constant(1)
        return self._moved(self.value**power, power * float(self.value) ** (power - 1))

    def sqrt(self) -> "Noisy":
        """Square root, as a float.

        Raises:
            TooNoisy: if the value is below 0, or 0 with noise, where the root has no first order.
        """
        if self.value < 0 or (not self.value and self.parts):
            raise TooNoisy("the root of a value that noise brought to 0 or below", fix="ask with a larger budget")
        root = sqrt(self.value)
        return self._moved(root, 0.5 / root if root else 0.0)

    def log(self) -> "Noisy":
        """Natural logarithm, as a float.

        Raises:
            TooNoisy: if the value is not positive.
        """
        if self.value <= 0:
            raise TooNoisy("the logarithm of a value that noise brought to 0 or below", fix="ask with a larger budget")
        return self._moved(log(self.value), 1 / float(self.value))

    def _moved(self, value: Fraction | float, slope: float) -> "Noisy":
        return Noisy(value, {number: slope * part for number, part in self.parts.items()})


Cells = Callable[[str, tuple[str, ...], int], Noisy]
"""Reads one cell: measure key, labels of the group in plan order, number of the band."""


def total(terms: Iterable[Noisy]) -> Noisy:
    """Sum of any number of noisy values, in time that grows with their parts only; of none: 0."""
    values: list[Fraction | float] = []
    parts: dict[int, float] = {}
    for term in terms:
        values.append(term.value)
        for number, part in term.parts.items():
            parts[number] = parts.get(number, 0.0) + part
    if all(isinstance(value, Fraction) for value in values):
        return Noisy(sum(values, Fraction(0)), parts)
    return Noisy(fsum(values), parts)


def steady(of: Noisy) -> bool:
    """Whether a value is positive and stands out ``STEADY`` deviations of its noise from 0, as a denominator must."""
    return of.value > 0 and float(of.value) >= STEADY * of.deviation


def deviations(level: float) -> float:
    """How many deviations a symmetrical normal interval of this level extends to each side."""
    if not 0 < level < 1:
        raise ValueError(f"a level is between 0 and 1, not {level}")
    return NormalDist().inv_cdf((1 + level) / 2)


# -- what is shown ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """One statistic as it is shown: ``low`` to ``high`` holds the true value at the level it was made for.

    ``value`` is ``None`` if noise leaves nothing to show; then the interval, possibly of all numbers, is all that is
    known. ``caution`` says what speaks against using the figure, or is empty.
    """

    value: Fraction | float | None
    low: float
    high: float
    caution: str = ""

    @classmethod
    def around(cls, noisy: Noisy, *, level: float = 0.95, caution: str = "") -> "Figure":
        """The symmetrical interval of a value whose first order says enough."""
        half = noisy.half_width(level)
        return cls(noisy.value, float(noisy.value) - half, float(noisy.value) + half, caution)

    @classmethod
    def missing(cls, caution: str) -> "Figure":
        """No figure: it could be any number."""
        return cls(None, -inf, inf, caution)

    def mapped(self, function: Callable[[float], float]) -> "Figure":
        """The figure of a rising function of the statistic: its interval holds as often."""
        value = None if self.value is None else function(float(self.value))
        return Figure(value, function(self.low), function(self.high), self.caution)

    def within(self, low: float, high: float, *, caution: str = "") -> "Figure":
        """The figure of a statistic that is known to lie in [low, high]; ``caution`` is added if the value did not.

        An interval that lies outside as a whole is moved in, so that its width still tells of the noise.
        """
        value, below, above = self.value, self.low, self.high
        if above < low:
            below, above = low, low + above - below
        elif below > high:
            below, above = high - (above - below), high
        said = self.caution
        if value is not None and not low <= value <= high:
            value, said = min(max(value, low), high), "; ".join(filter(None, (said, caution)))
        return Figure(value, max(below, low), min(above, high), said)

    def cautioned(self, caution: str) -> "Figure":
        """The same figure with one more caution, if it is not empty."""
        return replace(self, caution="; ".join(filter(None, (self.caution, caution))))


def ratio(numerator: Noisy, denominator: Noisy, *, level: float = 0.95) -> Figure:
    """Ratio whose true denominator is positive, with the interval of all ratios r that numerator - r denominator allows.

    Unlike the delta method's it holds however little the denominator stands out; where 0 is within the denominator's
    own interval there is no figure. Source: Fieller 1954.
    """
    above, below = float(numerator.value), float(denominator.value)
    square = deviations(level) ** 2
    leading = below * below - square * denominator.variance
    if below <= 0 or leading <= 0:
        return Figure.missing("what it is divided by does not stand out from noise")
    shared = numerator.covariance(denominator)
    plain = above / below
    # the discriminant by way of the ratio's own variance: differences of large squares would lose small noise
    first_order = fsum(part * part for part in _mixed(numerator.parts, below, denominator.parts, -above).values())
    second_order = numerator.variance * denominator.variance - shared * shared
    half = sqrt(max(square * (first_order - square * second_order), 0.0)) / leading
    middle = plain + square * (denominator.variance * plain - shared) / leading
    return Figure(numerator.value / denominator.value, min(middle - half, plain), max(middle + half, plain))


# -- redrawing the noise ---------------------------------------------------------------------------------------------


class Redraws:
    """The noises of some figures' cells drawn anew, ``draws`` times, from a text: the same everywhere for the same text.

    ``inputs`` are cells or sums of cells with any weights: their parts must be all there is, not a first order. The noise
    is taken as normal: discrete Gaussian noise of three units and more differs by less than can be seen here. The text
    (``seed``) need not be secret: draws only measure how far published noise may have moved published figures.
    """

    __slots__ = ("_offsets", "silent")

    def __init__(self, inputs: Sequence[Noisy], *, seed: str, draws: int = DRAWS) -> None:
        numbers = sorted({number for noisy in inputs for number in noisy.parts})
        place = {number: index for index, number in enumerate(numbers)}
        self.silent = not numbers
        # SHAKE-256 as the generator: its output is the same on every machine and in every version of Python
        width = len(numbers)
        raw = shake_256(seed.encode()).digest(8 * width * draws)
        normal = NormalDist().inv_cdf
        noises = [normal(((word >> 12) + 0.5) / (1 << 52)) for (word,) in iter_unpack(">Q", raw)]
        rows = [noises[start * width : (start + 1) * width] for start in range(draws)]
        if all(len(noisy.parts) == 1 for noisy in inputs):
            places = [place[number] for noisy in inputs for number in noisy.parts]
            scales = [part for noisy in inputs for part in noisy.parts.values()]
            self._offsets = [list(map(mul, scales, map(row.__getitem__, places))) for row in rows]
        else:
            moves = [[(place[number], part) for number, part in noisy.parts.items()] for noisy in inputs]
            self._offsets = [[sum(part * row[index] for index, part in move) for move in moves] for row in rows]

    def __len__(self) -> int:
        return len(self._offsets)

    def offsets(self) -> Iterator[list[float]]:
        """Yield what each redraw adds to the inputs, in their order and unit."""
        yield from self._offsets

    def around(self, centre: Sequence[float]) -> Iterator[list[float]]:
        """Yield, for each redraw, what the inputs would have been had their true values been ``centre``."""
        return (list(map(add, centre, offset)) for offset in self._offsets)


def quantile_of(draws: Iterable[float], probability: float) -> float:
    """Quantile of redraws: the value below which one more draw would fall with ``probability`` in (0, 1)."""
    ordered = sorted(draws)
    return ordered[min(max(round((len(ordered) + 1) * probability) - 1, 0), len(ordered) - 1)]


def divergence(
    statistic: Callable[[Sequence[float]], float],
    path: Callable[[float], Sequence[float]],
    redraws: Redraws,
    *,
    level: float = 0.95,
) -> Figure:
    """Figure of a statistic >= 0 that noise inflates, because it grows about as the square of a distance from nothing.

    ``path(t)`` are true values of the inputs for which the distance is t times the observed one: 0 is no difference at
    all, 1 what was observed. The interval holds all t under which a statistic as large as the observed one is neither too
    rare nor too common; the value is where it is the median. Were the statistic the squared length of a vector with
    normal noise of equal variance, its law would hang on the length alone, and interval and value would be exact (the
    noncentral chi-square law turned round); tests measure how often it holds for each statistic that is shown.

    Each redraw's statistic is a parabola in t through t = 0, 1 and 3/2, so that three passes are enough.
    """
    tail = (1 - level) / 2
    outside = floor((len(redraws) + 1) * tail + 1e-9)  # a whole number may have been lost to rounding
    if outside < 2:
        raise ValueError(f"{len(redraws)} redraws are too few for an interval of level {level}")
    seen = statistic(path(1.0))
    if redraws.silent:
        return Figure(seen, seen, seen)
    knots = [path(knot) for knot in (0.0, 1.0, 1.5)]
    truth = _parabola(*map(statistic, knots))
    runs = [
        _parabola(*ordinates)
        for ordinates in zip(*(map(statistic, redraws.around(knot)) for knot in knots), strict=True)
    ]
    low, value = _farthest(runs, seen, len(runs) + 1 - outside), _farthest(runs, seen, (len(runs) + 1) // 2)
    # less than noise alone would give is no knowledge: the upper end is then that of noise's own median
    least = max(seen, quantile_of((start for start, _, _ in runs), 0.5))
    high = _farthest(runs, least, outside, dips=True)
    if high == inf:  # no difference was observed at all: its multiples say nothing
        return Figure(0.0, 0.0, quantile_of((start for start, _, _ in runs), 1 - tail))
    a, b, c = truth
    low, value, high = (max(a + t * (b + t * c), 0.0) for t in (low, value, high))
    return Figure(value, min(low, value), max(high, value))


def _farthest(runs: Sequence[tuple[float, float, float]], seen: float, rank: int, *, dips: bool = False) -> float:
    """The t up to which at least ``rank`` (from 1) of the redraws are not above ``seen``; 0 if fewer are at 0.

    A parabola that starts above ``seen`` is taken to stay there; with ``dips`` as below it until it leaves for good. The
    former makes lower ends lower, the latter upper ends higher.
    """
    return sorted((_crossing(run, seen, dips=dips) for run in runs), reverse=True)[rank - 1]


def _crossing(run: tuple[float, float, float], seen: float, *, dips: bool) -> float:
    """The t >= 0 at which a + b t + c t² leaves the values up to ``seen``: 0 if it is never there, infinite if always."""
    start, slope, curve = run
    rest = seen - start
    square = slope * slope + 4 * curve * rest
    if rest < 0 and (not dips or slope >= 0 or square < 0):
        return 0.0
    if square < 0:
        return inf
    # 2 rest / (b + root) is (root - b) / 2c, the root sought, without the division by a c near 0
    lower = slope + sqrt(square)
    if not lower or (rest > 0) != (lower > 0):
        return inf if rest >= 0 else 0.0
    return 2 * rest / lower


def _parabola(start: float, middle: float, end: float) -> tuple[float, float, float]:
    """Coefficients a, b, c of a + b t + c t² through the values at t = 0, 1 and 3/2."""
    slope, steeper = middle - start, (end - middle) / 0.5
    curve = (steeper - slope) / 1.5
    return start, slope - curve, curve


def _exact(value: Fraction | float) -> Fraction | float:
    return value if isinstance(value, float) else Fraction(value)


def _mixed(one: Mapping[int, float], weight: float, other: Mapping[int, float], by: float) -> dict[int, float]:
    """Parts of ``weight`` times one value plus ``by`` times another."""
    parts = {number: weight * part for number, part in one.items()}
    for number, part in other.items():
        parts[number] = parts.get(number, 0.0) + by * part
    return parts
