"""Everything this package raises, and whose fault each is.

::

    PrivacyError (of :mod:`privacy.errors`, so that one table turns every error into a problem document)
     +-- Malformed
     |    +-- BadInput           a key of a document is not what its method demands (the sender's fault)
     |         +-- UnknownKey, MissingKey, WrongType, OutOfRange
     +-- Mismatch
     |    +-- CurrencyMismatch   two currencies in one sum
     |    +-- Differs            a report does not follow from its own inputs
     +-- Refused
          +-- GatesClosed        the asset may not be priced as collateral; names the documents that would lift it
          +-- Swamped            the privacy noise is too large for a ratio of two counts

Messages name keys, ranges and documents; they never repeat a foreign value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from privacy.errors import Malformed, Mismatch, Refused


class BadInput(Malformed):
    """``key`` is the path of the offending key, e.g. ``facts.costs[2].amount``."""

    def __init__(self, key: str, problem: str, *, fix: str) -> None:
        super().__init__(f"{key}: {problem}", fix=fix)
        self.key = key


class UnknownKey(BadInput):
    """A key that the contract does not list."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "unknown key", fix="remove it, or correct its spelling")


class MissingKey(BadInput):
    """A key that the contract requires is absent."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "missing", fix="supply it")


class WrongType(BadInput):
    """The value under the key is not of the type ``wanted``."""

    def __init__(self, key: str, wanted: str) -> None:
        super().__init__(key, f"not {wanted}", fix=f"give {wanted}")
        self.wanted = wanted


class OutOfRange(BadInput):
    """The value under the key lies outside ``allowed``."""

    def __init__(self, key: str, allowed: str) -> None:
        super().__init__(key, f"outside {allowed}", fix=f"give a value in {allowed}")
        self.allowed = allowed


class CurrencyMismatch(Mismatch):
    """Amounts of two currencies met; nothing here converts."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other} cannot be combined", fix="convert at a dated, documented rate first")
        self.currencies = (one, other)


class Differs(Mismatch):
    """``place`` is the first figure or part of a report that does not follow from the inputs in it."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place} does not follow from the inputs", fix="ask the issuer for the original report")
        self.place = place


@dataclass(frozen=True, slots=True)
class Finding:
    """One closed gate: why, and which document would open it."""

    gate: str
    reason: str
    document: str


class GatesClosed(Refused):
    """At least one gate is closed; ``findings`` holds all of them, so that the owner can mend everything at once."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(
            "; ".join(f"{finding.gate}: {finding.reason}" for finding in findings),
            fix="; ".join(f"{finding.gate}: supply {finding.document}" for finding in findings),
        )
        self.findings = tuple(findings)


class Swamped(Refused):
    """The noise of the cells ``cells`` exceeds the share of their total that a ratio can bear."""

    def __init__(self, cells: str) -> None:
        super().__init__(
            f"the noise of {cells} is too large beside the count for a quality ratio",
            fix="measure a larger table, or ask the owner for a larger budget for this measurement",
        )
        self.cells = cells
