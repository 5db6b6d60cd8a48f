"""Reading what rows are grouped by: from the tree of a statement to dimensions with all their public labels."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from itertools import pairwise

from exchange.analyst.constants import EPOCH, span_text, spell_units
from exchange.analyst.rows import Reader
from exchange.analyst.syntax import Call, Case, Fault, Name, Node, Text
from exchange.analyst.words import foreign
from exchange.analyst.writing import show
from privacy.expression import (
    MAX_LIST,
    ByBand,
    ByCase,
    ByCategory,
    ByDate,
    Dimension,
    date_code,
    date_label,
    known,
)
from privacy.terms import LIFETIME, UNKNOWN, Bounds, Column, Kind

PARTS: Mapping[str, str] = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "ISODOW": "weekday",
    "WEEKDAY": "weekday",
}
"""Functions of a date, and the part that each tells."""

TRUNCATED: Mapping[str, str] = {"YEAR": "year", "QUARTER": "year-quarter", "MONTH": "year-month"}
"""Units of DATE_TRUNC, and the part that each tells."""

_CYCLES: Mapping[str, range] = {"quarter": range(1, 5), "month": range(1, 13), "weekday": range(1, 8)}
"""Parts that come again every year or week: all their labels are always there."""

Days = Callable[[str], Bounds]
"""Between which days a date column's labels are wanted, by its name."""


def is_dimension(node: Node) -> bool:
    """Whether a node is written like something to group by, and not like a figure."""
    match node:
        case Name() | Case():
            return True
        case Call(_, "COALESCE", (inner, Text())):
            return is_dimension(inner)
        case Call(_, name):
            return name in {*PARTS, "BIN", "DATE_TRUNC", "EXTRACT", "DATE_PART", "DAYOFWEEK", "DAY_OF_WEEK"}
        case _:
            return False


def dimension(node: Node, reader: Reader, days: Days) -> Dimension:
    """Read what to group by; ``days`` tells between which days a date column's labels are wanted."""
    match node:
        case Call(_, "COALESCE", (inner, Text(_, text)) as args):
            if text != UNKNOWN:
                raise Fault(
                    "the label of rows without one is fixed", args[1], fix=f"write '{UNKNOWN}'", instead=f"'{UNKNOWN}'"
                )
            return with_unknown(dimension(inner, reader, days))
        case Name():
            column = reader.column(node)
            if column.kind is Kind.CATEGORY:
                return ByCategory(column.name, column.domain)
            raise _no_labels(node, column)
        case Call(_, "BIN", args) if _plain(node):
            return band(node, args, reader)
        case Call(_, "DATE_TRUNC", (Text(_, unit), of)) if _plain(node):
            if unit.upper() not in TRUNCATED:
                told = show(Call(node.at, "DATE_TRUNC", (Text(-1, "month"), of)))
                raise Fault(
                    "dates are cut to years, quarters or months",
                    node,
                    fix="write 'year', 'quarter' or 'month'",
                    instead=told,
                )
            return _dated(of, TRUNCATED[unit.upper()], reader, days)
        case Call(_, name, (of,)) if name in PARTS and _plain(node):
            return _dated(of, PARTS[name], reader, days)
        case Case(_, branches, otherwise):
            cases = tuple((reader.test(one.test), _label(one.then)) for one in branches)
            return ByCase(cases, None if otherwise is None else _label(otherwise))
        case _:
            fix = "group by a category, BIN(...), a part of a date or CASE with texts"
            raise foreign(node) or Fault("this has no public labels", node, fix=fix)


def band(node: Node, args: tuple[Node, ...], reader: Reader) -> ByBand:
    """Read the column and the bands of BIN or HISTOGRAM: its customary ones, or all of one width from a lower to an upper edge."""
    if not args:
        raise Fault("a column was expected", node, fix="write BIN(column, lower, upper, width)")
    column = reader.measured(args[0])
    bounds = reader.bounds[column.name]
    if len(args) == 1:
        if not column.edges:
            low, high = (spell_units(column, end) for end in (bounds.lower, bounds.upper))
            width = _tenth(bounds, column)
            told = show(node, {id(args[0]): f"{show(args[0])}, {low}, {high}, {width}"}) if width else None
            raise Fault(
                f"{column.name} has no customary bands",
                node,
                fix="write BIN(column, lower, upper, width)",
                instead=told,
            )
        return banded(column, column.edges)
    if len(args) != 4:
        raise Fault(
            "bands have a lower edge, an upper edge and a width", node, fix="write BIN(column, lower, upper, width)"
        )
    return _even_bands(node, column, args, reader)


