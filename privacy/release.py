"""The release: the only thing that leaves. Noisy totals with their variances, and what they cost.

A release holds no row and no party's part; everything computed from it is post-processing and free of further charge
(closure of differential privacy under post-processing, Dwork and Roth 2014, section 2.1).
"""

from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from statistics import NormalDist
from typing import Any

from privacy import canonical
from privacy.errors import Malformed
from privacy.plan import Plan

MAX_DECIMALS = 1_000
"""More decimals than any term has: 34 factors are the most that nest, of 18 decimals each."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A noisy value with the variance of its noise, in the column's unit (for counts: rows)."""

    value: Fraction
    variance: Fraction

    def half_width(self, level: float = 0.95) -> float:
        """Half the width of the interval that holds the true value with probability ``level`` in (0, 1)."""
        return NormalDist().inv_cdf((1 + level) / 2) * sqrt(self.variance)

    def over(self, other: "Estimate") -> "Estimate | None":
        """Ratio of two estimates with independent noise, by the delta method; ``None`` if ``other`` is not positive."""
        if other.value <= 0:
            return None
        ratio = self.value / other.value
        variance = (self.variance + ratio * ratio * other.variance) / (other.value * other.value)
        return Estimate(ratio, variance)


@dataclass(frozen=True, slots=True)
class Release:
    """What one session released: ``totals`` are sums over the parties, in integer units, in the plan's cell order.

    ``variances`` gives the noise variance of a cell by measure key (integer units, squared); ``decimals`` the scale of a
    measure's unit by key (absent: 0). ``session`` names the signed evidence.
    """

    plan: Plan
    session: str
    totals: tuple[int, ...]
    variances: dict[str, Fraction]
    decimals: dict[str, int]

    def estimate(self, measure: str, group: tuple[str, ...] = (), slot: int = 0) -> Estimate:
        """Return one cell, e.g. ``estimate("sum(balance)", ("north",))``, in the term's unit; ``slot`` is a histogram's band.

        Raises:
            KeyError: if the release has no such cell.
        """
        scale = Fraction(10) ** self.decimals.get(measure, 0)
        return Estimate(
            Fraction(self.totals[self.plan.place(measure, group, slot)]) / scale, self.variances[measure] / scale**2
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form: how evidence cites this release."""
        return canonical.digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object of the release."""
        return {
            "plan": self.plan.to_json(),
            "session": self.session,
            "totals": [str(total) for total in self.totals],
            "variances": {key: [str(v.numerator), str(v.denominator)] for key, v in self.variances.items()},
            "decimals": dict(self.decimals),
        }

    @classmethod
    def from_json(cls, document: Any) -> "Release":
        """Parse what :meth:`to_json` wrote.

        Raises:
            Malformed: if it is something else.
        """
        try:
            release = cls(
                plan=Plan.from_json(document["plan"]),
                session=document["session"],
                totals=tuple(int(total) for total in document["totals"]),
                variances={
                    key: Fraction(int(numerator), int(denominator))
                    for key, (numerator, denominator) in document["variances"].items()
                },
                decimals=dict(document["decimals"]),
            )
            whole = release._fits() and release.to_json() == document
        except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError):
            whole = False
        if not whole:
            raise Malformed("the document is not a release", fix="take the file that the desk stored")
        return release

    def _fits(self) -> bool:
        """Whether every cell has its total, its variance and a scale that can be shown."""
        keys = {measure.key for measure in self.plan.measures}
        return (
            isinstance(self.session, str)
            and len(self.totals) == self.plan.cells_count
            and self.variances.keys() == keys
            and all(variance > 0 for variance in self.variances.values())
            and self.decimals.keys() <= keys
            and all(type(places) is int and 0 <= places <= MAX_DECIMALS for places in self.decimals.values())
        )
