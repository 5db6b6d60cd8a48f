"""Defaults that share one normal factor: both of two parties, and the exact loss of a small pool of unequal loans.

Given the factor ``z``, obligor ``i`` defaults independently with probability Φ((Φ⁻¹(PD_i) - √ρ z)/√(1 - ρ)). The factor is
integrated by the trapezoidal rule, whose error on such integrands falls exponentially with the number of nodes. All of it
is done on integers (units of 2^-128) made from 60 digits, so that a report can be computed anew to its last digit on any
machine. Sources: Vasicek 2002; Trefethen and Weideman 2014 for the trapezoidal rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from math import ceil, floor, lcm

from valuation.desk.reals import below, density, quantile, root

REACH = 9
"""The factor is integrated over [-9, 9]; outside lie 2e-19 of its probability, which the weights share out."""

STATES = 4096
"""Distinct losses up to which a distribution is exact; 12 unequal obligors have no more."""

MOST = 60
"""Obligors of a pool; a larger one is no longer small, and the desk's large-pool formula serves it."""

LATTICE = 400
"""Steps into which the largest loss is cut where a pool has more distinct losses than that."""

_ONE = 1 << 128
_NODES = ((10, 5), (45, 10))
_FINEST = 20


@dataclass(frozen=True, slots=True)
class Obligor:
    """``default`` in (0, 1] is the probability over the horizon, ``loss`` >= 0 what it then costs, in cents."""

    default: Fraction
    loss: Fraction


@dataclass(frozen=True, slots=True)
class Losses:
    """Distribution of a pool's loss: (loss in cents, probability), losses rising, probabilities adding up to 1.

    ``counts`` is the probability of 0, 1, ... defaults. Unless ``exact``, each obligor's loss is spread over the two
    nearest steps of a lattice so that its mean is kept: the mean stays exact, and no expected excess is understated.
    """

    chances: tuple[tuple[Fraction, Fraction], ...]
    counts: tuple[Fraction, ...]
    exact: bool

    @property
    def mean(self) -> Fraction:
        """Expected loss."""
        return sum((loss * chance for loss, chance in self.chances), Fraction(0))

    def excess(self, attach: Fraction) -> Fraction:
        """Expected loss beyond ``attach``."""
        return sum(((loss - attach) * chance for loss, chance in self.chances if loss > attach), Fraction(0))

    def beyond(self, attach: Fraction) -> Fraction:
        """Probability of a loss strictly above ``attach``."""
        return sum((chance for loss, chance in self.chances if loss > attach), Fraction(0))

    def quantile(self, level: Fraction) -> Fraction:
        """The smallest loss that is not exceeded with probability ``level`` or more."""
        reached = Fraction(0)
        for loss, chance in self.chances:
            reached += chance
            if reached >= level:
                return loss
        return self.chances[-1][0]


def both_default(one: Fraction, other: Fraction, correlation: Fraction) -> Fraction:
    """Probability that two parties default together; ``correlation`` of their assets in [0, 1)."""
    if correlation == 0:
        return one * other
    nodes = _nodes_per_unit(2, correlation)
    first, second = (_conditional(default, correlation, nodes) for default in (one, other))
    return Fraction(sum(weight * a * b for weight, a, b in zip(_weights(nodes), first, second, strict=True)), _ONE**3)


def losses(obligors: Sequence[Obligor], correlation: Fraction) -> Losses:
    """The distribution of the sum of losses of 1 to 60 obligors; ``correlation`` in (0, 0.6]."""
    nodes = _nodes_per_unit(len(obligors), correlation)
    steps, unit, exact = _steps([obligor.loss for obligor in obligors])
    given = [_conditional(obligor.default, correlation, nodes) for obligor in obligors]
    sums: dict[int, int] = {}
    counts = [0] * (len(obligors) + 1)
    for node, weight in enumerate(_weights(nodes)):
        chances = [row[node] for row in given]
        for loss, chance in _mixed(steps, chances).items():
            sums[loss] = sums.get(loss, 0) + weight * chance
        for defaults, chance in enumerate(_counted(chances)):
            counts[defaults] += weight * chance
    whole, all_counts = sum(sums.values()), sum(counts)
    return Losses(
        chances=tuple((loss * unit, Fraction(sums[loss], whole)) for loss in sorted(sums)),
        counts=tuple(Fraction(count, all_counts) for count in counts),
        exact=exact,
    )


