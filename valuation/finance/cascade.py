"""Margin states of many loans under a common shock, round by round."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from valuation.desk.pledge import state_of

INITIAL, WARNING, CALL, LIQUIDATION = (Fraction(share, 100) for share in (50, 60, 65, 75))
"""Loan to recognised value at origination, and from which on a loan is in warning, margin call, liquidation."""

STATES = ("normal", "warning", "margin_call", "liquidation")


@dataclass(frozen=True, slots=True)
class Shock:
    """A common fall of values, and by how much realising the whole portfolio would depress them further."""

    name: str
    drop: Fraction
    impact: Fraction


@dataclass(frozen=True, slots=True)
class Round:
    """Where the loans stand after one round: how many and how much in each state, cure and shortfall, in cents."""

    counts: dict[str, int]
    amounts: dict[str, int]
    cure: int
    shortfall: int


def margin_state(loan: int, value: Fraction) -> str:
    """The state of a loan against a recognised value; without a value it must be realised."""
    if loan == 0:
        return STATES[0]
    if value <= 0:
        return STATES[3]
    return state_of(loan / value, warning=WARNING, call=CALL, liquidation=LIQUIDATION)


ROUNDS = 20
"""Rounds for which a cascade is followed."""


def cascade(loans: Sequence[tuple[int, int]], shock: Shock) -> list[Round]:
    """Rounds of a shock to (loan, recognised value) pairs in cents, until no further loan must be realised, at most 20."""
    exposure = sum(loan for loan, _ in loans)
    sold, rounds = Fraction(0), []
    while True:
        factor = (1 - shock.drop) * (1 - shock.impact * sold)
        counts, amounts = dict.fromkeys(STATES, 0), dict.fromkeys(STATES, 0)
        cure = shortfall = Fraction(0)
        for loan, recognised in loans:
            value = recognised * factor
            state = margin_state(loan, value)
            counts[state] += 1
            amounts[state] += loan
            if state == "margin_call":
                cure += loan - INITIAL * value
            if state == "liquidation":
                shortfall += max(loan - value, Fraction(0))
        rounds.append(Round(counts, amounts, -int(-cure // 1), -int(-shortfall // 1)))
        reached = Fraction(amounts["liquidation"], exposure) if exposure else Fraction(0)
        if reached == sold or shock.impact == 0 or len(rounds) == ROUNDS:
            return rounds
        sold = reached
