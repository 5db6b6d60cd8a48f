"""Approval: which requests of a grant wait for a person, and what a person's approval then covers.

A grant's :class:`Consent` says how it is approved: automatically; ``once``, request by request; or ``standing``, for every
later request within what was approved until a date. One or two different persons of the owner must approve.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from privacy.errors import Malformed


class Manner(StrEnum):
    """How requests under a grant are approved."""

    AUTOMATIC = "automatic"
    ONCE = "once"
    STANDING = "standing"


@dataclass(frozen=True, slots=True)
class Consent:
    """What a grant asks for before it is used: ``persons`` 1 or 2 (0 if automatic); an approval lasts ``days`` at most."""

    manner: Manner = Manner.AUTOMATIC
    persons: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        numbers = (self.persons, self.days)
        if any(isinstance(number, bool) or not isinstance(number, int) for number in numbers):
            raise Malformed("the approval has mistyped fields", fix="write persons and days as whole numbers")
        if self.manner is Manner.AUTOMATIC and numbers != (0, 0):
            raise Malformed("an automatic approval names persons or days", fix="set both to 0")
        if self.manner is not Manner.AUTOMATIC and not (1 <= self.persons <= 2 and 1 <= self.days <= 3660):
            raise Malformed("the approval's persons or days are out of range", fix="1 or 2 persons, 1 to 3660 days")


@dataclass(frozen=True, slots=True)
class Approval:
    """What persons of one owner have approved for one asker and purpose, verified by the owner's node.

    ``plan_hash`` is the one plan of an approval given once; ``None`` for a standing one, which covers every plan that needs
    no more than ``atoms`` (as text) at no more than ``rho`` (1e-9 rho) each. In force up to and including ``until``.
    """

    asker: str
    purpose: str
    plan_hash: str | None
    atoms: frozenset[str]
    rho: int
    until: date
    persons: frozenset[str]

    def covers(self, *, asker: str, purpose: str, plan_hash: str, atoms: Iterable[str], rho: int, on: date) -> bool:
        """Whether a request of this day is covered."""
        if (asker, purpose) != (self.asker, self.purpose) or on > self.until:
            return False
        if self.plan_hash is not None:
            return plan_hash == self.plan_hash
        return rho <= self.rho and set(atoms) <= self.atoms
