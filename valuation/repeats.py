"""Repeats: rows that can only repeat others, from the released number of people and the rows that one person fills.

A table has at most ``people * rows of a person`` rows that differ; what it counts beyond them repeats some of them, whichever
they are. The worst for a buyer is that the repeats are all good rows, so all of them are taken out of the good ones: a table
padded with copies of its best rows is worth what it was worth before. What this cannot see: a copy that takes the place of a
row that a person lacks, and people that do not exist. The first is bounded by the slack, which a remark states; against the
second stand title, registration and the overlap with other parties' people.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from valuation import exact
from valuation.errors import OutOfRange, WrongType
from valuation.evidence import Measured, counted
from valuation.facts import Facts
from valuation.trace import Traced, derived, given

PEOPLE = "count(distinct unit)"
ROWS = "count(*)"

SIGMAS = 2
"""A surplus within so many standard errors may be noise."""

SLACK = Fraction(1, 20)
"""A table that lacks more than this share of the rows that its people could fill has room that copies could take."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """``distinct``: rows that differ, at most; ``surplus``: rows beyond them, 0 or more; ``variance`` of the surplus's noise.

    ``grain`` is the number of rows that one person fills.
    """

    rows: Traced
    people: Traced
    grain: Traced
    distinct: Traced
    surplus: Traced
    variance: Fraction

    @property
    def certain(self) -> bool:
        """Whether the surplus is more than what noise explains."""
        return self.surplus.fraction**2 > SIGMAS**2 * self.variance


def repeats(facts: Facts, measured: Measured) -> Repeats | None:
    """Tell the repeats of a table from its release; ``None`` if the release does not count its people.

    A person's rows are those that the facts declare, or else the most that the release admitted of one person.

    Raises:
        OutOfRange: if the facts declare more rows of a person than the release admitted.
    """
    cells = measured.cells
    if PEOPLE not in cells or ROWS not in cells:
        return None
    admitted = measured.document["plan"].get("rows_per_unit")
    if isinstance(admitted, bool) or not isinstance(admitted, int) or admitted < 1:
        raise WrongType("release.plan.rows_per_unit", "a number of rows")
    rows, people = (counted(key, cells[key], measured.digest) for key in (ROWS, PEOPLE))
    grain = _grain(facts, admitted, measured.digest)
    distinct = derived(
        "repeats.distinct",
        "rows that differ, at most",
        grain.fraction * people.fraction,
        unit="rows",
        formula="people * rows of a person",
        because=(people, grain),
        source="GB/T 36344, uniqueness",
    )
    surplus = derived(
        "repeats.surplus",
        "rows that repeat others, at least",
        max(rows.fraction - distinct.fraction, Fraction(0)),
        unit="rows",
        formula="max(rows - rows that differ, 0)",
        because=(rows, distinct),
        source="GB/T 36344, uniqueness",
    )
    variance = cells[ROWS].variance + grain.fraction**2 * cells[PEOPLE].variance
    return Repeats(rows, people, grain, distinct, surplus, variance)


def _grain(facts: Facts, admitted: int, digest: str) -> Traced:
    label = "rows of a person"
    if facts.grain is None:
        return given(
            "repeats.grain", label, Decimal(admitted), unit="rows", source="most that the release admits of a person",
            evidence=digest,
        )  # fmt: skip
    if facts.grain.rows_per_person > admitted:
        raise OutOfRange("facts.grain.rows_per_person", "[1, rows that the release admits of a person]")
    cited = facts.grain.cited
    return given(
        "repeats.grain", label, facts.grain.rows_per_person, unit="rows", source=str(cited), evidence=cited.document
    )


def room(found: Repeats) -> str:
    """What copies could fill unseen, for a remark; empty if it is little."""
    open_rows = found.distinct.fraction - found.rows.fraction
    if open_rows <= SLACK * found.rows.fraction:
        return ""
    share = exact.percent(open_rows / found.rows.fraction)
    return f"the people could fill {share} more rows than there are: so many copies would not be seen"
