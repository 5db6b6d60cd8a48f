"""The classification floor: what no owner can grant, by the security level of a column.

The levels follow JR/T 0197-2020. What a level allows is our reading of it in terms of what a joint question can do; a
lawyer's check of the clauses is the reader's own. Source: PROOFS 8.3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from privacy.atoms import USES, Atom
from privacy.terms import Column, Kind


@dataclass(frozen=True, slots=True)
class Floor:
    """What one level allows at most: uses, the finest period of a date, and from how many rows on a group is shown."""

    uses: frozenset[str]
    part: str
    min_group: int


FLOORS: Mapping[int, Floor] = {
    1: Floor(frozenset(USES), "day", 1),
    2: Floor(frozenset(USES), "day", 5),
    3: Floor(frozenset(USES), "month", 20),
    4: Floor(frozenset({"count", "valid", "sum", "product"}), "year", 100),
    5: Floor(frozenset(), "year", 100),
}
"""By level: open (1), for use inside (2), of people (3: dates by the month), sensitive (4: measured over all rows of a
group that other columns make, never told apart by value), never shared (5)."""


def barred(atom: Atom, column: Column) -> tuple[str, str] | None:
    """Return the rule that strikes a use of a column, and why; nothing if its level allows it."""
    if column.kind is Kind.IDENTIFIER:
        return "identifiers", "identifiers are never used in statistics"
    if atom.use in FLOORS[column.security].uses:
        return None
    if not FLOORS[column.security].uses:
        return "level 5", "what is of level 5 never leaves, in no form"
    return f"level {column.security}", f"what is of level {column.security} may be measured, not told apart by value"


def least_group(columns: Iterable[Column]) -> int:
    """Return from how many rows on a group over these columns may be shown, whatever an owner says."""
    return max((FLOORS[column.security].min_group for column in columns), default=1)
