"""Grain: the grid on which a question may cut a column, whatever it cuts with.

A group, a band, a CASE or a filter cuts a column between two values. On a date, a grain is a period (``year``, ``quarter``,
``month``, ``day``) and cuts fall between periods; on a measure it is a width in integer units and cuts fall on its
multiples. With all cuts on one grid, no two questions laid over each other isolate less than one grain, but for the one
value that the last of several bands holds as its upper edge. Beyond a column's bounds nothing is cut. Source: PROOFS 8.4.
"""

from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from math import lcm

from privacy.expression import (
    MAX_LIST,
    Between,
    ByBand,
    ByDate,
    Dimension,
    Item,
    Test,
    Value,
    date_code,
    date_label,
    known,
    values,
    walk,
)
from privacy.terms import UNKNOWN, Bounds, Column, Kind

PERIODS = ("year", "quarter", "month", "day")
"""Parts of a date by which a grain is told, the coarsest first."""

Grain = str | int
"""A period of dates, or a width in a measure's integer units."""

_FINENESS = {"year": 0, "quarter": 1, "year-quarter": 1, "month": 2, "year-month": 2, "weekday": 3}
_COARSER = {"year-month": ("year-quarter", "year"), "year-quarter": ("year",), "month": ("quarter",)}
_MONTHS = {"year": 12, "year-quarter": 3, "year-month": 1}
_BEGINNINGS = {"year": (1,), "quarter": (1, 4, 7, 10), "month": tuple(range(1, 13))}
_EPOCH = date(1970, 1, 1).toordinal()
_LONGEST = 366
"""Days of the longest period."""


def coarsest(*grains: Grain | None) -> Grain | None:
    """Return the grain that keeps to all of several grains of one column; ``None`` is no limit.

    A cut on the least common multiple of several widths is on the grid of each.
    """
    periods = [grain for grain in grains if isinstance(grain, str)]
    widths = [grain for grain in grains if isinstance(grain, int)]
    if periods:
        return min(periods, key=PERIODS.index)
    return lcm(*widths) if widths else None


def fits(grain: Grain, kind: Kind) -> bool:
    """Whether a column of this kind can have this grain."""
    return kind is (Kind.DATE if isinstance(grain, str) else Kind.MEASURE)


def finer(item: Item, column: str, grain: Grain, bounds: Bounds) -> bool:
    """Whether ``item`` cuts ``column``, whose values lie within ``bounds``, elsewhere than on the grid of ``grain``."""
    return grain not in ("day", 1) and any(_cuts_finer(inner, column, grain, bounds) for inner in walk(item))


def _cuts_finer(item: Item, column: str, grain: Grain, bounds: Bounds) -> bool:
    match item:
        case ByDate(name, part) if name == column:
            return isinstance(grain, str) and _FINENESS[part] > PERIODS.index(grain)
        case ByBand(name, edges) if name == column:
            return not all(_on_grid(edge, grain, bounds) for edge in edges)
        case Between(Value(name), lower, upper) if name == column:
            cuts = ([] if lower is None else [lower]) + ([] if upper is None else [upper + 1])
            return not all(_on_grid(cut, grain, bounds) for cut in cuts)
        case Between(term):
            return column in values(term)  # what is worked out of several values has cuts on no column's grid
        case _:
            return False


def _on_grid(cut: int, grain: Grain, bounds: Bounds) -> bool:
    """Whether a cut between ``cut - 1`` and ``cut`` is on the grid, or parts nothing within the bounds."""
    if cut <= bounds.lower or cut > bounds.upper:
        return True
    return _begins(cut, grain) if isinstance(grain, str) else cut % grain == 0


@lru_cache(maxsize=4096)
def _begins(day: int, period: str) -> bool:
    """Whether a period begins on a day (since 1970-01-01)."""
    if period == "day" or not 1 <= day + _EPOCH <= date.max.toordinal():
        return True
    told = date.fromordinal(day + _EPOCH)
    return told.day == 1 and told.month in _BEGINNINGS[period]


# -- the nearest on the grid -----------------------------------------------------------------------------------------


