"""Who is paid what once a guaranteed loan stops: the call, the data's proceeds by rank, what each party loses, to the cent."""

from dataclasses import dataclass
from fractions import Fraction

from valuation.desk.reals import halved, rounded
from valuation.finance.cents import split
from valuation.finance.loans import Instalment
from valuation.trace import Traced


@dataclass(frozen=True, slots=True)
class Claim:
    """What another creditor has against the same data, at its own rank, in cents."""

    party: str
    rank: int
    amount: int


@dataclass(frozen=True, slots=True)
class Collateral:
    """The pledged data. ``gross`` is its value in cents now; ``to_lender`` tells whose lien it is."""

    value: Traced
    half_life: Traced
    cost: Traced
    gross: int
    to_lender: bool
    rank: int
    claims: tuple[Claim, ...]

    def proceeds(self, years: Fraction) -> tuple[int, int]:
        """Gross proceeds and costs after ``years``, in cents; proceeds are rounded down."""
        gross = int(rounded(self.gross * halved(years, self.half_life.fraction)))
        return gross, round(gross * self.cost.fraction)


@dataclass(frozen=True, slots=True)
class Shares:
    """Who bears which share of the claim."""

    lender: Fraction
    guarantor: Fraction
    counter: Fraction

    @property
    def covered(self) -> Fraction:
        """What the guarantor pays the lender on a call."""
        return self.guarantor + self.counter


def in_period(
    number: int,
    payment: Instalment,
    *,
    fee: int,
    shares: Shares,
    collateral: Collateral | None,
    pro_rata: bool,
    years: Fraction,
) -> tuple[int, ...]:
    """One period, in the order of :data:`~valuation.finance.guarantee.COLUMNS`."""
    claim = payment.opening + payment.interest
    rest, call = split(claim, (shares.lender, shares.covered))
    costs = prior = lender = subrogated = later = surplus = alone = 0
    if collateral is not None:
        gross, costs = collateral.proceeds(years)
        left = gross - costs
        prior, left = _served(collateral, left, before=True)
        ours = claim if collateral.to_lender else call
        got = min(ours, left)
        left -= got
        if not collateral.to_lender:
            subrogated = got
        elif pro_rata:
            lender, subrogated = split(got, (rest, call)) if claim else (0, 0)
        else:
            lender = min(rest, got)
            subrogated = got - lender
        alone = got if collateral.to_lender else 0
        later, surplus = _served(collateral, left, before=False)
    borne = call - subrogated
    guarantor, counter = split(borne, (shares.guarantor, shares.counter))
    losses = (rest - lender, guarantor, counter, claim - alone)
    return (
        number, payment.opening, payment.interest, payment.principal, fee, claim, call, costs, prior, lender, subrogated,
        later, surplus, *losses,
    )  # fmt: skip


def _served(collateral: Collateral, cash: int, *, before: bool) -> tuple[int, int]:
    """What claims before (or after) the lien's rank take of the cash, and what is left."""
    owed = sum(claim.amount for claim in collateral.claims if (claim.rank < collateral.rank) == before)
    paid = min(cash, owed)
    return paid, cash - paid
