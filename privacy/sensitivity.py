"""From a plan to the most one person can move its cells, and to the noise that hides it.

Reach: one person has at most ``rows_per_unit`` counted rows at each of at most ``institutions_per_unit`` parties, and
each row falls into one group. For one measure the L2 distance over all groups is largest when all rows fall into one
group: ``rows * institutions * weight``, with weight 1 for counts and ``max(|lower|, |upper|)`` for clipped sums.
Measures compose additively in zCDP (Bun and Steinke 2016, Lemma 1.7), so the plan's rho is split evenly over them.
Source: PROOFS 1.1, 1.4.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from privacy.errors import Overflow, Refused
from privacy.plan import Measure, Plan, Sum
from privacy.terms import NANO

ROWS_BITS = 32
"""A party counts at most 2**32 rows; totals beyond are clamped, which moves nobody's reach."""

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
    """One party's true cells after contribution bounding and clipping, in the plan's cell order. Never leaves the node."""

    plan_hash: str
    totals: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Clipped({len(self.totals)} cells, secret)"


@dataclass(frozen=True, slots=True)
class Scale:
    """Noise of one measure: ``reach`` in lattice units, ``sigma`` the discrete Gaussian's scale (multiple of 1/1024)."""

    measure: Measure
    reach: int
    sigma: Fraction

    @property
    def rho(self) -> Fraction:
        """What this measure costs against one party's noise alone: ``reach**2 / (2 sigma**2)`` (Bun and Steinke 2016, Proposition 1.6)."""
        return Fraction(self.reach * self.reach) / (2 * self.sigma * self.sigma)


def weight(measure: Measure) -> int:
    """The most one row can move one cell of ``measure`` by, in lattice units."""
    return measure.bounds.weight if isinstance(measure, Sum) else 1


def reach(plan: Plan, measure: Measure) -> int:
    """L2 distance that one person can move all cells of ``measure`` by, in lattice units. Source: PROOFS 1.1."""
    return plan.rows_per_unit * plan.institutions_per_unit * weight(measure)


def calibrate(plan: Plan) -> tuple[Scale, ...]:
    """Return the noise scale of each measure at each party, in plan order.

    Standalone, their costs add up to at most the plan's rho. Shared among n parties against t, one party's noise alone
    costs n - t times the plan's rho, and the sum of any n - t at most the plan's rho: the variances add up. One unit of
    1e-9 rho is set aside because a sum of discrete Gaussians is not quite one (Kairouz, Liu and Steinke 2021, Theorem 1:
    with sigma of 3 or more the difference is below 1e-27 rho for any plan).

    Raises:
        Refused: if a sum's bounds are both zero, so that no noise would protect it.

    Source: PROOFS 2.2, 2.4, 2.5.
    """
    spendable = plan.rho if plan.shared is None else plan.rho - 1
    share = Fraction(spendable * plan.counted, NANO) / len(plan.measures)
    scales = []
    for measure in plan.measures:
        distance = reach(plan, measure)
        if distance == 0:
            raise Refused("a sum over bounds of 0 to 0 has no meaning", fix="declare wider bounds")
        sigma = max(Fraction(_least_grains(distance, share), SIGMA_GRAIN), Fraction(LEAST_SIGMA))
        scales.append(Scale(measure=measure, reach=distance, sigma=sigma))
    return tuple(scales)


def magnitude(plan: Plan) -> int:
    """Return b such that every noised cell of one party is clamped to (-2**b, 2**b).

    Raises:
        Overflow: if a cell could need 62 bits or more, the room of the noise's integers.

    Source: PROOFS 2.3.
    """
    largest = 0
    for scale in calibrate(plan):
        noise = NOISE_SIGMAS * scale.sigma
        largest = max(largest, (weight(scale.measure) << ROWS_BITS) + -(-noise.numerator // noise.denominator))
    bits = largest.bit_length()
    if bits > 61:
        raise Overflow("the plan's cells could outgrow 61 bits", fix="use narrower bounds or a larger rho")
    return bits


def _least_grains(distance: int, rho: Fraction) -> int:
    """Smallest k of at most 53 significant bits with ``(k / 1024)**2 >= distance**2 / (2 rho)``, in integers."""
    need = Fraction(distance * distance * SIGMA_GRAIN * SIGMA_GRAIN) / (2 * rho)
    ceiling = -(-need.numerator // need.denominator)
    root = isqrt(ceiling)
    least = root if root * root >= ceiling else root + 1
    beyond = max(0, least.bit_length() - SIGMA_BITS)
    return -(-least >> beyond) << beyond
