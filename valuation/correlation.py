"""Drivers that move together: correlations of their normal scores, and the factor that makes independent draws follow them.

A Gaussian copula: each driver keeps its own distribution, and the normal scores of the draws are correlated. The matrix is
factored exactly, as L D L', so that whether it is positive definite is decided without rounding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from valuation import exact
from valuation.desk.reals import root
from valuation.errors import OutOfRange
from valuation.intake import Record, within


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlation in (-1, 1) of the normal scores of two drivers, and why."""

    drivers: tuple[str, str]
    coefficient: Decimal
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "drivers": list(self.drivers),
            "coefficient": exact.spell(self.coefficient),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, document: Any, path: str) -> "Correlation":
        """Parse; raises a typed error that names the key."""
        record = Record(document, path, "drivers coefficient reason")
        named = [Record({"driver": one}, where, "driver").text("driver") for where, one in record.items("drivers")]
        if len(named) != 2 or named[0] == named[1]:
            raise OutOfRange(record.path("drivers"), "pairs of two different drivers")
        coefficient = within(record.decimal("coefficient"), record.path("coefficient"), above=-1, below=1)
        return cls((named[0], named[1]), coefficient, record.text("reason"))


def check(correlations: Sequence[Correlation], drivers: Sequence[str], path: str) -> None:
    """Check that pairs are of drivers with a spread, none twice, and that numbers so correlated can exist.

    Raises:
        OutOfRange: naming the pair that is to change.
    """
    seen = set()
    for place, one in enumerate(correlations):
        if not set(one.drivers) <= set(drivers):
            raise OutOfRange(f"{path}[{place}].drivers", "pairs of drivers that have a spread")
        if frozenset(one.drivers) in seen:
            raise OutOfRange(f"{path}[{place}].drivers", "pairs that occur once")
        seen.add(frozenset(one.drivers))
    stuck = _factor(correlations, drivers)[2]
    if stuck is not None:
        # the strongest tie of the driver that cannot be had beside those before it
        tied = max(
            (
                one
                for one in correlations
                if drivers[stuck] in one.drivers and set(one.drivers) <= set(drivers[: stuck + 1])
            ),
            key=lambda one: abs(one.coefficient),
        )
        place = list(correlations).index(tied)
        raise OutOfRange(
            f"{path}[{place}].coefficient",
            f"coefficients that can hold together; change that of {tied.drivers[0]} and {tied.drivers[1]}",
        )


def mixing(correlations: Sequence[Correlation], drivers: Sequence[str]) -> list[list[Fraction]]:
    """The rows of the lower triangle C with C C' = the matrix of correlations, which must be positive definite."""
    lower, pivots, _ = _factor(correlations, drivers)
    roots = [root(pivot) for pivot in pivots]
    return [[value * scale for value, scale in zip(row, roots, strict=False)] for row in lower]


def _factor(
    correlations: Iterable[Correlation], drivers: Sequence[str]
) -> tuple[list[list[Fraction]], list[Fraction], int | None]:
    """Lower triangle L with ones, pivots D, and the place of the first driver whose pivot is not above 0."""
    matrix = {frozenset(one.drivers): Fraction(one.coefficient) for one in correlations}
    lower: list[list[Fraction]] = []
    pivots: list[Fraction] = []
    for place, driver in enumerate(drivers):
        row: list[Fraction] = []
        for before, other in enumerate(drivers[:place]):
            known = sum((row[k] * lower[before][k] * pivots[k] for k in range(before)), Fraction(0))
            row.append((matrix.get(frozenset({driver, other}), Fraction(0)) - known) / pivots[before])
        pivot = 1 - sum((value * value * pivots[k] for k, value in enumerate(row)), Fraction(0))
        if pivot <= 0:
            return lower, pivots, place
        lower.append([*row, Fraction(1)])
        pivots.append(pivot)
    return lower, pivots, None
