"""A loan by period in whole cents: level payments, equal principal, or all principal at the end."""

from dataclasses import dataclass
from fractions import Fraction

from valuation.desk.schedules import KINDS, payment_factor


@dataclass(frozen=True, slots=True)
class Instalment:
    """One period of a loan, in cents: balance before, interest on it, principal repaid at the end."""

    opening: int
    interest: int
    principal: int

    @property
    def closing(self) -> int:
        """Balance after the period."""
        return self.opening - self.principal


def schedule(balance: int, rate: Fraction, *, periods: int, kind: str) -> tuple[Instalment, ...]:
    """Repay ``balance`` cents over ``periods >= 1`` at ``rate >= 0`` per period; ``kind`` is one of ``KINDS`` of the desk.

    Interest is rounded half-even to the cent; the last principal is what is left, so that the loan ends at exactly 0.
    """
    level = balance * payment_factor(rate, periods) if kind == KINDS[0] else Fraction(0)
    rows = []
    left = balance
    for period in range(1, periods + 1):
        interest = round(left * rate)
        if period == periods:
            principal = left
        elif kind == KINDS[0]:
            principal = min(max(round(level) - interest, 0), left)
        elif kind == KINDS[1]:
            principal = min(round(Fraction(balance, periods)), left)
        else:
            principal = 0
        rows.append(Instalment(left, interest, principal))
        left -= principal
    return tuple(rows)
