"""From the errors that an asker can live with to the least budget, split over the measures of a plan.

The variance of a figure is a sum over measures of c / p, where p is what is paid for the measure and c follows from the
figure's formula and the cells that are expected. So the cheapest prices solve a convex problem: the least sum of p with
every figure's variance at most its target. Its conditions (Karush, Kuhn, Tucker) give p as the root of the sum of
multiplier * c; the multipliers are found by raising those of figures that miss their target and lowering the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from privacy.errors import Refused
from privacy.terms import NANO

ROUNDS = 400


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must be so exact: its variance per measure if each were paid 1 (any unit), and the variance wanted."""

    costs: Mapping[str, float]
    variance: float


def cheapest(targets: Sequence[Target], *, measures: Sequence[str], floor: int = 1) -> dict[str, int]:
    """Return the price of each measure (1e-9 rho, whole, at least ``floor``) that meets every target for the least sum.

    ``costs`` are per 1e-9 rho. A measure that no target needs is paid ``floor``.

    Raises:
        Refused: if no budget can: a target is not positive, or 100 rho would not do.
    """
    if any(not target.variance > 0 for target in targets):
        raise Refused("no budget makes a figure exact", fix="ask for an error above 0")
    needed = [target for target in targets if any(target.costs.values())]
    prices = dict.fromkeys(measures, 0.0)
    if needed:
        # alone, a figure is cheapest at multiplier (sum of the roots of its costs / variance)**2
        weights = [(sum(map(sqrt, target.costs.values())) / target.variance) ** 2 for target in needed]
        for _ in range(ROUNDS):
            prices = _prices(needed, weights, measures)
            weights = [
                weight * _variance(target, prices) / target.variance
                for weight, target in zip(weights, needed, strict=True)
            ]
        excess = max(_variance(target, prices) / target.variance for target in needed)
        prices = {measure: price * excess for measure, price in prices.items()}
    told = {measure: max(floor, ceil(price)) for measure, price in prices.items()}
    if sum(told.values()) > 100 * NANO:
        raise Refused(
            "no budget that a plan may have reaches this accuracy", fix="ask for a larger error or larger groups"
        )
    return told


def _prices(targets: Sequence[Target], weights: Sequence[float], measures: Sequence[str]) -> dict[str, float]:
    squares = dict.fromkeys(measures, 0.0)
    for target, weight in zip(targets, weights, strict=True):
        for measure, cost in target.costs.items():
            squares[measure] += weight * cost
    return {measure: sqrt(square) for measure, square in squares.items()}


def _variance(target: Target, prices: Mapping[str, float]) -> float:
    return sum(cost / prices[measure] for measure, cost in target.costs.items() if cost)
