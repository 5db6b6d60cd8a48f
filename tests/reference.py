"""What rows say, a second time: terms, tests, dimensions and cells by SQL's rules, in plain Python without an engine.

A raw **row** is what a source holds: column -> whole number (measures in integer units, dates in days since 1970-01-01),
text (identifiers and categories) or ``None`` for NULL. Text in a measure's or date's column is text that could not be
read. :func:`read` turns it into what a plan sees: numbers clipped to the plan's bounds, categories of the public domain,
``None`` for all else. :func:`evaluate`, :func:`holds` and :func:`label` work on rows so read. Tests are three-valued:
``True``, ``False``, or ``None`` for unknown.
"""

from datetime import date, timedelta

from privacy.expression import (
    Added,
    AllOf,
    AnyOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Choice,
    Constant,
    Missing,
    Not,
    OneOf,
    Times,
    Value,
)
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Sum,
)
from privacy.terms import UNKNOWN, Kind


def read(row, plan, standard):
    """Return a raw row as ``plan`` sees it."""
    seen = {}
    bounds = dict(plan.bounds)
    for column in standard.columns:
        told = row.get(column.name)
        if column.kind is Kind.CATEGORY:
            seen[column.name] = told if told in column.domain else None
        elif column.kind in (Kind.MEASURE, Kind.DATE):
            number = told if isinstance(told, int) else None
            if number is not None and column.name in bounds:
                number = min(max(number, bounds[column.name].lower), bounds[column.name].upper)
            seen[column.name] = number
    return seen


def evaluate(term, row):
    """Return a term's whole number for a row, or ``None``."""
    if isinstance(term, Value):
        return row[term.column]
    if isinstance(term, Constant):
        return term.units
    if isinstance(term, Added):
        total = 0
        for part in term.terms:
            number = evaluate(part, row)
            if number is None:
                return None
            total += number
        return total
    if isinstance(term, Times):
        left, right = evaluate(term.left, row), evaluate(term.right, row)
        return None if left is None or right is None else left * right
    if isinstance(term, Choice):
        for test, branch in term.cases:
            if holds(test, row) is True:
                return evaluate(branch, row)
        return None if term.otherwise is None else evaluate(term.otherwise, row)
    raise TypeError(term)


def holds(test, row):
    """Return whether a test holds for a row: ``True``, ``False``, or ``None`` for unknown."""
    if isinstance(test, OneOf):
        return None if row[test.column] is None else row[test.column] in test.values
    if isinstance(test, Between):
        number = evaluate(test.term, row)
        if number is None:
            return None
        return (test.lower is None or test.lower <= number) and (test.upper is None or number <= test.upper)
    if isinstance(test, Missing):
        return row[test.column] is None
    if isinstance(test, Not):
        inner = holds(test.test, row)
        return None if inner is None else not inner
    if isinstance(test, AllOf | AnyOf):
        found = {holds(inner, row) for inner in test.tests}
        decisive = isinstance(test, AnyOf)  # one false decides AND, one true decides OR
        if decisive in found:
            return decisive
        return None if None in found else not decisive
    raise TypeError(test)


def label(dimension, row):
    """Return the label under which a row falls, or ``None``; a last label of ``UNKNOWN`` takes all that have none."""
    if isinstance(dimension, ByCase):
        for test, told in dimension.cases:
            if holds(test, row) is True:
                return told
        return dimension.otherwise
    found = _known(dimension, row)
    return UNKNOWN if found is None and UNKNOWN in dimension.labels else found


def _known(dimension, row):
    held = row[dimension.column]
    if held is None:
        return None
    if isinstance(dimension, ByCategory):
        return held if held in dimension.labels else None
    if isinstance(dimension, ByBand):
        band = _band(dimension, held)
        return None if band is None else dimension.labels[band]
    if isinstance(dimension, ByDate):
        told = _part(dimension.part, date(1970, 1, 1) + timedelta(days=held))
        return told if told in dimension.labels else None
    raise TypeError(dimension)


def cells(plan, rows, standard):
    """Return one party's cells over its raw rows, in the plan's cell order. Caller has bounded the rows of each person."""
    totals = {}
    people = {}
    for row in rows:
        if row.get(standard.unit) is None:
            continue
        seen = read(row, plan, standard)
        group = tuple(label(by, seen) for by in plan.groups)
        if None in group or any(holds(test, seen) is not True for test in plan.where):
            continue
        for measure in plan.measures:
            slot, amount = _part_of(measure, row, seen, standard)
            if isinstance(measure, CountUnits):
                people.setdefault(group, set()).add(row[standard.unit])
                amount = 0
            totals[measure, group, slot] = totals.get((measure, group, slot), 0) + amount
    return tuple(
        len(people.get(group, ())) if isinstance(measure, CountUnits) else totals.get((measure, group, slot), 0)
        for measure, group, slot in plan.cells()
    )


def _part_of(measure, row, seen, standard):
    """Return where within its group a row adds to a measure, and how much."""
    if isinstance(measure, CountRows | CountUnits):
        return 0, 1
    if isinstance(measure, CountPresent):
        return 0, int(evaluate(measure.term, seen) is not None)
    if isinstance(measure, CountKnown):
        return 0, int(seen[measure.column] is not None)
    if isinstance(measure, CountFilled):
        return 0, int(row[measure.column] is not None)
    if isinstance(measure, CountValid):
        column, told = standard.column(measure.column), row[measure.column]
        if column.kind is Kind.CATEGORY:
            return 0, int(told in column.domain)
        return 0, int(isinstance(told, int) and column.bounds.lower <= told <= column.bounds.upper)
    if isinstance(measure, Sum):
        return 0, evaluate(measure.term, seen) or 0
    if isinstance(measure, Histogram):
        found = label(measure.band, seen)
        return (0, 0) if found is None else (measure.band.labels.index(found), 1)
    raise TypeError(measure)


def _band(band, number):
    for index, low in enumerate(band.edges[:-1]):
        last = index == len(band.edges) - 2
        if low <= number < band.edges[index + 1] or (last and number == band.edges[-1]):
            return index
    return None


def _part(part, day):
    quarter = (day.month + 2) // 3
    spelled = {
        "year": f"{day.year:04d}",
        "quarter": f"Q{quarter}",
        "month": f"{day.month:02d}",
        "weekday": str(day.isoweekday()),
        "year-quarter": f"{day.year:04d}-Q{quarter}",
        "year-month": f"{day.year:04d}-{day.month:02d}",
    }
    return spelled[part]