def coarsened(by: Dimension, grain: Grain, column: Column, bounds: Bounds) -> Dimension | None:
    """Return a dimension of the same column on the grid, no finer than ``by`` and over no more rows; nothing if there is none."""
    match by:
        case ByDate(_, part) if isinstance(grain, str):
            coarser = next((one for one in _COARSER.get(part, ()) if _FINENESS[one] <= PERIODS.index(grain)), None)
            return None if coarser is None else _whole_periods(by, coarser, bounds)
        case ByBand() if isinstance(grain, int):
            return _wider(by, grain, column, bounds)
        case _:
            return None


def _whole_periods(by: ByDate, coarser: str, bounds: Bounds) -> ByDate | None:
    """Return the coarser periods that lie wholly in those of ``by``; days beyond the bounds are not missed."""
    if by.part == "month":  # of any year: all twelve, or none would be whole
        whole = set(known(by)) == {date_label("month", code) for code in range(1, 13)}
        return ByDate(by.column, coarser, (*(f"Q{code}" for code in range(1, 5)), *_rest(by))) if whole else None
    fine, wide = _MONTHS[by.part], _MONTHS[coarser]
    held = {date_code(by.part, label) * fine + month for label in known(by) for month in range(fine)}
    outside = {month for month in _around(held) if not _month(bounds.lower) <= month <= _month(bounds.upper)}
    codes = sorted({month // wide for month in held})
    kept = [code for code in codes if all(code * wide + step in held | outside for step in range(wide))]
    labels = tuple(date_label(coarser, code) for code in kept)
    # what is left out may not come back among the unknown
    return ByDate(by.column, coarser, (*labels, *(_rest(by) if kept == codes else ()))) if labels else None


def _rest(by: ByDate | ByBand) -> tuple[str, ...]:
    return (UNKNOWN,) if UNKNOWN in by.labels else ()


def _around(months: set[int]) -> range:
    return range(min(months, default=0) - 12, max(months, default=0) + 13)


def _month(day: int) -> int:
    told = date.fromordinal(day + _EPOCH)
    return told.year * 12 + told.month - 1


def _wider(by: ByBand, grain: int, column: Column, bounds: Bounds) -> ByBand | None:
    """Return bands of one width on the grid, no narrower than the narrowest of ``by``, over no more values."""
    width = -(-min(high - low for low, high in pairwise(by.edges)) // grain) * grain
    first, last = by.edges[0], by.edges[-1]
    start = (bounds.lower // grain if first <= bounds.lower else -(-first // grain)) * grain
    all_above = last >= bounds.upper
    steps = -(-(bounds.upper - start) // width) if all_above else (last - start) // width
    if not 1 <= steps <= MAX_LIST:
        return None
    edges = tuple(start + step * width for step in range(steps + 1))
    names = [_spelled(edge, column.decimals) for edge in edges]
    whole = all_above and first <= bounds.lower
    labels = tuple(f"{low} to {high}" for low, high in pairwise(names))
    return ByBand(by.column, edges, (*labels, *(_rest(by) if whole else ())))


def _spelled(units: int, decimals: int) -> str:
    return f"{Decimal(units).scaleb(-decimals).normalize():f}"


def snapped(test: Test, column: str, grain: Grain, bounds: Bounds) -> Test | None:
    """Return the widest comparison on the grid that lets through no more than ``test``; nothing if there is none."""
    match test:
        case Between(Value(name) as value, lower, upper) if name == column:
            low = None if lower is None else _next(lower, 1, grain, bounds)
            high = None if upper is None else _next(upper + 1, -1, grain, bounds) - 1
            least = bounds.lower if low is None else low
            most = bounds.upper if high is None else high
            if least > min(most, bounds.upper) or most < bounds.lower:
                return None
            return Between(value, low, high)
        case _:
            return None


def _next(cut: int, way: int, grain: Grain, bounds: Bounds) -> int:
    """Return the first cut on the grid from ``cut`` upwards (``way`` 1) or downwards (-1)."""
    if _on_grid(cut, grain, bounds):
        return cut
    if isinstance(grain, int):
        found = cut // grain * grain if way < 0 else -(-cut // grain) * grain
    else:
        found = next(day for day in range(cut, cut + way * (_LONGEST + 1), way) if _on_grid(day, grain, bounds))
    return max(bounds.lower, min(found, bounds.upper + 1))
