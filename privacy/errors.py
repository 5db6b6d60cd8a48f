"""Everything this package raises, and whose fault each is.

::

    PrivacyError
     +-- Malformed   a foreign value is not what its format demands (their fault)
     +-- Mismatch    two things that must be equal are not (their fault, or tampering on the way)
     +-- Refused     policy or law says no; the reason may be shown to the asker
     |    +-- Exhausted   the budget does not cover the charge
     +-- Overflow    a plan whose cells could outgrow their room (the planner's fault)

No message carries a row value, a key or another tenant's name.
"""

from typing import ClassVar


class PrivacyError(Exception):
    """Root of the package's errors: ``reason`` says what happened, ``fix`` what to do next.

    ``code`` is the stable code of errors that never cross the wire; the others have theirs in the table of problems.
    """

    code: ClassVar[str] = ""

    def __init__(self, reason: str, *, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


class Malformed(PrivacyError):
    """A foreign value was refused before any arithmetic; the value itself is never repeated."""


class Mismatch(PrivacyError):
    """Two things that must agree do not: hashes, totals, signatures."""


class Refused(PrivacyError):
    """Decided from plan and policy alone; safe to show to the asker."""


class Exhausted(Refused):
    """A charge exceeds what is left. ``asked`` and ``left`` are in units of 1e-9 rho (zCDP)."""

    def __init__(self, *, asked: int, left: int, cap: str) -> None:
        super().__init__(
            f"the {cap} budget has {left / 1e9:.9g} rho left, the request needs {asked / 1e9:.9g}",
            fix="ask for a lower precision, or ask the owner for a larger budget"
            if cap != "unreserved"
            else "the rest is kept back for a pledge: ask for a lower precision, or when the pledge has ended",
        )
        self.asked = asked
        self.left = left
        self.cap = cap


class Overflow(PrivacyError):
    """A plan needs more room than a plaintext slot can prove to have."""
