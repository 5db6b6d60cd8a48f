"""An owner's standing consent to pledge a dataset, and what it lets a step-in open: nothing, unless it was declared beforehand.

Whoever steps in is answered under one purpose, as far as the owner's grants for that purpose go whoever they are for, and
pays from a part of the budget that was kept back. Whether a party has stepped in is for the caller to verify.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privacy.errors import Malformed
from privacy.purposes import PURPOSES
from privacy.recipients import addressed, check_recipients


@dataclass(frozen=True, slots=True)
class SteppingIn:
    """What a step-in may open: to whom (as recipients of a grant), for which purpose, with how much budget kept back for it.

    ``reserve`` is in 1e-9 rho, for one pledge at most; with ``exclusive`` an agreement may shut everybody else out meanwhile.
    """

    purpose: str
    recipients: tuple[str, ...]
    reserve: int
    exclusive: bool

    def covers(self, other: "SteppingIn") -> bool:
        """Whether it lets a step-in do all that another one does; to shut others out opens nothing."""
        everybody = "*" in self.recipients
        return (
            self.purpose == other.purpose
            and (everybody or set(other.recipients) <= set(self.recipients))
            and other.reserve <= self.reserve
        )

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object."""
        return {
            "purpose": self.purpose,
            "recipients": list(self.recipients),
            "reserve": self.reserve,
            "exclusive": self.exclusive,
        }

    def check(self) -> None:
        """Make sure that every field can mean something.

        Raises:
            Malformed: naming what is wrong, never the value.
        """
        check_recipients(self.recipients)
        if self.purpose not in PURPOSES:
            raise Malformed("a step-in is for an unknown purpose", fix=f"known purposes: {', '.join(PURPOSES)}")
        if isinstance(self.reserve, bool) or not isinstance(self.reserve, int) or self.reserve < 1:
            raise Malformed("the reserve of a step-in is not a whole number above 0", fix="declare it in 1e-9 rho")
        if not isinstance(self.exclusive, bool):
            raise Malformed("a step-in is exclusive or not", fix="write true or false")


@dataclass(frozen=True, slots=True)
class Pledging:
    """The owner's standing consent to pledge the dataset: to whom, up to what loan in yuan, until when (ISO date).

    ``step_in`` is what a step-in may open; ``None``: nothing.
    """

    lenders: tuple[str, ...]
    limit: int
    until: str
    step_in: SteppingIn | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the canonical JSON object; what says nothing is left out."""
        told = {"lenders": list(self.lenders), "limit": self.limit, "until": self.until}
        return told if self.step_in is None else {**told, "step_in": self.step_in.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Pledging":
        """Parse its JSON object; anything else raises ``Malformed``, ``KeyError`` or ``TypeError``."""
        told = document.get("step_in")
        read = None if told is None else SteppingIn(**{**told, "recipients": tuple(told["recipients"])})
        if read is not None:
            read.check()
        return cls(**{**document, "lenders": tuple(document["lenders"]), "step_in": read})


@dataclass(frozen=True, slots=True)
class Pointing:
    """A step-in in force: ``party`` has the entitlements for a purpose; with ``exclusive`` nobody else has any."""

    party: str
    purpose: str
    exclusive: bool

    def shuts_out(self, asker: str) -> bool:
        """Whether an asker gets no answer while it lasts."""
        return self.exclusive and asker != self.party

    def within(self, pledging: Pledging | None, *, role: str | None) -> "Pointing | None":
        """Return as much of it as an owner has declared beforehand, for a party of a known ``role``; often nothing."""
        declared = None if pledging is None else pledging.step_in
        if declared is None or declared.purpose != self.purpose:
            return None
        if not addressed(declared.recipients, asker=self.party, role=role):
            return None
        return Pointing(self.party, self.purpose, exclusive=self.exclusive and declared.exclusive)
