"""The cash of a two-class securitisation by period: fees, senior interest, reserve, senior principal, junior, residual.

Before a trigger the senior class is repaid as the pool shrinks; what is left pays the junior coupon and then the holder of
the residual. From the period after a trigger on, and in the last one, all cash goes to the senior class until it is repaid.
A trigger that has tripped stays. Amounts are whole cents: what comes in is what is paid plus what the reserve holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

TRIGGERS = {
    "cumulative_default": "defaulted balance above its limit, as a share of the pool at the start",
    "over_collateralisation": "recognised value of the loans that pay, below its floor times the senior balance",
    "reserve": "reserve below its floor while the senior class is out",
    "senior_interest": "senior interest not paid in full",
    "servicer": "the servicer failed",
}
"""What turns the waterfall to the senior class alone."""


@dataclass(frozen=True, slots=True)
class Notes:
    """The deal's own terms: balances and reserve in cents, rates per period, limits of the triggers."""

    senior: int
    junior: int
    senior_rate: Fraction
    junior_rate: Fraction
    reserve_start: int
    reserve_target: int
    fee_fixed: int
    fee_share: Fraction
    default_limit: Fraction
    cover_floor: Fraction
    reserve_floor: int


@dataclass(frozen=True, slots=True)
class Pool:
    """What the pool does in one period, in cents.

    ``opening`` and ``closing`` are the balances of loans that pay, ``recognised`` the value of their collateral at the
    end, ``defaulted`` the balance that stopped paying up to now.
    """

    opening: int
    closing: int
    interest: int
    principal: int
    recovered: int
    defaulted: int
    recognised: int
    servicer_failed: bool

    @property
    def collected(self) -> int:
        """All cash of the period."""
        return self.interest + self.principal + self.recovered


@dataclass(frozen=True, slots=True)
class State:
    """What is owed and held between two periods; ``tripped`` lists the triggers in the order in which they tripped."""

    senior: int
    junior: int
    reserve: int
    fee_unpaid: int = 0
    senior_unpaid: int = 0
    junior_unpaid: int = 0
    tripped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Payment:
    """Who is paid what in one period; ``due`` says what the senior class was owed in principal."""

    fee: int
    senior_interest: int
    senior_due: int
    senior_principal: int
    junior_interest: int
    junior_principal: int
    residual: int
    state: State


def closing(notes: Notes, *, recognised: int) -> State:
    """The state on the first day; a cover that is too small from the start trips at once."""
    state = State(notes.senior, notes.junior, notes.reserve_start)
    short = notes.senior > 0 and recognised < notes.cover_floor * notes.senior
    return replace(state, tripped=("over_collateralisation",)) if short else state


def pour(notes: Notes, pools: Sequence[Pool], *, recognised: int) -> list[Payment]:
    """Pay every period of at least one; the last is the legal final, in which the reserve is used up.

    ``recognised`` is the value of the collateral on the first day.
    """
    size = pools[0].opening
    state = closing(notes, recognised=recognised)
    payments = []
    for number, pool in enumerate(pools, start=1):
        payment = step(notes, state, pool, size=size, last=number == len(pools))
        state = payment.state
        payments.append(payment)
    return payments


def step(notes: Notes, state: State, pool: Pool, *, size: int, last: bool) -> Payment:
    """Pay one period of a pool that had ``size`` cents at the start."""
    tripped = state.tripped
    if pool.servicer_failed and "servicer" not in tripped:
        tripped = (*tripped, "servicer")
    cash = pool.collected + state.reserve

    fee_due = state.fee_unpaid + notes.fee_fixed + round(pool.opening * notes.fee_share)
    fee = min(fee_due, cash)
    cash -= fee
    interest_due = state.senior_unpaid + round(state.senior * notes.senior_rate)
    interest = min(interest_due, cash)
    cash -= interest
    reserve = 0 if last or state.senior == 0 else min(notes.reserve_target, cash)
    cash -= reserve

    # before a trigger the senior class keeps the distance to the pool that it had at the start
    target = 0 if tripped or last else max(0, pool.closing - (size - notes.senior))
    senior_due = max(0, state.senior - target)
    principal = min(senior_due, cash)
    cash -= principal
    senior = state.senior - principal
    if senior == 0:
        cash, reserve = cash + reserve, 0

    junior_due = state.junior_unpaid + round(state.junior * notes.junior_rate)
    junior_interest = min(junior_due, cash)
    cash -= junior_interest
    junior_principal = min(state.junior, cash) if senior == 0 else 0
    cash -= junior_principal
    after = State(
        senior=senior,
        junior=state.junior - junior_principal,
        reserve=reserve,
        fee_unpaid=fee_due - fee,
        senior_unpaid=interest_due - interest,
        junior_unpaid=junior_due - junior_interest,
        tripped=tripped,
    )
    return Payment(
        fee=fee,
        senior_interest=interest,
        senior_due=senior_due,
        senior_principal=principal,
        junior_interest=junior_interest,
        junior_principal=junior_principal,
        residual=cash,
        state=_tested(notes, after, pool, size=size),
    )


def _tested(notes: Notes, state: State, pool: Pool, *, size: int) -> State:
    """Test every trigger at the end of a period; one that has tripped stays."""
    out = state.senior > 0
    found = {
        "cumulative_default": pool.defaulted > notes.default_limit * size,
        "over_collateralisation": out and pool.recognised < notes.cover_floor * state.senior,
        "reserve": out and state.reserve < notes.reserve_floor,
        "senior_interest": state.senior_unpaid > 0,
    }
    new = tuple(name for name, trips in found.items() if trips and name not in state.tripped)
    return replace(state, tripped=state.tripped + new)