def _nodes_per_unit(count: int, correlation: Fraction) -> int:
    """How closely the factor is looked at, so that the rule errs by less than the tails that are left out.

    A product of ``n`` probabilities of slope s, s² = ρ/(1 - ρ), grows no faster than exp((1 + n s²) y²/2) off the real
    line; so a step h errs by about exp(-2π²/(h² (1 + n s²))).
    """
    steepness = count * correlation / (1 - correlation)
    return next((nodes for most, nodes in _NODES if steepness <= most), _FINEST)


@cache
def _weights(nodes_per_unit: int) -> tuple[int, ...]:
    """Density of the factor at each node, scaled so that the weights add up to one."""
    heights = [density(Fraction(place, nodes_per_unit)) for place in _places(nodes_per_unit)]
    whole = sum(heights, Fraction(0))
    return tuple(round(height * _ONE / whole) for height in heights)


def _places(nodes_per_unit: int) -> range:
    return range(-REACH * nodes_per_unit, REACH * nodes_per_unit + 1)


@lru_cache(maxsize=256)
def _conditional(default: Fraction, correlation: Fraction, nodes_per_unit: int) -> tuple[int, ...]:
    """Default probability at each node of the factor."""
    if default == 1:  # over many years, a probability can be 1 to the last digit that is written
        return (_ONE,) * len(_places(nodes_per_unit))
    level, rest, slope = quantile(default), root(1 - correlation), root(correlation)
    return tuple(
        round(below((level - slope * Fraction(place, nodes_per_unit)) / rest) * _ONE)
        for place in _places(nodes_per_unit)
    )


def _steps(amounts: Sequence[Fraction]) -> tuple[list[tuple[tuple[int, Fraction], ...]], Fraction, bool]:
    """Each obligor's loss as (steps, share) pairs, the worth of a step, and whether that is exact."""
    found: set[Fraction] = {Fraction(0)}
    for amount in amounts:
        found |= {known + amount for known in found}
        if len(found) > STATES:
            break
    else:
        scale = lcm(*(amount.denominator for amount in amounts))
        return [((int(amount * scale), Fraction(1)),) for amount in amounts], Fraction(1, scale), True
    unit = sum(amounts, Fraction(0)) / LATTICE
    spread = []
    for amount in amounts:
        place = amount / unit
        upper = place - floor(place)
        pairs = ((floor(place), 1 - upper), (ceil(place), upper))
        spread.append(tuple((step, share) for step, share in pairs if share))
    return spread, unit, False


def _mixed(steps: Sequence[tuple[tuple[int, Fraction], ...]], chances: Sequence[int]) -> dict[int, int]:
    """Distribution of the summed steps, given each obligor's default probability."""
    sums = {0: _ONE}
    for pairs, chance in zip(steps, chances, strict=True):
        others: dict[int, int] = {}
        moves = [(0, _ONE - chance), *((step, round(chance * share)) for step, share in pairs)]
        for reached, held in sums.items():
            for step, part in moves:
                others[reached + step] = others.get(reached + step, 0) + (held * part >> 128)
        sums = others
    return sums


def _counted(chances: Sequence[int]) -> list[int]:
    """Distribution of the number of defaults, given each obligor's default probability."""
    held = [_ONE]
    for chance in chances:
        stay = [one * (_ONE - chance) >> 128 for one in held] + [0]
        move = [0] + [one * chance >> 128 for one in held]
        held = [one + other for one, other in zip(stay, move, strict=True)]
    return held