def _even_bands(node: Node, column: Column, args: tuple[Node, ...], reader: Reader) -> ByBand:
    bounds = reader.bounds[column.name]
    first, last = (reader.units(column, end) for end in args[1:3])
    told = reader.constant(args[3]) * 10**column.decimals
    if told <= 0 or told.denominator != 1:
        raise Fault(f"a band is at least one unit of {column.name} wide", args[3], fix="use a larger width")
    width = int(told)
    steps = max(1, -(-(last - first) // width))
    end = first + steps * width
    if steps > MAX_LIST:
        raise Fault(f"more than {MAX_LIST} bands", args[3], fix="use a larger width")
    if end != last:
        known = Bounds(*LIFETIME).lower <= end <= Bounds(*LIFETIME).upper or column.kind is not Kind.DATE
        why = "the width does not divide the way from the lower to the upper edge"
        fix = "use an upper edge that is a whole number of widths away"
        raise Fault(why, args[2], fix=fix, instead=spell_units(column, end) if known else None)
    if first > bounds.upper or last <= bounds.lower:
        raise Fault("no value lies in these bands", node, fix=span_text(column, bounds))
    return banded(column, tuple(first + step * width for step in range(steps + 1)))


def banded(column: Column, edges: tuple[int, ...]) -> ByBand:
    """Return the bands between edges in integer units, labelled like ``20 to 30`` in the column's unit."""
    told = [spell_units(column, edge).removeprefix("DATE ").strip("'") for edge in edges]
    return ByBand(column.name, edges, tuple(f"{low} to {high}" for low, high in pairwise(told)))


def fine_bands(column: Column, bounds: Bounds, count: int) -> ByBand:
    """Return about ``count`` bands over all of a column's range, for quantiles: its customary ones if they are finer."""
    if len(column.edges) - 1 > count:
        inner = [edge for edge in column.edges if bounds.lower < edge < bounds.upper]
        return banded(column, (bounds.lower, *inner, bounds.upper))
    reach = bounds.upper - bounds.lower
    if reach < count:  # every value has a band of its own
        return banded(column, tuple(range(bounds.lower, bounds.upper + 2)))
    return banded(column, tuple(bounds.lower + reach * step // count for step in range(count + 1)))


def period(part: str, label: str) -> tuple[int, int]:
    """Return the first and last day (since 1970-01-01) of a year, or of a year's quarter or month, by its label."""
    code = date_code(part, label)
    months = {"year": 12, "year-quarter": 3, "year-month": 1}[part]
    first = code * months
    return _month(first), _month(first + months) - 1


def _month(index: int) -> int:
    """Day on which a month begins, the months counted from the year 0."""
    return date(index // 12, index % 12 + 1, 1).toordinal() - EPOCH.toordinal()


def _dated(node: Node, part: str, reader: Reader, days: Days) -> ByDate:
    column = reader.measured(node)
    if column.kind is not Kind.DATE:
        raise Fault(f"{column.name} is no date", node, fix="group a measure by BIN(...)")
    if part in _CYCLES:
        return ByDate(column.name, part, tuple(date_label(part, code) for code in _CYCLES[part]))
    wanted = days(column.name)
    first, last = (date.fromordinal(EPOCH.toordinal() + end) for end in (wanted.lower, wanted.upper))
    codes = {
        "year": (first.year, last.year),
        "year-quarter": (first.year * 4 + (first.month - 1) // 3, last.year * 4 + (last.month - 1) // 3),
        "year-month": (first.year * 12 + first.month - 1, last.year * 12 + last.month - 1),
    }[part]
    if codes[1] - codes[0] >= MAX_LIST:
        fix = f"ask for fewer in WHERE, for example {column.name} >= DATE '{last.year}-01-01'"
        raise Fault(f"more than {MAX_LIST} labels", node, fix=fix)
    return ByDate(column.name, part, tuple(date_label(part, code) for code in range(codes[0], codes[1] + 1)))


def without_unknown(of: Dimension) -> Dimension:
    """Return a dimension without the label for rows that have no other."""
    if isinstance(of, ByCase):
        return replace(of, otherwise=None) if of.otherwise == UNKNOWN else of
    return replace(of, labels=known(of))


def with_unknown(of: Dimension) -> Dimension:
    """Return a dimension with a label for the rows that have none."""
    match of:
        case ByCategory(column, labels):
            return ByCategory(column, (*labels, UNKNOWN))
        case ByBand(column, edges, labels):
            return ByBand(column, edges, (*labels, UNKNOWN))
        case ByDate(column, part, labels):
            return ByDate(column, part, (*labels, UNKNOWN))
        case ByCase(cases, otherwise):
            return ByCase(cases, UNKNOWN if otherwise is None else otherwise)


def _label(node: Node) -> str:
    if not isinstance(node, Text) or not 0 < len(node.value) <= 200:
        raise Fault(
            "labels are texts of 1 to 200 characters", node, fix="write WHEN test THEN 'label'", instead="'label'"
        )
    return node.value


def _no_labels(node: Node, column: Column) -> Fault:
    if column.kind is Kind.IDENTIFIER:
        fix = f"count people with COUNT(DISTINCT {column.name})"
        return Fault(f"{column.name} identifies people and has no public values", node, fix=fix)
    if column.kind is Kind.DATE:
        return Fault(
            f"{column.name} has too many days",
            node,
            fix="group by a part of it",
            instead=f"DATE_TRUNC('year', {column.name})",
        )
    bounds = column.bounds or Bounds(0, 1)
    low, high = (spell_units(column, end) for end in (bounds.lower, bounds.upper))
    width = _tenth(bounds, column)
    told = f"BIN({column.name})" if column.edges else f"BIN({column.name}, {low}, {high}, {width})" if width else None
    return Fault(f"{column.name} is a measure: it has no public values", node, fix="group it into bands", instead=told)


def _tenth(bounds: Bounds, column: Column) -> str:
    """A width that cuts a range into ten bands, or as few parts as divide it."""
    reach = bounds.upper - bounds.lower
    parts = next((count for count in (10, 8, 12, 9, 7, 5, 6, 4, 3, 2) if reach % count == 0), 1)
    return spell_units(column, reach // parts).removeprefix("DATE ") if column.kind is not Kind.DATE and reach else ""


def _plain(node: Call) -> bool:
    return not node.distinct and node.where is None
