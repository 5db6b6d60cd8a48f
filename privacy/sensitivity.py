"""From a plan to the most one person can move its cells, and to the noise that hides it.

Reach: a person has at most ``rows_per_unit`` counted rows at one party, and each row falls into one cell of a measure. So
one party's cells of a measure move by at most ``rows * weight`` in L2, reached when all rows fall into one cell; people,
counted once in each group, move theirs by at most the root of ``rows``. A person at k of the parties moves the sum of h
parties by ``min(k, h)`` times that, against h parties' noise. Measures compose additively in zCDP (Bun and Steinke 2016,
Lemma 1.7): each has its own price. Source: PROOFS 1.1, 1.4, 2.2.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import isqrt

from privacy.errors import Refused
from privacy.expression import extent
from privacy.plan import CountUnits, Measure, Plan, Sum, width
from privacy.terms import NANO

ROWS_BITS = 32
"""A party counts at most 2**32 rows; totals beyond are clamped, which moves nobody's reach."""

CELL_BITS = 61
"""A party's noised cell stays below 2**61 lattice units, the room of the noise's integers."""

SIGMA_GRAIN = 1024
"""Noise scales are multiples of 1/1024 of a lattice unit: exact as binary floats, so OpenDP receives what was proved."""

SIGMA_BITS = 53
"""A noise scale has at most as many significant bits as a binary float; larger ones are rounded up."""

LEAST_SIGMA = 3
"""Lattice units of noise per party at least, so that sums of discrete Gaussians stay discrete Gaussian to 2e-51
(protocol pitfall 10)."""

NOISE_SIGMAS = 14
"""Noise is clamped at 14 standard deviations, reached with probability below 2**-140."""


@dataclass(frozen=True, slots=True)
class Clipped:
    """One party's true cells after contribution bounding and clipping, in plan order and integer units: never sent."""

    plan_hash: str
    totals: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Clipped({len(self.totals)} cells, secret)"


@dataclass(frozen=True, slots=True)
class Scale:
    """Noise of one measure at one party.

    ``grain`` integer units make one lattice unit (a power of two, 1 unless the sums are huge); ``weight`` is the most one
    row moves a cell, in integer units; ``reach_squared`` the squared L2 distance that one person moves one party's cells,
    and ``sigma`` the discrete Gaussian's scale (a multiple of 1/1024), both in lattice units.
    """

    measure: Measure
    grain: int
    weight: int
    reach_squared: int
    sigma: Fraction

    @property
    def rho(self) -> Fraction:
        """What one party's cells cost against its own noise: ``reach**2 / (2 sigma**2)`` (Bun and Steinke 2016, 1.6)."""
        return Fraction(self.reach_squared) / (2 * self.sigma * self.sigma)

    @property
    def room(self) -> int:
        """Bound of a party's true cell in lattice units; totals beyond are clamped."""
        return -(-(self.weight << ROWS_BITS) // self.grain)

    @property
    def limit(self) -> int:
        """Bound of a party's noised cell in lattice units."""
        noise = NOISE_SIGMAS * self.sigma
        return self.room + -(-noise.numerator // noise.denominator)


def weight(plan: Plan, measure: Measure) -> int:
    """The most one row can move one cell of ``measure`` by, in integer units."""
    return max(map(abs, extent(measure.term, plan.clipped))) if isinstance(measure, Sum) else 1


def reach_squared(plan: Plan, measure: Measure) -> int:
    """Squared L2 distance by which one person can move one party's cells, in integer units. Source: PROOFS 1.1."""
    if isinstance(measure, CountUnits):
        return min(plan.rows_per_unit, plan.groups_count)
    return (plan.rows_per_unit * weight(plan, measure)) ** 2


def exposure(plan: Plan, honest: int | None = None) -> Fraction:
    """Cost of one person against the noise of h = ``honest`` parties: ``min(k, h)**2 / h``, k being the standard's bound.

    It is a multiple of the cost of the person's rows at one party against that party's noise. Without ``honest``: what the
    plan's price must cover, ``k**2 / max(k, counted)``. That is the worst over every h from ``plan.counted`` on, also
    those beyond the roster: a person's other institutions answer other plans, and all of them together must cost this
    person no more than what one institution charges. Source: PROOFS 2.4, 2.5, 3.4.
    """
    most = plan.institutions_per_unit
    if honest is not None:
        return Fraction(min(most, honest) ** 2, honest)
    return Fraction(most * most, max(most, plan.counted))


@lru_cache(maxsize=64)
def calibrate(plan: Plan) -> tuple[Scale, ...]:
    """Return the noise scale of each measure at each party, in plan order.

    Against every number of parties that the plan's price must hold against, a measure costs at most its own price. With
    shared noise one unit of 1e-9 rho of each is set aside because a sum of discrete Gaussians is not quite one (Kairouz,
    Liu and Steinke 2021, Theorem 1: with sigma of 3 or more the difference is below 1e-27 rho for any plan).

    Raises:
        Refused: if a sum can only be 0, so that no noise would protect it.

    Source: PROOFS 2.2, 2.4, 2.5.
    """
    worst = exposure(plan)
    aside = 0 if plan.shared is None else 1
    return tuple(
        _scale(plan, measure, share=Fraction(price - aside, NANO) / worst)
        for measure, price in zip(plan.measures, plan.prices, strict=True)
    )


def magnitude(plan: Plan) -> int:
    """Return b such that every noised cell of one party lies in (-2**b, 2**b), in lattice units; 61 at most.

    Source: PROOFS 2.3.
    """
    return max(scale.limit for scale in calibrate(plan)).bit_length()


def _scale(plan: Plan, measure: Measure, *, share: Fraction) -> Scale:
    """Choose the finest grain at which a party's noised cell fits its room. Source: PROOFS 2.3."""
    squared = reach_squared(plan, measure)
    if squared == 0:
        raise Refused("a sum over bounds of 0 to 0 has no meaning", fix="declare wider bounds")
    grain = 1
    while True:
        lattice = squared
        if grain > 1:
            # rounding down moves each cell that a person's rows fall into by less than one lattice unit more
            touched = min(plan.rows_per_unit, plan.groups_count * width(measure))
            lattice = (_root_up(Fraction(squared, grain * grain)) + _root_up(Fraction(touched))) ** 2
        sigma = max(Fraction(_least_grains(lattice, share), SIGMA_GRAIN), Fraction(LEAST_SIGMA))
        scale = Scale(measure, grain, weight(plan, measure), reach_squared=lattice, sigma=sigma)
        if scale.limit.bit_length() <= CELL_BITS:
            return scale
        grain *= 2


def _root_up(square: Fraction) -> int:
    """Smallest whole number whose square is at least ``square``."""
    ceiling = -(-square.numerator // square.denominator)
    root = isqrt(ceiling)
    return root if root * root >= ceiling else root + 1


def _least_grains(squared: int, rho: Fraction) -> int:
    """Smallest k of at most 53 significant bits with ``(k / 1024)**2 >= squared / (2 rho)``, in integers."""
    least = _root_up(Fraction(squared * SIGMA_GRAIN * SIGMA_GRAIN) / (2 * rho))
    beyond = max(0, least.bit_length() - SIGMA_BITS)
    return -(-least >> beyond) << beyond
