"""How constants of a column are written: dates as dates, numbers in the column's unit."""

from datetime import date
from fractions import Fraction

from exchange.analyst.polynomial import spell_number
from privacy.terms import Bounds, Column, Kind

EPOCH = date(1970, 1, 1)


def spell_units(column: Column, units: int) -> str:
    """Return integer units of a column as a constant of the language: a date, or a number in the column's unit."""
    if column.kind is Kind.DATE:
        return f"DATE '{date.fromordinal(EPOCH.toordinal() + units)}'"
    return spell_number(Fraction(units, 10**column.decimals))


def clipped_name(column: Column, bounds: Bounds) -> str:
    """Return a column as it is written where it is clipped to ``bounds``."""
    return f"CLIP({column.name}, {spell_units(column, bounds.lower)}, {spell_units(column, bounds.upper)})"


def span_text(column: Column, bounds: Bounds) -> str:
    """Return a sentence on where a column's values lie."""
    return f"{column.name} goes from {spell_units(column, bounds.lower)} to {spell_units(column, bounds.upper)}"
