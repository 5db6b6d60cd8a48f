"""Integer discrete Gaussian noise from OpenDP: the only room that draws it, and only against a charge receipt.

Source: Canonne, Kamath and Steinke 2020 (discrete Gaussian), as implemented exactly by OpenDP's ``make_gaussian`` over
integers; cost by Bun and Steinke 2016, Proposition 1.6; PROOFS 2.1.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import TYPE_CHECKING

from privacy.errors import Mismatch, Refused
from privacy.ledger import Receipt
from privacy.plan import Plan
from privacy.sensitivity import Clipped, Scale, calibrate, magnitude

if TYPE_CHECKING:
    from opendp.mod import Measurement


@dataclass(frozen=True, slots=True)
class Noised:
    """One party's cells with its full noise added, in the plan's cell order and lattice units; each below ``2**magnitude(plan)``.

    Differentially private by itself, yet never sent unmasked: the analyst is promised a sum, not parts.
    """

    plan_hash: str
    values: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Noised({len(self.values)} cells)"


def add_noise(clipped: Clipped, plan: Plan, receipt: Receipt) -> Noised:
    """Add fresh noise to one party's cells. Caller must have written the charge to disk before.

    Raises:
        Mismatch: if cells, plan and receipt do not belong together.
        Refused: if OpenDP's own accounting does not confirm the price.

    Source: PROOFS 2.3 for the clamps, PROOFS 7.1 for the order.
    """
    if not clipped.plan_hash == plan.hash == receipt.plan_hash or len(clipped.totals) != plan.cells_count:
        raise Mismatch("the cells, the plan and the charge do not belong together")
    limit = (1 << magnitude(plan)) - 1
    values: list[int] = []
    for scale in calibrate(plan):
        totals = (clipped.totals[place] for place in plan.places(scale.measure.key))
        within = [max(-scale.room, min(scale.room, total // scale.grain)) for total in totals]
        values += [max(-limit, min(limit, value)) for value in _mechanism(scale)(within)]
    return Noised(plan.hash, tuple(values))


def _mechanism(scale: Scale) -> "Measurement":
    """Build the OpenDP measurement of one measure and have it confirm what our scale costs, at the whole part of its reach."""
    import opendp.prelude as dp  # noqa: PLC0415  265 MB of library, needed only where noise is drawn

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64")
    mechanism = dp.m.make_gaussian(*space, scale=float(scale.sigma))
    # OpenDP rounds its price up in binary floats; a relative 2**-40 covers that rounding and nothing more.
    reach = isqrt(scale.reach_squared)
    price = Fraction(mechanism.map(reach))  # type: ignore[no-untyped-call]
    if price > Fraction(reach * reach) / (2 * scale.sigma**2) * (1 + Fraction(1, 1 << 40)):
        raise Refused("the noise library does not confirm the price of this plan", fix="report this version as faulty")
    return mechanism
