"""What one approach says a value is, and what may shift under it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from valuation.cost import Remark
from valuation.trace import Traced

ENDS = ("low", "central", "high")
"""The ends of the evidence: quality at its lower bound, as measured, at its upper bound."""


class Shift(NamedTuple):
    """Factors on the drivers of a value, by the names of :data:`valuation.judgement.DRIVERS`; 1 leaves a driver as stated."""

    level: Fraction = Fraction(1)
    half_life: Fraction = Fraction(1)
    rate: Fraction = Fraction(1)
    upkeep: Fraction = Fraction(1)
    quality: Fraction = Fraction(1)
    cost: Fraction = Fraction(1)
    market: Fraction = Fraction(1)


AS_STATED = Shift()


@dataclass(frozen=True, slots=True)
class Indication:
    """A value by one approach at the three ends of the evidence; ``others`` are figures that check it."""

    approach: str
    low: Traced
    central: Traced
    high: Traced
    others: tuple[Traced, ...]
    remarks: tuple[Remark, ...]

    @property
    def ends(self) -> tuple[Traced, Traced, Traced]:
        """The three values in the order of :data:`ENDS`."""
        return (self.low, self.central, self.high)
