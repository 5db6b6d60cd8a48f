"""Who gets what when a pledged asset was realised: costs, then each rank, then who has no lien, and the rest to the pledgor.

All in cents, as integers; what is paid out is what came in, to the cent.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranked:
    """A live lien's ``claim``, of which it covers ``secured`` at most."""

    rank: int
    holder: str
    secured: int
    claim: int


@dataclass(frozen=True, slots=True)
class Payout:
    """What somebody gets (``paid``) of what it was ``due``, and as what: costs, rank 1 to 9, unregistered or surplus."""

    role: str
    name: str
    due: int
    paid: int

    def to_json(self) -> dict[str, str | int]:
        """Return the payout as it is recorded."""
        return {"as": self.role, "name": self.name, "due": self.due, "paid": self.paid}


def distribute(
    proceeds: int, *, costs: int, liens: Sequence[Ranked], unregistered: Sequence[tuple[str, int]], pledgor: str
) -> tuple[Payout, ...]:
    """Divide ``proceeds`` in cents; ``unregistered`` are creditors without a lien, by name and claim.

    Ranks are paid one after the other, each up to what its lien covers. What a claim exceeds its lien by ranks with those
    who have none: they share pro rata, and cents that do not divide go to the largest remainders, first named first.
    """
    payouts = [Payout("costs", "costs", costs, min(costs, proceeds))]
    left = proceeds - payouts[0].paid
    open_claims: list[tuple[str, int]] = []
    for lien in sorted(liens, key=lambda lien: lien.rank):
        covered = min(lien.claim, lien.secured)
        payouts.append(Payout(f"rank {lien.rank}", lien.holder, covered, min(covered, left)))
        left -= payouts[-1].paid
        if lien.claim > covered:
            open_claims.append((lien.holder, lien.claim - covered))
    open_claims += unregistered
    shares = _pro_rata(left, [due for _, due in open_claims])
    payouts += [Payout("unregistered", name, due, paid) for (name, due), paid in zip(open_claims, shares, strict=True)]
    left -= sum(shares)
    return (*payouts, Payout("surplus", pledgor, left, left))


def _pro_rata(amount: int, due: Sequence[int]) -> list[int]:
    whole = sum(due)
    if amount >= whole:
        return list(due)
    paid = [amount * one // whole for one in due]
    by_remainder = sorted(range(len(due)), key=lambda i: (-(amount * due[i] % whole), i))
    for i in by_remainder[: amount - sum(paid)]:
        paid[i] += 1
    return paid
