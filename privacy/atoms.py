"""What a plan uses: each use of each column, which is what grants are written in."""

from collections.abc import Iterator
from dataclasses import dataclass

from privacy.expression import ByBand, ByCase, ByCategory, ByDate, Dimension, summed, tested
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Measure,
    Plan,
    Sum,
)

USES = ("group", "filter", "count", "valid", "sum", "product", "histogram")
"""What a column can be used for: to group by it, to filter on it, to count its values (or those that are valid), to add them
up, to add up their products (variance, correlation, regression), to count rows in bands of it (histogram, quantile)."""
ROWS = "*"


@dataclass(frozen=True, slots=True, order=True)
class Atom:
    """One use of one column; ``column`` is ``*`` for counting rows."""

    column: str
    use: str

    def __str__(self) -> str:
        return "rows as count" if self.column == ROWS else f"{self.column} as {self.use}"


def atoms(plan: Plan) -> tuple[Atom, ...]:
    """Return what the plan uses: the smallest grant it needs, sorted."""
    needed = {atom for item in (*plan.groups, *plan.measures) for atom in atoms_of(item)}
    needed |= {Atom(column, "filter") for test in plan.where for column in tested(test)}
    return tuple(sorted(needed))


def atoms_of(item: Dimension | Measure) -> frozenset[Atom]:
    """Return what one dimension or one measure uses."""
    return frozenset(_uses(item))


def _uses(item: Dimension | Measure) -> Iterator[Atom]:
    match item:
        case ByCategory(column) | ByDate(column):
            yield Atom(column, "group")
        case ByBand(column) | Histogram(ByBand(column)):
            yield Atom(column, "histogram")
        case ByCase(cases):
            yield from (Atom(column, "group") for test, _ in cases for column in tested(test))
        case CountRows() | CountUnits():
            yield Atom(ROWS, "count")
        case CountKnown(column) | CountFilled(column):
            yield Atom(column, "count")
        case CountValid(column):
            yield Atom(column, "valid")
        case CountPresent(term) | Sum(term):
            held = list(summed(term))
            yield from (Atom(column, use if isinstance(item, Sum) else "count") for column, use in held)
            yield from (Atom(column, "filter") for column in tested(term))
            if not held:  # a sum of constants counts rows
                yield Atom(ROWS, "count")
